"""The simulated camera itself, in the loop of whoever rehearses with it, and alone."""

import asyncio
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from time import monotonic, monotonic_ns

import pytest

from drivers.cameras import open_source
from drivers.simulators.camera import Fault, SimulatedCamera
from drivers.simulators.camera_reel import load
from gateway.domain.errors import CameraUnavailable, InvalidInput
from gateway.ports import FrameSource
from gateway.settings import Camera
from tests.fakes.camera_thread import FPS, film, number_of

COUNT = 30


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film(tmp_path_factory.mktemp("film") / "short.mp4", COUNT)


def source_of(url: str, **more: object) -> FrameSource:
    return open_source(Camera(id="c", url=url, **more))


def all_numbers(source: FrameSource) -> list[int]:
    found: list[int] = []
    with closing(source):
        source.open()
        try:
            while (one := source.read()) is not None:
                found.append(number_of(one[0]))
        except CameraUnavailable:
            return found
    return found


async def test_it_waits_for_its_first_client_and_ends_with_the_film(recording: Path) -> None:
    told: list[tuple[int, int]] = []
    camera = SimulatedCamera(
        recording, loop=False, await_client=True, on_frame=lambda frame, ns: told.append((frame, ns))
    )
    async with camera:
        await asyncio.sleep(0.2)
        assert camera.sent == ()
        started = monotonic_ns()
        reading = asyncio.create_task(asyncio.to_thread(all_numbers, source_of(camera.rtsp_url)))
        await asyncio.wait_for(camera.first_client(), 5)
        await asyncio.wait_for(camera.ended(), 5)
        numbers = await asyncio.wait_for(reading, 10)
        assert [s.frame for s in camera.sent] == list(range(COUNT))
        assert [(s.frame, s.mono_ns) for s in camera.sent] == told
        assert started < told[0][1] < told[-1][1] < monotonic_ns()
        took = (told[-1][1] - told[0][1]) / 1e9
        assert (COUNT - 1) / FPS - 0.05 < took < (COUNT - 1) / FPS + 1.0
    assert numbers == sorted(numbers)
    assert numbers[-1] >= COUNT - 3


async def test_it_does_not_hold_up_the_loop_it_runs_in(recording: Path) -> None:
    gaps = [0.0]

    async def watch() -> None:
        last = monotonic()
        while True:
            await asyncio.sleep(0.01)
            gaps.append(monotonic() - last - 0.01)
            last = monotonic()

    watching = asyncio.create_task(watch())
    async with SimulatedCamera(recording) as camera:
        sources = [
            source_of(url) for url in (camera.rtsp_url, camera.rtsp_url, camera.mjpeg_url, camera.mjpeg_url)
        ]
        await asyncio.gather(*(asyncio.to_thread(s.open) for s in sources))
        for _ in range(5):
            assert all(await asyncio.gather(*(asyncio.to_thread(s.read) for s in sources)))
        for source in sources:
            source.close()
    watching.cancel()
    gaps.sort()
    assert gaps[len(gaps) * 9 // 10] < 0.1


async def test_leaving_while_clients_look_and_faults_last_is_prompt(recording: Path) -> None:
    for fault in (Fault.NONE, Fault.SILENT, Fault.REFUSE):
        async with SimulatedCamera(recording) as camera:
            sources = [source_of(camera.rtsp_url), source_of(camera.mjpeg_url)]
            await asyncio.gather(*(asyncio.to_thread(s.open) for s in sources))
            await camera.fault(fault)
            started = monotonic()
        assert monotonic() - started < 2.0
        for source in sources:
            source.close()


async def test_a_port_that_is_taken_and_a_film_that_is_none_are_named(
    recording: Path, tmp_path: Path
) -> None:
    async with SimulatedCamera(recording) as camera:
        port = int(camera.rtsp_url.split(":")[2].split("/")[0])
        with pytest.raises(InvalidInput, match="cannot listen"):
            await SimulatedCamera(recording, rtsp_port=port).__aenter__()
    (tmp_path / "text.mp4").write_text("no film")
    with pytest.raises(InvalidInput, match="cannot be read as a film"):
        await SimulatedCamera(tmp_path / "text.mp4").__aenter__()


def test_annex_b_is_the_same_film(recording: Path, tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    raw = tmp_path / "film.h264"
    with av.open(str(recording)) as original, av.open(str(raw), "w", format="h264") as copy:
        stream = copy.add_stream_from_template(original.streams.video[0])
        for packet in original.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                copy.mux(packet)
    one, other = load(recording), load(raw)
    assert [u.key for u in one.units] == [u.key for u in other.units]
    assert [n for u in one.units for n in u.nals if n[0] & 31 in {1, 5}] == [
        n for u in other.units for n in u.nals if n[0] & 31 in {1, 5}
    ]
    assert (one.sps, one.pps) == (other.sps, other.pps)
    assert [u.key for u in one.units][:6] == [True, False, False, False, False, True]
    assert one.fps == pytest.approx(FPS)


def test_it_runs_alone_and_stops_when_told(recording: Path) -> None:
    command = [sys.executable, "-m", "drivers.simulators.camera", str(recording), "--port", "0"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])
    assert child.stdout is not None
    try:
        url = child.stdout.readline().strip()
        with closing(source_of(url)) as source:
            source.open()
            assert source.read() is not None
        child.send_signal(signal.SIGTERM)
        assert child.wait(10) == 0
    finally:
        child.kill()
        child.wait(10)
        child.stdout.close()

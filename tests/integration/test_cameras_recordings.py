"""Recordings from disk."""

from contextlib import closing
from pathlib import Path
from time import monotonic

import pytest

from drivers.cameras import open_source
from gateway.domain.errors import CameraUnavailable
from gateway.ports import FrameSource
from gateway.settings import Camera
from tests.fakes.camera_thread import FPS, film, number_of

COUNT = 12


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film(tmp_path_factory.mktemp("film") / "short film %41.mp4", COUNT)


def read_on(source: FrameSource) -> None:
    for _ in range(COUNT + 1):
        source.read()


def source_of(path: Path, **more: object) -> FrameSource:
    return open_source(Camera(id="c", url=str(path), **more))


def test_every_picture_once_with_its_time_then_the_end(recording: Path) -> None:
    with closing(source_of(recording, pace="every-frame")) as source:
        source.open()
        found = []
        while (one := source.read()) is not None:
            found.append((number_of(one[0]), one[1]))
        assert [n for n, _ in found] == list(range(COUNT))
        assert [t for _, t in found] == pytest.approx([i / FPS for i in range(COUNT)], abs=1e-3)
        assert source.read() is None, "the end stays the end"


def test_own_pace_takes_as_long_as_it_was_filmed(recording: Path) -> None:
    with closing(source_of(recording)) as source:
        source.open()
        started = monotonic()
        while source.read() is not None:
            pass
        took = monotonic() - started
    assert (COUNT - 1) / FPS - 0.02 < took < (COUNT - 1) / FPS + 1.0


@pytest.mark.parametrize("pace", ["own", "every-frame"])
def test_a_loop_begins_again_with_its_time(recording: Path, pace: str) -> None:
    with closing(source_of(recording, pace=pace, loop=True)) as source:
        source.open()
        started = monotonic()
        found = [source.read() for _ in range(COUNT + 3)]
        took = monotonic() - started
    numbers = [number_of(f[0]) for f in found if f is not None]
    times = [f[1] for f in found if f is not None]
    assert numbers == [*range(COUNT), 0, 1, 2]
    assert times[COUNT:] == times[:3]
    if pace == "own":
        assert took > (COUNT + 1) / FPS, "no hurry at the seam"


def test_a_recording_cut_short_plays_what_there_is(recording: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.ts"
    av = pytest.importorskip("av")
    with av.open(str(recording)) as original, av.open(str(cut), "w", format="mpegts") as copy:
        stream = copy.add_stream_from_template(original.streams.video[0])
        for packet in original.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                copy.mux(packet)
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size * 2 // 3])
    with closing(source_of(cut, pace="every-frame")) as source:
        source.open()
        numbers = []
        while (one := source.read()) is not None:
            numbers.append(number_of(one[0]))
    assert 3 <= len(numbers) <= COUNT


def test_a_recording_that_vanishes_is_an_error_at_the_seam(recording: Path, tmp_path: Path) -> None:
    copy = tmp_path / "film.mp4"
    copy.write_bytes(recording.read_bytes())
    with closing(source_of(copy, pace="every-frame", loop=True)) as source:
        source.open()
        source.read()
        copy.unlink()
        with pytest.raises(CameraUnavailable, match="no such recording"):
            read_on(source)

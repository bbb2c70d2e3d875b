"""What sources do when their camera misbehaves, over real sockets."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from time import monotonic, sleep

import pytest

from drivers.cameras import open_source
from drivers.simulators.camera import Fault
from drivers.simulators.camera_carriers import Datagrams, Interleaved
from gateway.domain.errors import CameraUnavailable
from gateway.ports import FrameSource
from gateway.settings import Camera
from tests.fakes.camera_thread import CameraThread, film, number_of

KINDS = ("tcp", "udp", "mjpeg")
SLACK_S = 1.5


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film(tmp_path_factory.mktemp("film") / "numbered.mp4")


@pytest.fixture
def thread(recording: Path) -> Iterator[CameraThread]:
    with CameraThread(recording) as running:
        yield running


def source_of(thread: CameraThread, kind: str, *, open_s: float = 4.0, read_s: float = 1.5) -> FrameSource:
    url = thread.camera.mjpeg_url if kind == "mjpeg" else thread.camera.rtsp_url
    transport = "udp" if kind == "udp" else "tcp"
    return open_source(
        Camera(id="c", url=url, transport=transport, open_timeout_s=open_s, read_timeout_s=read_s)
    )


def picture_number(source: FrameSource) -> int:
    found = source.read()
    assert found is not None
    return number_of(found[0])


def failing_after(act: Callable[[], object], match: str) -> float:
    started = monotonic()
    with pytest.raises(CameraUnavailable, match=match):
        act()
    return monotonic() - started


def read_until_it_fails(source: FrameSource) -> None:
    for _ in range(200):
        source.read()


@contextmanager
def half_open() -> Iterator[int]:
    """A peer whose kernel accepts and who never says a word; gives its port."""
    with closing(socket.create_server(("127.0.0.1", 0), backlog=16)) as peer:
        yield peer.getsockname()[1]


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_half_open_peers_time_out_side_by_side_and_stall_no_thread(scheme: str) -> None:
    took: list[float] = []
    with half_open() as port:
        camera = Camera(id="c", url=f"{scheme}://127.0.0.1:{port}/x", open_timeout_s=1.0)
        sources = [open_source(camera) for _ in range(3)]

        def attempt(source: FrameSource) -> None:
            took.append(failing_after(source.open, "did not answer within 1 s"))

        threads = [threading.Thread(target=attempt, args=(s,)) for s in sources]
        for one in threads:
            one.start()
        widest, last = 0.0, monotonic()
        while any(one.is_alive() for one in threads):
            sleep(0.005)
            widest, last = max(widest, monotonic() - last), monotonic()
        for one in threads:
            one.join()
    assert len(took) == 3
    assert max(took) < 1.0 + 0.9, "they must not wait for one another"
    assert widest < 0.5, "Python threads go on meanwhile"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", [Fault.STALL, Fault.SILENT])
def test_silence_in_the_middle_ends_reading_in_time(thread: CameraThread, kind: str, fault: Fault) -> None:
    with closing(source_of(thread, kind)) as source:
        source.open()
        source.read()
        thread.fault(fault)
        took = failing_after(lambda: read_until_it_fails(source), r"sent no (whole )?picture for")
        assert took < 1.5 + SLACK_S
        thread.fault(Fault.NONE)
        source.open()
        assert picture_number(source) >= 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_silent_camera_is_not_opened_and_one_mended_is(thread: CameraThread, kind: str) -> None:
    thread.fault(Fault.SILENT)
    with closing(source_of(thread, kind, open_s=1.0)) as source:
        assert failing_after(source.open, "did not answer within 1 s") < 1.0 + SLACK_S
    thread.fault(Fault.NONE)
    with closing(source_of(thread, kind)) as source:
        source.open()
        assert source.read() is not None


@pytest.mark.parametrize("kind", ["tcp", "mjpeg"])
def test_a_camera_switched_off_is_noticed_and_found_again(thread: CameraThread, kind: str) -> None:
    with closing(source_of(thread, kind)) as source:
        source.open()
        source.read()
        thread.fault(Fault.REFUSE)
        assert failing_after(lambda: read_until_it_fails(source), "ended the stream|cannot be reached") < 2.0
        assert failing_after(source.open, "refuses the connection") < 1.0 + SLACK_S
        thread.fault(Fault.NONE)
        source.open()
        assert source.read() is not None


@pytest.mark.parametrize("kind", ["tcp", "mjpeg"])
def test_a_dropped_connection_is_an_error_and_the_next_one_works(thread: CameraThread, kind: str) -> None:
    with closing(source_of(thread, kind)) as source:
        source.open()
        source.read()
        thread.fault(Fault.DROP)
        assert failing_after(lambda: read_until_it_fails(source), "ended the stream|cannot be reached") < 2.0
        source.open()
        assert source.read() is not None


@pytest.mark.parametrize("kind", KINDS)
def test_fault_20_a_frozen_camera_gives_identical_pictures_until_it_thaws(
    thread: CameraThread, kind: str
) -> None:
    with closing(source_of(thread, kind)) as source:
        source.open()
        source.read()
        thread.fault(Fault.FROZEN)
        for _ in range(8):
            source.read()
        found = [source.read() for _ in range(5)]
        pictures = [f[0] for f in found if f is not None]
        assert len({p.tobytes() for p in pictures}) == 1, "to the byte, as a freeze detector expects"
        frozen_at = number_of(pictures[0])
        thread.fault(Fault.NONE)
        after = [picture_number(source) for _ in range(8)]
        assert len(set(after)) > 4, (frozen_at, after)


def test_fault_20_replayed_pictures_come_back(thread: CameraThread) -> None:
    with closing(source_of(thread, "tcp")) as source:
        source.open()
        before = [picture_number(source) for _ in range(25)]
        thread.fault(Fault.REPLAY)
        after = [picture_number(source) for _ in range(20)]
        assert set(after) & set(before[:15]), "pictures from before the fault"
        thread.fault(Fault.NONE)
        assert max(picture_number(source) for _ in range(15)) > max(before)


@pytest.mark.parametrize("kind", ["tcp", "mjpeg"])
def test_a_slow_camera_is_slow_and_not_an_error(thread: CameraThread, kind: str) -> None:
    with closing(source_of(thread, kind, read_s=5.0)) as source:
        source.open()
        source.read()
        thread.fault(Fault.SLOW)
        for _ in range(2):
            source.read()
        started = monotonic()
        source.read()
        assert monotonic() - started > 0.3


@pytest.mark.parametrize("kind", KINDS)
def test_fault_20_a_reader_who_paused_is_shown_now_and_not_then(thread: CameraThread, kind: str) -> None:
    with closing(source_of(thread, kind, read_s=5.0)) as source:
        source.open()
        source.read()
        sleep(2.0)
        source.read()  # may have been decoded already, and is let go by its age
        number = picture_number(source)
        sent = next(s for s in reversed(thread.camera.sent) if s.frame == number)
        assert monotonic() - sent.mono_ns / 1e9 < 1.2, "a picture of 2 s ago must not look like one of now"


def test_the_first_picture_is_of_now_although_opening_took_its_time(thread: CameraThread) -> None:
    with closing(source_of(thread, "tcp")) as source:
        source.open()
        number = picture_number(source)
        sent = next(s for s in reversed(thread.camera.sent) if s.frame == number)
        assert monotonic() - sent.mono_ns / 1e9 < 0.3


def test_cameras_of_both_transports_open_at_once_as_they_were_told(thread: CameraThread) -> None:
    sources = [source_of(thread, kind) for kind in ("tcp", "udp", "tcp", "udp")]
    threads = [threading.Thread(target=source.open) for source in sources]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    carriers = sorted(type(v._carrier).__name__ for v in thread.camera.projector.viewers)
    for source in sources:
        assert source.read() is not None
        source.close()
    assert carriers == [Datagrams.__name__] * 2 + [Interleaved.__name__] * 2

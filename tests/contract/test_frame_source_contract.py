"""What every source of frames keeps to, whatever it reads from."""

import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import numpy as np
import pytest

from drivers.cameras import open_source
from gateway.domain.errors import CameraUnavailable
from gateway.ports import FrameSource
from gateway.settings import Camera
from tests.fakes.camera_thread import SIZE, CameraThread, film, number_of, numbered
from tests.fakes.frame_source import FakeFrameSource

OPEN_S, READ_S = 4.0, 3.0


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film(tmp_path_factory.mktemp("film") / "numbered.mp4")


@pytest.fixture(scope="module")
def served(recording: Path) -> Iterator[CameraThread]:
    with CameraThread(recording) as thread:
        yield thread


def source_of(url: str, **more: object) -> FrameSource:
    return open_source(Camera(id="c", url=url, open_timeout_s=OPEN_S, read_timeout_s=READ_S, **more))


class FrameSourceContract(ABC):
    """Subclass it and give the two fixtures; the tests are inherited."""

    live: bool
    paced: bool

    @pytest.fixture
    @abstractmethod
    def source(self, request: pytest.FixtureRequest) -> Iterator[FrameSource]:
        """Shows the numbered pictures; not open yet."""

    @pytest.fixture
    @abstractmethod
    def absent(self, request: pytest.FixtureRequest) -> FrameSource:
        """Nothing is where its address points to."""

    def test_pictures_are_bgr_bytes_in_memory_of_their_own(self, source: FrameSource) -> None:
        source.open()
        pictures = [source.read() for _ in range(4)]
        source.close()
        images = [p[0] for p in pictures if p is not None]
        assert len(images) == 4
        for image in images:
            assert image.shape == (SIZE[1], SIZE[0], 3)
            assert image.dtype == np.uint8
            assert image.flags.c_contiguous
            assert 60 < image[120, 160].mean() < 120, "the background is grey"
            red, blue = (int(image[200, 160, c]) for c in (2, 0))
            assert red < blue, "channels are in the order blue, green, red"
        assert not any(np.shares_memory(images[0], other) for other in images[1:])

    def test_pictures_come_in_order_without_repeating(self, source: FrameSource) -> None:
        source.open()
        numbers = [number_of(found[0]) for _ in range(8) if (found := source.read()) is not None]
        source.close()
        steps = [(b - a) % 200 for a, b in itertools.pairwise(numbers)]
        assert len(numbers) == 8
        assert all(1 <= step < 50 for step in steps), numbers

    def test_media_time_grows_in_recordings_and_is_none_when_live(self, source: FrameSource) -> None:
        source.open()
        times = [found[1] for _ in range(5) if (found := source.read()) is not None]
        source.close()
        if self.live:
            assert times == [None] * 5
        else:
            assert times[0] == pytest.approx(0.0, abs=0.2)
            assert all(b > a for a, b in itertools.pairwise(times))

    def test_reading_before_opening_or_after_closing_says_so(self, source: FrameSource) -> None:
        with pytest.raises(CameraUnavailable, match="not open"):
            source.read()
        source.open()
        source.close()
        with pytest.raises(CameraUnavailable, match="not open"):
            source.read()

    def test_close_is_idempotent_and_opening_again_works(self, source: FrameSource) -> None:
        source.close()
        for _ in range(2):
            source.open()
            assert source.read() is not None
            source.close()
            source.close()

    def test_opening_twice_keeps_one_stream(self, source: FrameSource) -> None:
        source.open()
        source.open()
        assert source.read() is not None
        source.close()

    def test_nothing_there_is_an_error_within_the_open_timeout(self, absent: FrameSource) -> None:
        started = monotonic()
        with pytest.raises(CameraUnavailable):
            absent.open()
        assert monotonic() - started < OPEN_S + 1.5
        with pytest.raises(CameraUnavailable):
            absent.read()
        absent.close()

    def test_it_says_who_sets_the_pace(self, source: FrameSource) -> None:
        assert source.paced is self.paced


class TestFake(FrameSourceContract):
    live, paced = False, False

    @pytest.fixture
    def source(self) -> Iterator[FrameSource]:
        return FakeFrameSource(numbered(20))

    @pytest.fixture
    def absent(self) -> FrameSource:
        return FakeFrameSource([], refusals=1)


class _Served(FrameSourceContract):
    live, paced = True, True

    @pytest.fixture
    def source(self, served: CameraThread) -> Iterator[FrameSource]:
        made = self.of(served)
        yield made
        made.close()

    @pytest.fixture
    def absent(self) -> FrameSource:
        return source_of(self.nowhere)

    nowhere: str

    @abstractmethod
    def of(self, served: CameraThread) -> FrameSource: ...


class TestRtspTcp(_Served):
    nowhere = "rtsp://127.0.0.1:9/none"

    def of(self, served: CameraThread) -> FrameSource:
        return source_of(served.camera.rtsp_url)


class TestRtspUdp(_Served):
    nowhere = "rtsp://127.0.0.1:9/none"

    def of(self, served: CameraThread) -> FrameSource:
        return source_of(served.camera.rtsp_url, transport="udp")


class TestMjpeg(_Served):
    nowhere = "http://127.0.0.1:9/none"

    def of(self, served: CameraThread) -> FrameSource:
        return source_of(served.camera.mjpeg_url)


class TestRecording(FrameSourceContract):
    live, paced = False, True

    @pytest.fixture
    def source(self, recording: Path) -> Iterator[FrameSource]:
        made = source_of(str(recording))
        yield made
        made.close()

    @pytest.fixture
    def absent(self, tmp_path: Path) -> FrameSource:
        return source_of(str(tmp_path / "none.mp4"))


class TestRecordingEveryFrame(TestRecording):
    paced = False

    @pytest.fixture
    def source(self, recording: Path) -> Iterator[FrameSource]:
        made = source_of(recording.as_uri(), pace="every-frame")
        yield made
        made.close()

import threading
import time

import pytest

from gateway.domain.errors import CameraUnavailable, ConfigError
from gateway.domain.ids import CameraId
from gateway.domain.sightings import CameraState
from gateway.vision.capture import Capture
from gateway.vision.slot import LatestSlot
from tests.fakes.frame_source import FakeFrameSource
from tests.fakes.vision import picture


def pictures(count, first=0):
    return [picture(grain=first + i)[::8, ::8] for i in range(count)]


class Filming:
    """A capture thread while the block runs; what it put into the slot, and which states it went through."""

    def __init__(self, source, frozen_after_s=0.4):
        self.stop, self.states = threading.Event(), []
        self.slot = LatestSlot(threading.Event(), lockstep=not source.paced)
        self.capture = Capture(
            camera_id=CameraId("cam-1"),
            source=source,
            slot=self.slot,
            frozen_after_s=frozen_after_s,
            stop=self.stop,
            on_change=lambda: self.states.append(self.capture.status.state),
            first_wait_s=0.01,
        )
        self.thread = threading.Thread(target=self.capture.run)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join(10)
        assert not self.thread.is_alive()

    def until(self, condition, seconds=8.0):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, (self.states, self.capture.status)
            time.sleep(0.005)

    def taken(self, count):
        frames = []
        end = time.monotonic() + 8
        while len(frames) < count and time.monotonic() < end:
            frame = self.slot.take()
            if frame is not None:
                frames.append(frame)
                self.slot.done()
            time.sleep(0.001)
        return frames


def test_every_frame_of_a_recording_arrives_and_then_its_end():
    with Filming(FakeFrameSource(pictures(30))) as filming:
        frames = filming.taken(30)
        filming.until(lambda: CameraState.ENDED in filming.states)
    assert [f.seq for f in frames] == list(range(1, 31))
    assert frames[-1].media_time_s == pytest.approx(2.9)
    assert filming.slot.dropped == 0
    assert filming.states == [CameraState.UP, CameraState.ENDED]


def test_the_end_of_a_recording_waits_for_its_last_frame():
    with Filming(FakeFrameSource(pictures(1))) as filming:
        filming.until(lambda: filming.slot.busy)
        time.sleep(0.1)
        assert CameraState.ENDED not in filming.states
        assert filming.taken(1)
        filming.until(lambda: CameraState.ENDED in filming.states)


def test_a_live_camera_nobody_looks_at_drops_all_but_the_newest():
    source = FakeFrameSource(
        [*pictures(20), 60.0], paced=True, live=True, read_timeout_s=30, interval_s=0.002
    )
    with Filming(source) as filming:
        filming.until(lambda: filming.capture.status.frames == 20)
        time.sleep(0.05)
        frame = filming.slot.take()
        assert frame is not None
        assert frame.seq == 20
        assert filming.slot.dropped == 19
        filming.stop.set()
        source._never.set()


def test_a_camera_that_refuses_is_down_once_and_then_up():
    source = FakeFrameSource([*pictures(5), CameraUnavailable("gone")], paced=True, live=True, refusals=4)
    with Filming(source) as filming:
        filming.until(lambda: CameraState.UP in filming.states)
    assert filming.states[:2] == [CameraState.DOWN, CameraState.UP]
    assert filming.capture.status.said[1]


def test_a_camera_that_breaks_is_opened_again_and_nothing_of_before_stays_in_the_slot():
    source = FakeFrameSource(pictures(3), paced=True, live=True)
    with Filming(source) as filming:
        filming.until(lambda: filming.capture.status.sessions >= 3)
    assert filming.states.count(CameraState.DOWN) >= 2
    assert filming.slot.take() is None
    assert source.closed >= 3


def test_a_flapping_camera_is_not_opened_ever_so_often():
    source = FakeFrameSource(pictures(1), paced=True, live=True)
    with Filming(source):
        time.sleep(1.0)
    assert source.opened <= 9  # 10 ms, doubling


def test_a_frozen_camera_gives_nothing_until_it_moves_again():
    still = pictures(1) * 60
    source = FakeFrameSource(
        [*pictures(5, 50), *still, *pictures(400, 100)], paced=True, live=True, interval_s=0.02
    )
    with Filming(source) as filming:
        filming.until(lambda: CameraState.FROZEN in filming.states)
        assert filming.slot.take() is None
        filming.until(lambda: filming.states[-1] is CameraState.UP)
    assert filming.states[:3] == [CameraState.UP, CameraState.FROZEN, CameraState.UP]


def test_a_recording_of_a_still_scene_is_not_frozen():
    source = FakeFrameSource(pictures(1) * 40, paced=True, interval_s=0.02)
    with Filming(source) as filming:
        filming.until(
            lambda: (filming.slot.take(), filming.slot.done(), CameraState.ENDED in filming.states)[2]
        )
    assert CameraState.FROZEN not in filming.states


def test_wrong_settings_are_not_tried_ever_so_often():
    class Misconfigured(FakeFrameSource):
        def open(self):
            self.opened += 1
            raise ConfigError("cameras.toml: url: mend it")

    source = Misconfigured([], paced=True, live=True)
    with Filming(source) as filming:
        filming.until(lambda: CameraState.DOWN in filming.states)
        time.sleep(0.3)
    assert source.opened == 1
    assert "mend it" in filming.capture.status.said[1]


def test_a_pause_does_not_look_hung():
    with Filming(FakeFrameSource([], paced=True, live=True, refusals=10**6)) as filming:
        time.sleep(1.2)
        assert time.monotonic_ns() - filming.capture.status.alive_ns < 900_000_000

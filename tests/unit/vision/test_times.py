"""Times that doors depend on: the end of a recording, the last sight of somebody, and the future."""

import threading
import time
from dataclasses import replace

import pytest

from gateway.domain.ids import CameraId
from gateway.domain.sightings import CameraState
from gateway.settings import Camera, Recognition, Vision
from gateway.vision.capture import Capture
from gateway.vision.codec import MalformedMessage, Seen, Setup
from gateway.vision.pipeline import Pipeline
from gateway.vision.sampler import Sampler
from gateway.vision.slot import LatestSlot
from gateway.vision.supervisor import _Life
from tests.fakes import faces
from tests.fakes.frame_source import FakeFrameSource
from tests.fakes.vision import MS, Face, FakeEngine, frame, picture


def test_a_recording_at_its_own_pace_ends_only_after_its_last_frame_was_analysed() -> None:
    stop, changed = threading.Event(), threading.Event()
    slot = LatestSlot(threading.Event())
    capture = Capture(
        camera_id=CameraId("cam-1"),
        source=FakeFrameSource([picture()], paced=True),
        slot=slot,
        frozen_after_s=3,
        stop=stop,
        on_change=changed.set,
    )
    thread = threading.Thread(target=capture.run)
    thread.start()
    try:
        end = time.monotonic() + 10
        while slot.take() is None:
            assert time.monotonic() < end
            time.sleep(0.005)
        time.sleep(0.1)
        assert capture.status.state is CameraState.UP, "the frame is still being analysed"
        slot.done()
        while capture.status.state is not CameraState.ENDED:
            assert time.monotonic() < end
            time.sleep(0.005)
    finally:
        stop.set()
        thread.join(10)
    assert not thread.is_alive()


def test_a_farewell_bears_every_time_of_the_frame_in_which_somebody_was_last_seen() -> None:
    pipeline = Pipeline(CameraId("cam-1"), 1, FakeEngine(), Sampler(of=5, liveness=True))
    start = time.monotonic_ns()
    # Frames ahead of now: none is stale.
    shown = [
        replace(frame(picture(Face(1), grain=i), start + i * 100 * MS, i), media_time_s=i / 10)
        for i in range(1, 5)
    ]
    left = [
        replace(frame(picture(grain=i), start + i * 100 * MS, i), media_time_s=i / 10) for i in range(5, 15)
    ]
    sightings = [s for f in [*shown, *left] for s in pipeline.process(f)]
    (gone,) = [s for s in sightings if s.ended]
    last = shown[-1]
    assert (gone.frame_ns, gone.captured_at, gone.media_time_s) == (
        last.mono_ns,
        last.captured_at,
        last.media_time_s,
    )


@pytest.mark.parametrize("ahead_ns", [1_000 * MS, 10_000 * MS])
def test_a_sighting_from_the_near_future_is_refused(ahead_ns: int) -> None:
    """It would still count as fresh when the person has long gone."""
    setup = Setup(
        epoch=1,
        cameras=(Camera(id="cam-1", url="fake:walk"),),
        liveness=("cam-1",),
        vision=Vision(),
        recognition=Recognition(),
        models_folder="/nowhere",
        threads=1,
    )
    then = time.monotonic_ns() + ahead_ns
    sample = faces.sample(faces.axis(0), at_ns=time.monotonic_ns())
    with pytest.raises(MalformedMessage):
        _Life(setup, None).check(Seen(faces.sighting(sample, at_ns=then)))  # type: ignore[arg-type]
    late = faces.sample(faces.axis(0), at_ns=then)
    with pytest.raises(MalformedMessage):
        _Life(setup, None).check(Seen(faces.sighting(late, at_ns=time.monotonic_ns())))  # type: ignore[arg-type]

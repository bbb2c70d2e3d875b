"""One camera's analysis with a scripted engine: evidence, swaps, cuts, staleness."""

import time
from datetime import UTC, datetime

import pytest

from gateway.domain.faces import Frame, QualityIssue
from gateway.domain.ids import CameraId
from gateway.domain.sightings import Settled, Sighting
from gateway.vision.pipeline import Pipeline
from gateway.vision.sampler import Sampler
from tests.fakes.engine import ScriptedEngine, face, noise
from tests.fakes.faces import axis, quality

STEP = 100_000_000


class Show:
    """Feeds frames whose clock runs ahead of the real one by ``STEP`` each."""

    def __init__(self, *, liveness: bool = True) -> None:
        self.engine = ScriptedEngine()
        self.pipeline = Pipeline(CameraId("c"), 7, self.engine, Sampler(of=5, liveness=liveness))
        self.now = time.monotonic_ns()
        self.seq = 0

    def frame(self, base: int = 120, seed: int | None = None) -> list[Sighting]:
        self.seq += 1
        self.now += STEP
        image = noise(self.seq if seed is None else seed, base=base)
        return self.pipeline.process(
            Frame(
                camera_id=CameraId("c"),
                seq=self.seq,
                mono_ns=self.now,
                captured_at=datetime.now(UTC),
                media_time_s=None,
                image=image,
            )
        )


@pytest.fixture
def show() -> Show:
    return Show()


def test_each_of_the_first_frames_gives_a_sample_and_a_sighting(show: Show):
    show.engine.faces = [face()]
    sightings = [s for _ in range(5) for s in show.frame()]
    assert [len(s.samples) for s in sightings] == [1, 2, 3, 4, 5]
    assert {s.track_id for s in sightings} == {1}
    assert all(s.nearest and s.worker_epoch == 7 for s in sightings)
    assert sightings[-1].first_usable_ns == sightings[0].frame_ns


def test_after_a_grant_nothing_more_is_embedded(show: Show):
    show.engine.faces = [face()]
    show.frame()
    show.pipeline.settle(1, Settled.GRANTED)
    before = dict(show.engine.calls)
    assert [s for _ in range(5) for s in show.frame()] == []
    assert show.engine.calls["embed"] == before["embed"]


def test_full_evidence_is_replaced_only_by_clearly_better(show: Show):
    show.engine.faces = [face()]
    for _ in range(5):
        show.frame()
    assert [s for _ in range(12) for s in show.frame()] == []
    show.engine.quality_now = quality(0.95)
    better = [s for _ in range(8) for s in show.frame()]
    assert better
    assert max(s.quality.score for s in better[0].samples) == 0.95


def test_again_forgets_and_collects_afresh(show: Show):
    show.engine.faces = [face()]
    for _ in range(5):
        show.frame()
    show.pipeline.settle(1, Settled.AGAIN)
    show.now += 1_200_000_000
    fresh = show.frame()
    assert [len(s.samples) for s in fresh] == [1]


def test_a_swapped_face_becomes_a_new_track(show: Show):
    """Two people must never add up in one track, however smoothly one takes the other's place."""
    show.engine.faces = [face()]
    first = [show.frame() for _ in range(2)][-1][0]
    show.engine.who = axis(1)
    second = show.frame()[0]
    assert second.track_id != first.track_id
    assert len(second.samples) == 1


def test_a_scene_cut_ends_every_track(show: Show):
    show.engine.faces = [face()]
    show.frame()
    sightings = show.frame(base=230)
    assert [s.ended for s in sightings] == [True, False]
    assert sightings[1].track_id != sightings[0].track_id


def test_only_the_nearest_face_gives_evidence(show: Show):
    show.engine.faces = [face(20, 10, 70, 90), face(200, 50, 30, 40)]
    show.frame()
    assert show.engine.calls["embed"] == 1


def test_an_unusable_face_is_told_after_two_seconds_and_not_embedded(show: Show):
    show.engine.faces = [face()]
    show.engine.quality_now = quality(0.2, QualityIssue.BLURRED)
    sightings = [s for _ in range(25) for s in show.frame()]
    assert sightings
    assert sightings[0].poor is QualityIssue.BLURRED
    assert sightings[0].frame_ns - sightings[0].first_seen_ns >= 2_000_000_000
    assert len(sightings) <= 2, "at most once a second"
    assert "embed" not in show.engine.calls


def test_unjudged_liveness_waits_a_second_where_liveness_counts(show: Show):
    show.engine.faces = [face()]
    show.engine.live_now = None
    sightings = [s for _ in range(9) for s in show.frame()]
    assert sightings == []
    late = [s for _ in range(5) for s in show.frame()]
    assert late, "after a second control hears why the door stays shut"
    assert late[0].samples[0].live is None


def test_unjudged_liveness_counts_where_it_is_off():
    show = Show(liveness=False)
    show.engine.faces = [face()]
    show.engine.live_now = None
    assert [len(s.samples) for s in show.frame()] == [1]


def test_a_stale_frame_is_not_looked_at(show: Show):
    show.engine.faces = [face()]
    show.now -= 5_000_000_000
    assert show.frame() == []
    assert "detect" not in show.engine.calls


def test_an_idle_scene_is_looked_at_once_a_second(show: Show):
    for _ in range(20):
        show.frame(seed=1)
    assert 2 <= show.engine.calls["detect"] <= 13, "the first second, then once each"


def test_the_end_of_the_camera_ends_the_tracks(show: Show):
    show.engine.faces = [face()]
    show.frame()
    assert [s.ended for s in show.pipeline.end()] == [True]
    assert show.pipeline.end() == []

import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from gateway.domain.faces import QualityIssue
from gateway.domain.ids import CameraId
from gateway.domain.sightings import Settled
from gateway.vision.pipeline import Pipeline
from gateway.vision.sampler import Sampler
from tests.fakes import faces
from tests.fakes.vision import MS, Face, FakeEngine, frame, picture

STEP = 66 * MS


class Scene:
    """A pipeline and the pictures it is shown, one every 66 ms of a clock that runs ahead of the real one."""

    def __init__(self, *, of=5, liveness=True, **engine):
        self.engine = FakeEngine(**engine)
        self.pipeline = Pipeline(CameraId("cam-1"), 7, self.engine, Sampler(of=of, liveness=liveness))
        self.now = time.monotonic_ns()
        self.seq = 0

    def show(self, *pictures):
        found = []
        for shown in pictures:
            self.now += STEP
            self.seq += 1
            found += self.pipeline.process(frame(shown, self.now, self.seq))
        return found

    def walk(self, who, steps, *, x=200, shade=90):
        """Somebody walks on; every picture is a little different."""
        found = []
        for i in range(steps):
            found += self.show(self.grainy(Face(who, x=x + self.seq % 7, y=100 + i % 3), shade=shade))
        return found

    def grainy(self, *shown, shade=90):
        """A picture that is like none before."""
        image = picture(*shown, shade=shade)
        for face in shown:
            image[face.y + 1, face.x + 1, 1:] = divmod(self.seq, 250)
        return image


def test_evidence_comes_with_the_first_frames_and_each_sighting_holds_all_of_it():
    found = Scene(of=3).walk(4, 10)
    assert [len(s.samples) for s in found] == [1, 2, 3]
    assert {s.track_id for s in found} == {1}
    assert {s.worker_epoch for s in found} == {7}
    assert all(float(s.samples[-1].embedding @ faces.axis(4)) > 0.99 for s in found)
    assert all(s.first_usable_ns == found[0].frame_ns for s in found)
    assert len({s.frame_mono_ns for s in found[-1].samples}) == 3


def test_stage_times_are_filled():
    stages = Scene().walk(1, 1)[0].stages
    assert stages.motion > 0
    assert stages.detect > 0
    assert min(stages.wait, stages.quality, stages.liveness, stages.embed) >= 0


def test_one_picture_shown_again_and_again_is_one_sample():
    still = picture(Face(1))
    found = Scene().show(*[still] * 50)
    assert [len(s.samples) for s in found] == [1]


def test_pictures_that_come_round_again_are_no_new_evidence():
    round_trip = [picture(Face(1)), picture(Face(1))]
    round_trip[1][110, 210, 2] = 7
    found = Scene().show(*round_trip * 20)
    assert [len(s.samples) for s in found] == [1, 2]


def test_an_empty_still_room_costs_one_look_a_second():
    scene = Scene()
    scene.show(*(picture(grain=i) for i in range(150)))
    assert scene.engine.detected <= 15 + 15  # a second after the first picture, then ten seconds


def test_who_stands_still_from_the_start_is_seen_within_a_second():
    scene = Scene()
    scene.show(*(picture(grain=i) for i in range(60)))
    creeping = picture(grain=0)
    creeping[100:200, 200:300] = (255, 85, 90)  # as grey as the room: the gate sees nothing
    assert scene.show(*[creeping] * 17)


def test_a_granted_track_is_not_embedded_but_for_a_check_now_and_then():
    scene = Scene(of=3)
    scene.walk(2, 5)
    scene.pipeline.settle(1, Settled.GRANTED)
    before = scene.engine.embedded
    assert scene.walk(2, 60) == []
    assert scene.engine.embedded - before <= 3


def test_who_takes_the_place_of_a_granted_person_gets_a_track_of_their_own():
    scene = Scene(of=3)
    scene.walk(2, 5)
    scene.pipeline.settle(1, Settled.GRANTED)
    found = scene.walk(5, 60)
    assert [s.track_id for s in found if s.ended] == [1]
    last = next(s for s in found if s.ended)
    assert last.frame_ns == last.samples[-1].frame_mono_ns
    fresh = [s for s in found if not s.ended]
    assert {s.track_id for s in fresh} == {2}
    assert len(fresh[-1].samples) == 3


def test_no_sighting_ever_holds_two_people():
    scene = Scene(of=5)
    found = scene.walk(1, 2) + scene.walk(2, 8) + scene.walk(3, 3) + scene.walk(1, 10) + scene.pipeline.end()
    assert found
    for sighting in found:
        people = {int(s.embedding.argmax()) for s in sighting.samples}
        assert len(people) <= 1
    assert {int(s.samples[0].embedding.argmax()) for s in found if s.samples} >= {1, 2}


def test_a_cut_begins_a_new_track_even_when_the_face_is_in_the_same_place():
    scene = Scene(of=5)
    before = scene.walk(1, 3)
    after = scene.walk(1, 3, shade=220)
    assert {s.track_id for s in before} == {1}
    assert [s.track_id for s in after if s.ended] == [1]
    assert {s.track_id for s in after if not s.ended} == {2}


def test_a_cut_seen_in_a_frame_too_old_to_look_at_still_counts():
    scene = Scene(of=5)
    scene.walk(1, 3)
    old = time.monotonic_ns() - 5_000 * MS
    assert scene.pipeline.process(frame(picture(Face(1), shade=220), old)) == []
    assert scene.pipeline.stale == 1
    assert {s.track_id for s in scene.walk(1, 3, shade=220) if not s.ended} == {2}


def test_only_the_nearest_gives_evidence():
    scene = Scene(of=3)
    small, large = Face(1, x=50, size=60), Face(2, x=300, size=120)
    found = []
    for _ in range(5):
        found += scene.show(scene.grainy(small, large))
    assert found
    assert {int(s.samples[0].embedding.argmax()) for s in found} == {2}


def test_a_face_that_stays_poor_is_told_of_without_samples():
    scene = Scene(issues=(QualityIssue.BLURRED,))
    found = scene.walk(1, 60)
    assert found
    assert {(s.poor, s.samples) for s in found} == {(QualityIssue.BLURRED, ())}
    assert scene.engine.embedded == scene.engine.judged == 0


def test_without_liveness_samples_come_only_after_a_second():
    scene = Scene(of=3, live_score=None)
    found = scene.walk(1, 14)
    assert found == []
    assert scene.engine.embedded == 0
    assert scene.walk(1, 10)[-1].samples[0].live is None


def test_landmarks_in_one_point_are_no_face():
    scene = Scene(bad_landmarks=True)
    assert scene.walk(1, 5) == []


def test_a_camera_that_goes_ends_its_tracks_once():
    scene = Scene()
    scene.walk(1, 3)
    last = scene.pipeline.end()
    assert [(s.track_id, s.ended, len(s.samples)) for s in last] == [(1, True, 3)]
    assert scene.pipeline.end() == []


def test_a_face_that_leaves_ends_with_its_last_evidence():
    scene = Scene()
    seen = scene.walk(1, 3)
    gone = scene.show(*(picture(grain=i) for i in range(15)))
    assert [(s.ended, s.frame_ns) for s in gone] == [(True, seen[-1].frame_ns)]
    assert gone[0].captured_at == seen[-1].captured_at  # of its own frame, not of the one that missed it
    assert gone[0].samples == seen[-1].samples


@pytest.mark.parametrize("live", [float("nan"), -0.5, 1.5])
def test_a_liveness_that_is_no_probability_judges_nothing(live):
    scene = Scene(live_score=live)
    assert scene.walk(1, 5) == []
    assert scene.engine.embedded == 0


@pytest.mark.parametrize("settled", list(Settled))
def test_a_word_about_an_unknown_track_is_ignored(settled):
    Scene().pipeline.settle(99, settled)


def test_a_film_analysed_at_any_speed_gives_the_same_evidence():
    def play(arrivals_ms):
        engine = FakeEngine()
        sampler = Sampler(of=5, liveness=True)
        pipeline = Pipeline(CameraId("cam-1"), 7, engine, sampler, film_time=True)
        now, found = time.monotonic_ns(), []
        for i in range(40):
            now += arrivals_ms * MS
            shown = Scene.grainy(SimpleNamespace(seq=i), Face(1, x=200 + i % 5))
            found += pipeline.process(replace(frame(shown, now, i), media_time_s=i / 30))
        return [tuple(s.media_time_s for s in f.samples) for f in found], found[-1]

    quick, last = play(3)
    assert quick == play(200)[0]
    assert len(quick[-1]) == 5
    assert min(np.diff(quick[-1])) > 0.05
    film_s = (last.frame_ns - last.first_seen_ns) / 1e9
    assert film_s == pytest.approx(last.media_time_s, abs=0.01)


def test_a_film_that_begins_again_goes_on():
    scene = Scene()
    scene.pipeline.film_time = True
    for i in range(60):
        shown = replace(frame(scene.grainy(Face(1)), scene.now + i, i), media_time_s=(i % 20) / 10)
        scene.seq += 1
        scene.pipeline.process(shown)
    assert len(scene.pipeline.end()[0].samples) == 5

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from gateway.domain.sightings import Settled
from gateway.vision.sampler import SPACING_NS, Evidence, Sampler
from gateway.vision.timing import Stamp
from tests.fakes import faces
from tests.fakes.vision import MS

S = 1000 * MS
STRICT = Sampler(of=3, liveness=True)
LAX = Sampler(of=3, liveness=False)


def at(first_seen_ns, **known):
    stamp = Stamp(first_seen_ns, first_seen_ns, datetime.now(UTC), None)
    return Evidence(first_seen_ns, stamp, **known)


def holding(*samples):
    evidence = at(0, first_usable_ns=0)
    evidence.samples = list(samples)
    return evidence


def worth(sampler, evidence, score, live, now=10 * S):
    return sampler.worth_embedding(evidence, faces.quality(score), live, now)


class TestWants:
    def test_the_first_usable_frame_is_wanted_at_once(self):
        assert STRICT.wants(at(0), S)

    def test_two_samples_are_not_of_the_same_moment(self):
        evidence = at(0, last_ns=S)
        assert not STRICT.wants(evidence, S + SPACING_NS - 1)
        assert STRICT.wants(evidence, S + SPACING_NS)

    def test_full_evidence_is_bettered_twice_a_second_at_most(self):
        evidence = holding(*[faces.sample(faces.axis(0))] * 3)
        evidence.last_ns = S
        assert not STRICT.wants(evidence, S + 499 * MS)
        assert STRICT.wants(evidence, S + 500 * MS)

    def test_a_granted_track_is_left_alone(self):
        evidence = holding(faces.sample(faces.axis(0)))
        STRICT.settle(evidence, Settled.GRANTED, 0)
        assert not STRICT.wants(evidence, 100 * S)

    def test_a_denied_track_is_looked_at_twice_a_second_at_most(self):
        evidence = holding(faces.sample(faces.axis(0)))
        evidence.last_ns = S
        STRICT.settle(evidence, Settled.DENIED, S)
        assert not STRICT.wants(evidence, S + 499 * MS)
        assert STRICT.wants(evidence, S + 500 * MS)

    def test_again_waits_a_second_and_begins_afresh(self):
        evidence = holding(faces.sample(faces.axis(0)))
        STRICT.settle(evidence, Settled.AGAIN, S)
        assert not evidence.samples
        assert not STRICT.wants(evidence, S + 999 * MS)
        assert STRICT.wants(evidence, 2 * S)
        assert evidence.settled is None


class TestWorthEmbedding:
    def test_with_room_any_judged_sample_is(self):
        assert worth(STRICT, holding(), 0.1, 0.0)

    def test_a_full_track_takes_only_the_clearly_better(self):
        evidence = holding(*(faces.sample(faces.axis(0), score=s) for s in (0.5, 0.7, 0.9)))
        assert not worth(STRICT, evidence, 0.59, 0.9)
        assert worth(STRICT, evidence, 0.61, 0.9)

    def test_liveness_outweighs_quality_where_it_is_required(self):
        evidence = holding(*(faces.sample(faces.axis(0), live=None, score=0.9) for _ in range(3)))
        assert worth(STRICT, evidence, 0.3, 0.9)
        assert not worth(LAX, evidence, 0.3, 0.9)

    def test_without_liveness_a_sample_waits_a_second_for_better_ones(self):
        assert not worth(STRICT, holding(), 0.9, None, now=S - 1)
        assert worth(STRICT, holding(), 0.9, None, now=S)
        judged = holding()
        judged.last_ns = S
        STRICT.add(judged, faces.sample(faces.axis(0)))
        assert not worth(STRICT, judged, 0.9, None, now=2 * S - 1)
        assert worth(STRICT, judged, 0.9, None, now=2 * S)
        assert worth(LAX, holding(), 0.9, None, now=0)

    def test_the_worst_makes_room(self):
        samples = [faces.sample(faces.axis(0), score=s) for s in (0.7, 0.5, 0.9)]
        evidence = holding(*samples)
        STRICT.add(evidence, faces.sample(faces.axis(0), score=0.8))
        assert [s.quality.score for s in evidence.samples] == [0.7, 0.9, 0.8]


class TestSamePerson:
    def test_one_odd_look_is_left_out_two_end_the_track(self):
        evidence = holding(faces.sample(faces.axis(0)))
        assert not LAX.agrees(evidence, faces.axis(1), 0)
        assert not LAX.somebody_else(evidence)
        assert not LAX.agrees(evidence, faces.axis(1), 0)
        assert LAX.somebody_else(evidence)

    def test_agreement_forgives(self):
        evidence = holding(faces.sample(faces.axis(0)))
        for who in (1, 0, 1, 0):
            LAX.agrees(evidence, faces.axis(who), 0)
        assert not LAX.somebody_else(evidence)

    def test_a_settled_track_is_checked_now_and_then_and_at_once_when_in_doubt(self):
        evidence = holding(faces.sample(faces.axis(0)))
        LAX.settle(evidence, Settled.GRANTED, 0)
        LAX.agrees(evidence, faces.axis(0), 10 * S)
        assert not LAX.doubts(evidence, 12 * S - 1)
        assert LAX.doubts(evidence, 12 * S)
        LAX.agrees(evidence, faces.axis(1), 12 * S)
        assert LAX.doubts(evidence, 12 * S + SPACING_NS)

    def test_a_track_without_samples_has_nothing_to_compare(self):
        assert not LAX.doubts(at(0), 100 * S)
        assert LAX.agrees(at(0), faces.axis(3), 0)


def test_the_same_pixels_count_once_however_often_they_come():
    evidence = at(0)
    assert [evidence.repeats(n) for n in (1, 2, 1, 2, 3)] == [False, False, True, True, False]
    for n in range(1000):
        evidence.repeats(n)
    assert len(evidence._pictures) <= 64


@pytest.mark.parametrize("poor", [None, faces.QualityIssue.BLURRED])
def test_poor_faces_are_told_of_after_two_seconds_and_once_a_second(poor):
    evidence = replace(at(10 * S), poor=poor)
    told = [t for t in range(10_000, 16_000, 100) if STRICT.tell_poor(evidence, t * MS)]
    assert told == ([] if poor is None else [12_000, 13_000, 14_000, 15_000])

"""Open-set identification: what it takes, and everything that must not be enough."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.faces import QualityIssue, freeze
from gateway.domain.gallery import Gallery
from gateway.domain.identity import (
    Ambiguous,
    LivenessUnclear,
    PoorImage,
    Recognised,
    SpoofSuspected,
    Stranger,
    Undecided,
    identify,
    strength,
)
from gateway.domain.ids import ModelId, PersonId
from tests.fakes.faces import DIM, MODEL, NOW_NS, POLICY, axis, gallery, like, sample, sighting


def look(*samples, liveness=True, **kw):
    return identify(sighting(*samples, **kw), gallery(), POLICY, liveness=liveness)


def test_three_agreeing_live_samples_recognise():
    result = look(*[sample(like(1, 0.8))] * 3)
    assert isinstance(result, Recognised)
    assert result.person_id == "p1"
    assert abs(result.score - 0.8) < 1e-5


def test_one_or_two_frames_alone_never_recognise():
    for n in (1, 2):
        assert isinstance(look(*[sample(axis(1))] * n), Undecided)
        assert isinstance(look(*[sample(axis(1))] * n, ended=True), Undecided)


def test_below_the_threshold_is_a_stranger_once_the_evidence_is_full():
    poor = sample(like(1, 0.45))
    assert isinstance(look(*[poor] * 3), Undecided)
    result = look(*[poor] * 5)
    assert isinstance(result, Stranger)
    assert abs(result.score - 0.45) < 1e-5


def test_k_of_n_lets_two_weak_samples_pass():
    good, weak = sample(like(1, 0.8)), sample(like(1, 0.3))
    assert isinstance(look(weak, good, weak, good, good), Recognised)
    assert isinstance(look(weak, good, weak, good, weak), Stranger)


def test_two_people_named_by_one_track_is_ambiguous_whoever_leads():
    a, b = sample(like(0, 0.9)), sample(like(1, 0.9))
    assert isinstance(look(a, a, a, a, b), Ambiguous)


def test_a_thin_margin_is_ambiguous():
    between = freeze(axis(0) + 0.95 * axis(1))
    assert isinstance(look(*[sample(between)] * 5), Ambiguous)


def test_unjudged_liveness_does_not_count_where_liveness_is_required():
    dark = sample(axis(1), live=None)
    assert isinstance(look(*[dark] * 5), LivenessUnclear)
    assert isinstance(look(*[dark] * 5, liveness=False), Recognised)


def test_a_spoof_is_suspected_whomever_it_shows():
    fake = sample(axis(1), live=0.1)
    assert isinstance(look(*[fake] * 5), SpoofSuspected)
    assert isinstance(look(*[fake] * 3), Undecided), "the full evidence first"


def test_liveness_that_is_no_number_is_no_yes():
    assert not isinstance(look(*[sample(axis(1), live=float("nan"))] * 5), Recognised)


def test_identity_from_unjudged_and_liveness_from_others_do_not_add_up():
    """A live stranger's liveness must not vouch for a photograph's identity."""
    photo, stranger = sample(axis(1), live=None), sample(like(2, 0.1), live=0.99)
    assert not isinstance(look(photo, photo, photo, stranger, stranger), Recognised)


def test_samples_of_another_model_are_ignored():
    other = sample(axis(1), model=ModelId("other:1"))
    assert isinstance(look(*[other] * 5), Undecided)


def test_an_empty_gallery_knows_nobody():
    empty = Gallery.of(MODEL, {})
    result = identify(sighting(*[sample(axis(1))] * 5), empty, POLICY, liveness=True)
    assert isinstance(result, Stranger)
    assert result.score is None


def test_a_face_that_stays_unusable_is_told_so():
    waiting = {"first_seen_ns": NOW_NS - 3_000_000_000, "poor": QualityIssue.BLURRED}
    assert look(**waiting) == PoorImage(issue=QualityIssue.BLURRED)
    assert isinstance(look(poor=QualityIssue.BLURRED), Undecided)


def test_strength_counts_only_what_counts():
    s = sighting(*[sample(axis(0), live=None, score=0.9)] * 3)
    assert strength(s, POLICY, liveness=True) == 0
    assert abs(strength(s, POLICY, liveness=False) - 0.9) < 1e-9


@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.floats(-1, 1), st.one_of(st.none(), st.floats(0, 1)), st.booleans()),
        max_size=6,
    ),
    st.booleans(),
)
@settings(max_examples=300)
def test_recognised_always_has_k_samples_above_threshold_and_margin(rows, ended):
    """Whatever the evidence, a recognition rests on k judged samples that each clear every bar."""
    samples = [
        sample(like(i, c), live=live, model=MODEL if ours else ModelId("x")) for i, c, live, ours in rows
    ]
    result = identify(sighting(*samples, ended=ended), gallery(), POLICY, liveness=True)
    if isinstance(result, Recognised):
        row = int(result.person_id[1:])
        clear = [
            s
            for s in samples
            if s.live is not None
            and s.model_id == MODEL
            and float(s.embedding @ axis(row)) >= POLICY.threshold - 1e-6
        ]
        assert len(clear) >= POLICY.agree
        assert result.live is not None
        assert result.live >= POLICY.live_threshold
        assert result.margin >= POLICY.margin


@given(st.integers(1, 40), st.integers(1, 4), st.integers(0, 2**32 - 1))
@settings(max_examples=60)
def test_search_agrees_with_a_plain_loop(people, each, seed):
    rng = np.random.default_rng(seed)
    templates = {
        PersonId(f"p{i}"): [freeze(rng.normal(size=DIM)) for _ in range(each)] for i in range(people)
    }
    probe = freeze(rng.normal(size=DIM))
    match = Gallery.of(MODEL, templates).search(probe)
    ranked = sorted(((max(float(t @ probe) for t in rows), p) for p, rows in templates.items()), reverse=True)
    assert match.person_id == ranked[0][1]
    assert abs(match.score - ranked[0][0]) < 1e-5
    if people > 1:
        assert abs(match.runner_up - ranked[1][0]) < 1e-5

"""The access rule: an AND of verdicts, each of which alone keeps the door shut."""

import itertools
from datetime import UTC, datetime, timedelta, timezone

import pytest

from gateway.domain.access import Rules, Situation, decide
from gateway.domain.decisions import Deny, DenyReason, Grant
from gateway.domain.faces import QualityIssue
from gateway.domain.identity import (
    Ambiguous,
    LivenessUnclear,
    PoorImage,
    Recognised,
    SpoofSuspected,
    Stranger,
    Undecided,
)
from gateway.domain.ids import GrantId, PersonId
from gateway.domain.people import PersonStatus
from tests.fakes.faces import DOOR, NOW_NS, person, roster

SECOND = 1_000_000_000
RULES = Rules(
    access_point_id=DOOR,
    liveness_required=True,
    evidence_max_age_ns=SECOND,
    roster_max_age_ns=3600 * SECOND,
    grant_ttl_ns=SECOND,
)
SECOND_OF_WALL = timedelta(seconds=1)
NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
KNOWN = Recognised(person_id=PersonId("p0"), score=0.8, margin=0.5, live=0.9)


def situation(**changes):
    base = {
        "now_ns": NOW_NS,
        "now": NOON,
        "evidence_ns": NOW_NS - SECOND // 10,
        "roster": roster(),
        "liveness_available": True,
        "door_ready": True,
        "door_busy": False,
    }
    return Situation(**{**base, **changes})


def outcome(identity=KNOWN, rules=RULES, **changes):
    return decide(identity, rules, situation(**changes), GrantId("g"))


def test_everything_right_is_a_grant_with_a_deadline():
    verdict = outcome()
    assert verdict == Grant(
        grant_id=GrantId("g"), access_point_id=DOOR, person_id=PersonId("p0"), expires_ns=NOW_NS + SECOND
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"liveness_available": False}, DenyReason.LIVENESS_UNAVAILABLE),
        ({"evidence_ns": NOW_NS - 2 * SECOND}, DenyReason.EVIDENCE_STALE),
        ({"evidence_ns": NOW_NS + SECOND}, DenyReason.EVIDENCE_STALE),
        ({"roster": None}, DenyReason.ROSTER_STALE),
        ({"roster": roster(checked_ns=NOW_NS - 7200 * SECOND)}, DenyReason.ROSTER_STALE),
        ({"roster": roster(person(1))}, DenyReason.UNKNOWN_PERSON),
        ({"roster": roster(person(0, PersonStatus.SUSPENDED))}, DenyReason.PERSON_NOT_ACTIVE),
        ({"roster": roster(person(0, PersonStatus.LEFT))}, DenyReason.PERSON_NOT_ACTIVE),
        ({"roster": roster(person(0, consented=False))}, DenyReason.NO_CONSENT),
        ({"roster": roster(person(0, access_points=frozenset()))}, DenyReason.NOT_PERMITTED_HERE),
        ({"door_ready": False}, DenyReason.DOOR_NOT_READY),
        ({"door_busy": True}, DenyReason.BUSY),
    ],
)
def test_each_missing_verdict_alone_denies(changes, reason):
    verdict = outcome(**changes)
    assert isinstance(verdict, Deny)
    assert verdict.reason is reason


@pytest.mark.parametrize(
    ("identity", "reason"),
    [
        (Stranger(score=0.2, live=0.9), DenyReason.UNKNOWN_PERSON),
        (Ambiguous(score=0.7, margin=0.01, live=0.9), DenyReason.AMBIGUOUS_PERSON),
        (SpoofSuspected(score=0.9, live=0.1), DenyReason.LIVENESS_FAILED),
        (LivenessUnclear(score=0.9, judged=0), DenyReason.LIVENESS_UNCLEAR),
        (PoorImage(issue=QualityIssue.BLURRED), DenyReason.POOR_IMAGE),
        (Recognised(person_id=PersonId("p0"), score=0.9, margin=0.5, live=None), DenyReason.LIVENESS_UNCLEAR),
    ],
)
def test_every_identity_but_a_live_recognition_denies(identity, reason):
    verdict = outcome(identity)
    assert isinstance(verdict, Deny)
    assert verdict.reason is reason


def test_undecided_is_no_decision():
    assert outcome(Undecided()) is None


def test_a_door_with_liveness_off_needs_no_liveness_model():
    off = Rules(
        access_point_id=DOOR,
        liveness_required=False,
        evidence_max_age_ns=SECOND,
        roster_max_age_ns=SECOND,
        grant_ttl_ns=SECOND,
    )
    unjudged = Recognised(person_id=PersonId("p0"), score=0.8, margin=0.5, live=None)
    assert isinstance(outcome(unjudged, off, liveness_available=False), Grant)


def test_a_grant_needs_every_verdict_at_once():
    """All 2^6 combinations of good and bad verdicts: exactly one opens."""
    bad = {
        "evidence_ns": NOW_NS - 2 * SECOND,
        "roster": roster(person(0, consented=False)),
        "liveness_available": False,
        "door_ready": False,
        "door_busy": True,
    }
    grants = 0
    for flags in itertools.product([False, True], repeat=len(bad) + 1):
        changes = {k: v for (k, v), on in zip(bad.items(), flags, strict=False) if on}
        identity = Stranger(score=None, live=None) if flags[-1] else KNOWN
        verdict = outcome(identity, **changes)
        grants += isinstance(verdict, Grant)
        assert isinstance(verdict, Grant) == (not any(flags))
    assert grants == 1


@pytest.mark.parametrize(
    ("left", "opens"),
    [
        (timedelta(microseconds=1), True),
        (timedelta(0), False),
        (timedelta(microseconds=-1), False),
        (timedelta(days=-400), False),
        (None, True),
    ],
)
def test_a_consent_counts_up_to_the_moment_of_its_end_whenever_the_roster_was_read(left, opens):
    until = None if left is None else NOON + left
    verdict = outcome(roster=roster(person(0, consent_until=until)))
    assert isinstance(verdict, Grant) is opens
    if not opens:
        assert verdict.reason is DenyReason.NO_CONSENT


def test_the_end_of_a_consent_is_a_moment_whatever_zone_it_is_written_in():
    until = NOON.astimezone(timezone(timedelta(hours=9)))
    assert outcome(roster=roster(person(0, consent_until=until))).reason is DenyReason.NO_CONSENT
    assert isinstance(
        outcome(roster=roster(person(0, consent_until=until)), now=NOON - SECOND_OF_WALL), Grant
    )


def test_a_withdrawn_consent_is_none_however_long_it_would_have_lasted():
    gone = person(0, consented=False, consent_until=NOON + timedelta(days=1))
    assert outcome(roster=roster(gone)).reason is DenyReason.NO_CONSENT

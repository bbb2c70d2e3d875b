"""The access rule: a pure function. A door opens only for an AND of independent verdicts."""

from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from gateway.domain.decisions import Deny, DenyReason, Grant
from gateway.domain.identity import (
    Ambiguous,
    Identity,
    LivenessUnclear,
    PoorImage,
    Recognised,
    SpoofSuspected,
    Stranger,
    Undecided,
)
from gateway.domain.ids import AccessPointId, GrantId, PersonId
from gateway.domain.people import Person, PersonStatus, Roster


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a site demands at one access point."""

    access_point_id: AccessPointId
    liveness_required: bool
    evidence_max_age_ns: int
    roster_max_age_ns: int
    grant_ttl_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """Everything else a decision rests on, read once."""

    now_ns: int
    now: datetime
    """UTC. Only what a calendar says ends by it; every age and deadline is monotonic."""
    evidence_ns: int
    """Monotonic arrival of the newest frame of the evidence."""
    roster: Roster | None
    liveness_available: bool
    door_ready: bool
    door_busy: bool
    obstacle: DenyReason | None = None
    """What the door itself has against it now: locked down, interlocked, somebody expected from elsewhere."""


def decide(identity: Identity, rules: Rules, situation: Situation, grant_id: GrantId) -> Grant | Deny | None:
    """Grant, deny with a reason, or None while there is nothing to decide yet.

    Every missing, late or stale verdict is a no.
    """
    if isinstance(identity, Undecided):
        return None
    deny = _DenyAt(rules.access_point_id)
    if rules.liveness_required and not situation.liveness_available:
        return deny(DenyReason.LIVENESS_UNAVAILABLE)
    age = situation.now_ns - situation.evidence_ns
    if age > rules.evidence_max_age_ns or age < 0:
        return deny(DenyReason.EVIDENCE_STALE)
    if isinstance(identity, Recognised):
        return _decide_person(identity, rules, situation, grant_id, deny)
    return deny(_reason(identity))


def _decide_person(
    identity: Recognised, rules: Rules, situation: Situation, grant_id: GrantId, deny: "_DenyAt"
) -> Grant | Deny:
    if rules.liveness_required and identity.live is None:
        return deny(DenyReason.LIVENESS_UNCLEAR)
    roster, who = situation.roster, identity.person_id
    if roster is None or situation.now_ns - roster.checked_ns > rules.roster_max_age_ns:
        return deny(DenyReason.ROSTER_STALE)
    person = roster.people.get(who)
    if person is None:
        return deny(DenyReason.UNKNOWN_PERSON)
    reason = _against(person, rules, situation.now) or _hardware(situation)
    if reason is not None:
        return deny(reason, who)
    return Grant(
        grant_id=grant_id,
        access_point_id=rules.access_point_id,
        person_id=who,
        expires_ns=situation.now_ns + rules.grant_ttl_ns,
    )


def _against(person: Person, rules: Rules, now: datetime) -> DenyReason | None:
    """What speaks against this person at this access point."""
    if person.status is not PersonStatus.ACTIVE:
        return DenyReason.PERSON_NOT_ACTIVE
    if not person.consented_at(now):
        return DenyReason.NO_CONSENT
    if rules.access_point_id not in person.access_points:
        return DenyReason.NOT_PERMITTED_HERE
    return None


def _hardware(situation: Situation) -> DenyReason | None:
    if not situation.door_ready:
        return DenyReason.DOOR_NOT_READY
    if situation.obstacle is not None:
        return situation.obstacle
    return DenyReason.BUSY if situation.door_busy else None


def _reason(
    identity: Stranger | Ambiguous | SpoofSuspected | LivenessUnclear | PoorImage,
) -> DenyReason:
    match identity:
        case Stranger():
            return DenyReason.UNKNOWN_PERSON
        case Ambiguous():
            return DenyReason.AMBIGUOUS_PERSON
        case SpoofSuspected():
            return DenyReason.LIVENESS_FAILED
        case LivenessUnclear():
            return DenyReason.LIVENESS_UNCLEAR
        case PoorImage():
            return DenyReason.POOR_IMAGE
        case _:
            assert_never(identity)


@dataclass(frozen=True, slots=True)
class _DenyAt:
    """Shorthand for a denial at one access point."""

    access_point_id: AccessPointId

    def __call__(self, reason: DenyReason, person_id: PersonId | None = None) -> Deny:
        return Deny(access_point_id=self.access_point_id, reason=reason, person_id=person_id)

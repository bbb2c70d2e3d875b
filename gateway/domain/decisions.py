"""What a walk-up can end in."""

from dataclasses import dataclass
from enum import StrEnum

from gateway.domain.ids import AccessPointId, GrantId, PersonId


class DenyReason(StrEnum):
    """Why a door stayed shut. The values are stable: they are in events and in the API."""

    UNKNOWN_PERSON = "unknown_person"
    AMBIGUOUS_PERSON = "ambiguous_person"
    LIVENESS_FAILED = "liveness_failed"
    LIVENESS_UNCLEAR = "liveness_unclear"
    LIVENESS_UNAVAILABLE = "liveness_unavailable"
    POOR_IMAGE = "poor_image"
    PERSON_NOT_ACTIVE = "person_not_active"
    NO_CONSENT = "no_consent"
    NOT_PERMITTED_HERE = "not_permitted_here"
    ROSTER_STALE = "roster_stale"
    EVIDENCE_STALE = "evidence_stale"
    DOOR_NOT_READY = "door_not_ready"
    DOOR_LOCKED_DOWN = "door_locked_down"
    INTERLOCK = "interlock"
    """Another door of the same interlock is open, not proven shut, or just being used."""
    BUSY = "busy"
    JOURNAL_UNAVAILABLE = "journal_unavailable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """Permission for one pulse at one access point, until a monotonic deadline."""

    grant_id: GrantId
    access_point_id: AccessPointId
    person_id: PersonId
    expires_ns: int
    extended: bool = False
    """This person needs more time: the longer pulse, and longer until the door counts as held open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deny:
    """The door stays shut, for this reason."""

    access_point_id: AccessPointId
    reason: DenyReason
    person_id: PersonId | None = None

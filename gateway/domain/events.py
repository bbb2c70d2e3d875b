"""The ledger's events and the chain that binds them.

The canonical form is UTF-8 JSON with sorted keys and no white space; times are RFC 3339 in UTC with
microseconds. ``hash = SHA-256(prev_hash || canonical form)``; the first ``prev_hash`` is 32 zero bytes.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from gateway.domain.ids import AccessPointId, EventId, GatewayId, GrantId, PersonId

GENESIS = bytes(32)
SCHEMA_VERSION = 1

Json = str | int | float | bool | None | list["Json"] | dict[str, "Json"]


class EventKind(StrEnum):
    """What happened; access events carry ONVIF's names."""

    ACCESS_GRANTED = "access_granted"
    """The intent: written and synced before the unlock frame leaves."""
    UNLOCK_OUTCOME = "unlock_outcome"
    """What became of the frame; exactly one for each access_granted."""
    ACCESS_DENIED = "access_denied"
    ACCESS_TAKEN = "access_taken"
    """The person of a grant went through; what anti-passback builds on."""
    ACCESS_NOT_TAKEN = "access_not_taken"
    """Nobody went through on a grant, or nothing could tell (``"passage": "unknown"``)."""
    DOOR_MODE = "door_mode"
    """A door's state changed: locked, released, open, held, fire, lockdown …"""
    DOOR_ALARM = "door_alarm"
    """An alarm of a door was raised or cleared: forced, held open, tamper, stuck, tailgate, wrong way …"""
    DOOR_REQUEST = "door_request"
    """Somebody asked to go out by the request-to-exit sensor."""
    DOOR_ORDER = "door_order"
    """An operator's order: hold open, lock down, acknowledge; written before it is carried out."""
    GATEWAY_STARTED = "gateway_started"
    GATEWAY_STOPPED = "gateway_stopped"
    CAMERA_STATE = "camera_state"
    WORKER_STATE = "worker_state"
    DOOR_STATE = "door_state"
    ALARM = "alarm"
    ROSTER_SOURCE = "roster_source"
    """By whose word doors decide who may pass: the database, its last one, or the sealed copy on disk."""
    PERSON_ENROLLED = "person_enrolled"
    OPERATOR_ACTION = "operator_action"
    """Somebody changed something, or looked at a photograph: who, from where, what, before and after."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventDraft:
    """An event before the journal gives it its place. ``data`` holds no biometrics, names or secrets."""

    kind: EventKind
    at: datetime
    mono_ns: int
    access_point_id: AccessPointId | None = None
    person_id: PersonId | None = None
    grant_id: GrantId | None = None
    data: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An event in its place in one gateway's chain."""

    gateway_id: GatewayId
    seq: int
    """From 1, without gaps."""
    event_id: EventId
    draft: EventDraft
    prev_hash: bytes
    hash: bytes


def canonical(gateway_id: GatewayId, seq: int, event_id: EventId, draft: EventDraft) -> bytes:
    """Canonical bytes of an event: what is hashed, and what the stores keep beside the columns."""
    if draft.at.tzinfo is None:
        msg = "an event's time needs a time zone"
        raise ValueError(msg)
    body = {
        "v": SCHEMA_VERSION,
        "gateway": gateway_id,
        "seq": seq,
        "id": event_id,
        "kind": draft.kind.value,
        "at": draft.at.astimezone(UTC).isoformat(timespec="microseconds"),
        "mono_ns": draft.mono_ns,
        "access_point": draft.access_point_id,
        "person": draft.person_id,
        "grant": draft.grant_id,
        "data": dict(draft.data),
    }
    return json.dumps(
        body, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def link(prev_hash: bytes, canonical_bytes: bytes) -> bytes:
    """The hash of the next link."""
    return hashlib.sha256(prev_hash + canonical_bytes).digest()


@dataclass(frozen=True, slots=True)
class ChainFault:
    """The first place where a chain does not hold."""

    seq: int
    reason: str


Row = tuple[int, bytes, bytes, bytes]
"""One stored event: seq, canonical, prev_hash, hash."""


def check_link(seq: int, head: bytes, row: Row) -> ChainFault | None:
    """Whether ``row`` is the event after number ``seq``, whose hash is ``head``; None when it is."""
    number, body, prev, own = row
    if number != seq + 1:
        return ChainFault(seq + 1, f"event {seq + 1} is missing; the next one is {number}")
    if prev != head:
        return ChainFault(number, "its link to the event before it does not match")
    if link(prev, body) != own:
        return ChainFault(number, "its content does not match its hash")
    return None


def verify_chain(rows: Iterable[Row]) -> ChainFault | None:
    """Check the rows of one gateway in order; None when whole."""
    seq, head = 0, GENESIS
    for row in rows:
        fault = check_link(seq, head, row)
        if fault is not None:
            return fault
        seq, head = row[0], row[3]
    return None

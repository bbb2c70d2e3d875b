"""Events for tests of what stores them."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from gateway.domain.events import Event, EventDraft, EventKind, canonical, link
from gateway.domain.ids import AccessPointId, EventId, GatewayId, GrantId, PersonId, uuid7

GATEWAY = GatewayId("gateway-1")
AT = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)


def new_grant() -> GrantId:
    return GrantId(str(uuid4()))


def draft(kind: EventKind = EventKind.DOOR_STATE, *, at: datetime = AT, **more: Any) -> EventDraft:
    return EventDraft(kind=kind, at=at, mono_ns=1_000, **{"data": {"state": "up"}, **more})


def intent(grant: GrantId, **more: Any) -> EventDraft:
    return draft(
        EventKind.ACCESS_GRANTED,
        grant_id=grant,
        person_id=PersonId("0b3c7f8e-45a2-4f0e-9a52-3f6f1c1f7f11"),
        access_point_id=AccessPointId("door-1"),
        **more,
    )


def outcome(grant: GrantId, **more: Any) -> EventDraft:
    return draft(EventKind.UNLOCK_OUTCOME, grant_id=grant, **{"data": {"outcome": "confirmed"}, **more})


def chained(
    count: int,
    after: Event | None = None,
    gateway: GatewayId = GATEWAY,
    prev: bytes = bytes(32),
) -> list[tuple[Event, bytes]]:
    """``count`` events of one gateway with their canonical bytes, from 1 or after another."""
    rows: list[tuple[Event, bytes]] = []
    seq, head = (after.seq, after.hash) if after else (0, prev)
    for _ in range(count):
        seq += 1
        event_id = EventId(uuid7(int(AT.timestamp() * 1000)))
        facts = draft(data={"n": seq})
        body = canonical(gateway, seq, event_id, facts)
        own = link(head, body)
        rows.append(
            (
                Event(gateway_id=gateway, seq=seq, event_id=event_id, draft=facts, prev_hash=head, hash=own),
                body,
            )
        )
        head = own
    return rows

"""A journal in memory, with a switch for a full disk."""

from gateway.domain.errors import JournalUnavailable, Rejected
from gateway.domain.events import GENESIS, Event, EventDraft, EventKind, canonical, link
from gateway.domain.ids import EventId, GatewayId, uuid7


class FakeJournal:
    def __init__(self, gateway_id: GatewayId = GatewayId("gateway-1")) -> None:
        self.gateway_id = gateway_id
        self.events: list[tuple[Event, bytes]] = []
        self.forwarded = 0
        self.full = False

    async def append(self, *drafts: EventDraft) -> tuple[Event, ...]:
        if self.full:
            raise JournalUnavailable("the disk is full")
        new = []
        prev = self.events[-1][0].hash if self.events else GENESIS
        for i, draft in enumerate(drafts):
            if draft.grant_id is not None and any(
                e.draft.grant_id == draft.grant_id and e.draft.kind is draft.kind for e, _ in self.events
            ):
                raise Rejected("one of a kind per grant", code="duplicate_event")
            seq = len(self.events) + 1 + i
            event_id = EventId(uuid7(int(draft.at.timestamp() * 1000)))
            body = canonical(self.gateway_id, seq, event_id, draft)
            event = Event(
                gateway_id=self.gateway_id,
                seq=seq,
                event_id=event_id,
                draft=draft,
                prev_hash=prev,
                hash=link(prev, body),
            )
            prev = event.hash
            new.append((event, body))
        self.events += new
        return tuple(event for event, _ in new)

    async def open_grants(self) -> tuple[Event, ...]:
        ended = {e.draft.grant_id for e, _ in self.events if e.draft.kind is EventKind.UNLOCK_OUTCOME}
        return tuple(
            e
            for e, _ in self.events
            if e.draft.kind is EventKind.ACCESS_GRANTED and e.draft.grant_id not in ended
        )

    async def unforwarded(self, limit: int) -> tuple[tuple[Event, bytes], ...]:
        return tuple(self.events[self.forwarded : self.forwarded + limit])

    async def mark_forwarded(self, seq: int) -> None:
        self.forwarded = max(self.forwarded, seq)

    def kinds(self) -> list[str]:
        return [e.draft.kind.value for e, _ in self.events]

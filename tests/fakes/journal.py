"""A journal in memory, with a switch for a full disk."""

from dataclasses import replace

from gateway.domain.errors import InvalidInput, InvariantBroken, JournalUnavailable, Rejected
from gateway.domain.events import GENESIS, Event, EventDraft, EventKind, canonical, link
from gateway.domain.ids import EventId, GatewayId, uuid7
from gateway.storage.records import ONE_PER_GRANT, checked_data
from tests.fakes.drafts import GATEWAY


class FakeJournal:
    def __init__(self, gateway_id: GatewayId = GATEWAY) -> None:
        self.gateway_id = gateway_id
        self.events: list[tuple[Event, bytes]] = []
        self.forwarded = 0
        self.full = False

    async def append(self, *drafts: EventDraft) -> tuple[Event, ...]:
        checked = [_checked(draft) for draft in drafts]
        if self.full:
            raise JournalUnavailable("the disk is full")
        before = list(self.events)
        try:
            return tuple(self._append(draft) for draft in checked)
        except Rejected:
            self.events = before
            raise

    def _append(self, draft: EventDraft) -> Event:
        if draft.kind in ONE_PER_GRANT:
            for there, _ in self.events:
                if (there.draft.grant_id, there.draft.kind) == (draft.grant_id, draft.kind):
                    if draft.kind is EventKind.UNLOCK_OUTCOME and there.draft == draft:
                        return there
                    raise Rejected("one of a kind per grant", code="duplicate_event")
        seq = len(self.events) + 1
        prev = self.events[-1][0].hash if self.events else GENESIS
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
        self.events.append((event, body))
        return event

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
        if seq > len(self.events):
            raise InvariantBroken("that event is not there")
        self.forwarded = max(self.forwarded, seq)

    async def backlog(self) -> int:
        return len(self.events) - self.forwarded

    def kinds(self) -> list[str]:
        return [e.draft.kind.value for e, _ in self.events]


def _checked(draft: EventDraft) -> EventDraft:
    """As the real one does, but for ids: tests of other things use short ones."""
    if draft.at.tzinfo is None or (draft.kind in ONE_PER_GRANT and draft.grant_id is None):
        raise InvalidInput("not an event", code="bad_event")
    return replace(draft, data=checked_data(draft))

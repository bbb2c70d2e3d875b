"""Grant to pulse: the intent on disk, then the frame, then the outcome on disk.

One actor a lock. Nobody else carries out a person's grant.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from gateway.domain.decisions import DenyReason, Grant
from gateway.domain.doors import Actuation, Outcome
from gateway.domain.errors import GatewayError, JournalUnavailable
from gateway.domain.events import EventDraft, EventKind, Json
from gateway.domain.ids import AccessPointId, GrantId, PersonId
from gateway.domain.readings import Direction
from gateway.ports import Clock, Door, Journal
from gateway.walkup.portal import Portal

_log = structlog.get_logger(__name__)

QUEUE = 2
"""Grants that may wait for a door; a third is told that it is busy."""
_RECORD_RETRY_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantOrder:
    """A grant with the facts its record needs."""

    grant: Grant
    direction: Direction
    facts: dict[str, Json]
    frame_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """How a grant ended: an ``actuation``, or what kept it from being sent at all."""

    order: GrantOrder
    actuation: Actuation | None
    refused: DenyReason | None = None


@dataclass(slots=True)
class DoorActor:
    """Carries out the grants of one lock, one at a time."""

    door: Door
    portal: Portal
    journal: Journal
    clock: Clock
    on_passage: Callable[[Passage], None]
    _queue: asyncio.Queue[GrantOrder] = field(default_factory=lambda: asyncio.Queue(QUEUE))
    _unrecorded: list[EventDraft] = field(default_factory=list)

    @property
    def busy(self) -> bool:
        """No further grant can wait."""
        return self._queue.full()

    def offer(self, order: GrantOrder) -> bool:
        """Queue a grant; False when the door is busy."""
        try:
            self._queue.put_nowait(order)
        except asyncio.QueueFull:
            return False
        return True

    async def run(self) -> None:
        """Carry out grants until cancelled."""
        while True:
            order = await self._next()
            await self._record_late()
            self.on_passage(await self._carry_out(order))

    async def _next(self) -> GrantOrder:
        """Next grant; meanwhile keep trying to write outcomes that did not reach the disk."""
        while self._unrecorded:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_RECORD_RETRY_S):
                    return await self._queue.get()
            await self._record_late()
        return await self._queue.get()

    async def _carry_out(self, order: GrantOrder) -> Passage:
        """Reserve, record, open, record. Whatever happens in between, the portal hears the end of it."""
        grant = order.grant
        obstacle = self.portal.reserve(grant, order.direction)
        if obstacle is not None:
            await self._record_refusal(order, obstacle)
            return Passage(order=order, actuation=None, refused=obstacle)
        actuation: Actuation | None = None
        try:
            if not await self._record_intent(order):
                return Passage(order=order, actuation=None, refused=DenyReason.JOURNAL_UNAVAILABLE)
            actuation = self._cancelled()
            self.portal.released(grant, order.direction)
            actuation = await self.door.unlock(grant)
        except asyncio.CancelledError:
            if actuation is not None:
                # The frame may have left. The device ends its own pulse; the record must say so even now.
                await asyncio.shield(self._record_outcome(order, actuation))
            raise
        finally:
            self.portal.settled(grant, actuation)
        await self._record_outcome(order, actuation)
        return Passage(order=order, actuation=actuation)

    async def _record_intent(self, order: GrantOrder) -> bool:
        grant = order.grant
        try:
            await self.journal.append(self._intent(order))
        except GatewayError as error:  # whatever the reason: no record, no unlock
            _log.error(
                "grant_not_recorded", access_point=grant.access_point_id, grant=grant.grant_id, why=str(error)
            )
            return False
        return True

    async def _record_refusal(self, order: GrantOrder, reason: DenyReason) -> None:
        """What stood in the way came up after the decision: the record shows a denial, never a grant."""
        grant = order.grant
        draft = EventDraft(
            kind=EventKind.ACCESS_DENIED,
            at=self.clock.now(),
            mono_ns=self.clock.monotonic_ns(),
            access_point_id=grant.access_point_id,
            person_id=grant.person_id,
            data={"reason": reason.value, **order.facts},
        )
        try:
            await self.journal.append(draft)
        except GatewayError as error:
            _log.error("denial_not_recorded", access_point=grant.access_point_id, why=str(error))

    def _cancelled(self) -> Actuation:
        return Actuation(
            outcome=Outcome.AMBIGUOUS,
            sent_ns=None,
            done_ns=self.clock.monotonic_ns(),
            evidence="the gateway was stopped during the unlock",
        )

    def _intent(self, order: GrantOrder) -> EventDraft:
        grant = order.grant
        return EventDraft(
            kind=EventKind.ACCESS_GRANTED,
            at=self.clock.now(),
            mono_ns=self.clock.monotonic_ns(),
            access_point_id=grant.access_point_id,
            person_id=grant.person_id,
            grant_id=grant.grant_id,
            data=order.facts,
        )

    async def _record_outcome(self, order: GrantOrder, actuation: Actuation) -> None:
        draft = outcome_event(_GrantKey.of(order.grant), actuation, self.clock, order.frame_ns)
        try:
            await self.journal.append(draft)
        except JournalUnavailable as error:
            self._unrecorded.append(draft)
            _log.error("outcome_not_recorded_yet", grant=order.grant.grant_id, why=str(error))
        except GatewayError as error:  # the next start settles the grant as ambiguous
            _log.error("outcome_not_storable", grant=order.grant.grant_id, why=str(error))

    async def _record_late(self) -> None:
        while self._unrecorded:
            try:
                await self.journal.append(self._unrecorded[0])
            except JournalUnavailable:
                return
            del self._unrecorded[0]


@dataclass(frozen=True, slots=True)
class _GrantKey:
    """What an outcome shares with its intent."""

    grant_id: GrantId | None
    access_point_id: AccessPointId | None
    person_id: PersonId | None

    @classmethod
    def of(cls, source: Grant | EventDraft) -> "_GrantKey":
        return cls(source.grant_id, source.access_point_id, source.person_id)


def outcome_event(key: _GrantKey, actuation: Actuation, clock: Clock, frame_ns: int | None) -> EventDraft:
    """The unlock_outcome event of an actuation, with its latency from the deciding frame."""
    data: dict[str, Json] = {
        "outcome": actuation.outcome.value,
        "evidence": actuation.evidence,
        "frames_sent": actuation.frames_sent,
    }
    if frame_ns is not None and actuation.sent_ns is not None:
        data["frame_to_sent_ms"] = round((actuation.sent_ns - frame_ns) / 1e6, 2)
        data["frame_to_done_ms"] = round((actuation.done_ns - frame_ns) / 1e6, 2)
    return EventDraft(
        kind=EventKind.UNLOCK_OUTCOME,
        at=clock.now(),
        mono_ns=clock.monotonic_ns(),
        access_point_id=key.access_point_id,
        person_id=key.person_id,
        grant_id=key.grant_id,
        data=data,
    )


async def settle_open_grants(journal: Journal, clock: Clock) -> int:
    """Give every intent left open by a crash its one outcome: ambiguous. Never run again.

    Called before any door may open. Returns how many there were. Raises JournalUnavailable.
    """
    left = await journal.open_grants()
    for event in left:
        actuation = Actuation(
            outcome=Outcome.AMBIGUOUS,
            sent_ns=None,
            done_ns=clock.monotonic_ns(),
            evidence="the gateway ended before the outcome was recorded",
        )
        await journal.append(outcome_event(_GrantKey.of(event.draft), actuation, clock, None))
        _log.warning("open_grant_settled", grant=event.draft.grant_id, outcome="ambiguous")
    return len(left)

"""Records what happens beside grants and denials: cameras, workers, doors, starts and stops."""

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

import structlog

from gateway.domain.errors import GatewayError, JournalUnavailable
from gateway.domain.events import EventDraft, EventKind, Json
from gateway.domain.ids import AccessPointId
from gateway.ports import Clock, Journal

_log = structlog.get_logger(__name__)

MOST_WAITING = 10_000
_RETRY_S = 1.0


@dataclass(slots=True)
class Recorder:
    """Takes events from callbacks that cannot wait. ``run`` is owned by the application's task group."""

    journal: Journal
    clock: Clock
    lost: int = 0
    _waiting: deque[EventDraft] = field(default_factory=deque)
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _writing: asyncio.Lock = field(default_factory=asyncio.Lock)

    def note(
        self, kind: EventKind, data: Mapping[str, Json], access_point: AccessPointId | None = None
    ) -> None:
        """Record soon, in order; never blocks."""
        self.take(
            EventDraft(
                kind=kind,
                at=self.clock.now(),
                mono_ns=self.clock.monotonic_ns(),
                access_point_id=access_point,
                data=data,
            )
        )

    def take(self, draft: EventDraft) -> None:
        """Record a draft that is ready soon, in order; never blocks."""
        if len(self._waiting) >= MOST_WAITING:  # the disk has been away for very long: say it, do not grow
            self.lost += 1
            _log.error("event_lost", kind=draft.kind.value, lost=self.lost)
            return
        self._waiting.append(draft)
        self._news.set()

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            while not await self.flush():
                await asyncio.sleep(_RETRY_S)

    async def flush(self) -> bool:
        """Write everything that waits; False when the journal cannot."""
        async with self._writing:
            return await self._write_all()

    async def _write_all(self) -> bool:
        while self._waiting:
            draft = self._waiting[0]
            try:
                await self.journal.append(draft)
            except JournalUnavailable as error:
                _log.error("events_wait", count=len(self._waiting), why=str(error))
                return False
            except GatewayError as error:  # one that can never be stored must not hold up the others
                self.lost += 1
                _log.error("event_not_storable", kind=draft.kind.value, why=str(error))
            self._waiting.popleft()
        return True

"""Journal to Postgres: every event exactly once, in order, whatever restarts."""

import asyncio
import contextlib
import random
from dataclasses import dataclass, field

import structlog

from gateway.domain.errors import DatabaseUnavailable, JournalUnavailable
from gateway.ports import EventStore, Journal

_log = structlog.get_logger(__name__)

BATCH = 500
FIRST_WAIT_S = 0.2
LONGEST_WAIT_S = 5.0
_LOOK_S = 1.0
"""A look at the journal without being poked."""


@dataclass(slots=True)
class Forwarder:
    """``run`` is owned by the application's task group. It never blocks the journal or a door."""

    journal: Journal
    store: EventStore
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _away: bool = False

    def poke(self) -> None:
        """There are new events."""
        self._news.set()

    @property
    def database_away(self) -> bool:
        """The last try did not reach the event store."""
        return self._away

    async def run(self) -> None:
        """Forward until cancelled."""
        wait = FIRST_WAIT_S
        while True:
            try:
                await self.flush()
            except (DatabaseUnavailable, JournalUnavailable) as error:
                if not self._away:
                    _log.warning("events_wait_in_the_journal", why=str(error))
                self._away = True
                await asyncio.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311  # jitter, not a secret
                wait = min(wait * 2, LONGEST_WAIT_S)
                continue
            if self._away:
                _log.info("events_forwarded_again")
            self._away, wait = False, FIRST_WAIT_S
            await self._rest()

    async def flush(self) -> None:
        """Forward everything there is now. Raises DatabaseUnavailable, JournalUnavailable."""
        self._news.clear()
        while batch := await self.journal.unforwarded(BATCH):
            await self.store.store(batch)
            await self.journal.mark_forwarded(batch[-1][0].seq)

    async def _rest(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_S):
                await self._news.wait()

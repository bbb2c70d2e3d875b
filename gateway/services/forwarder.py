"""Journal to Postgres: every event exactly once, in order, whatever restarts."""

import asyncio
import random
import time
from dataclasses import dataclass, field

import structlog

from gateway.domain.errors import GatewayError, Unavailable
from gateway.ports import EventStore, Journal

_log = structlog.get_logger(__name__)

BATCH = 200
"""Small: while the journal's thread reads a batch, an unlock's record waits for it."""
FIRST_WAIT_S = 0.2
LONGEST_WAIT_S = 5.0
_LOOK_S = 1.0
"""A look at the journal without being poked."""


@dataclass(slots=True)
class Forwarder:
    """``run`` is owned by the application's task group. It never blocks the journal or a door."""

    journal: Journal
    store: EventStore
    first_wait_s: float = FIRST_WAIT_S
    longest_wait_s: float = LONGEST_WAIT_S
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _trouble: GatewayError | None = None
    _caught_up: float = field(default_factory=time.monotonic)

    def poke(self) -> None:
        """There are new events."""
        self._news.set()

    @property
    def trouble(self) -> GatewayError | None:
        """Why events wait: Unavailable passes by itself; InvariantBroken, ConfigError ask for a person."""
        return self._trouble

    @property
    def database_away(self) -> bool:
        """The last try did not reach the event store."""
        return self._trouble is not None

    @property
    def behind_s(self) -> float:
        """Seconds since everything in the journal was in the event store, too."""
        return time.monotonic() - self._caught_up

    async def lag(self) -> int:
        """How many events wait."""
        return await self.journal.backlog()

    async def run(self) -> None:
        """Forward until cancelled. Nothing that happens to Postgres ends it."""
        wait = self.first_wait_s
        while True:
            try:
                await self.flush()
            except GatewayError as error:  # a state folder or URL file may go wrong at any time, too
                self._tell(error)
                await asyncio.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311  # jitter, not a secret
                wait = min(wait * 2, self.longest_wait_s)
                continue
            if self._trouble is not None:
                _log.info("events_forwarded_again")
            self._trouble, wait = None, self.first_wait_s
            await self._rest()

    async def flush(self) -> None:
        """Forward everything there is now.

        Raises DatabaseUnavailable, JournalUnavailable; InvariantBroken when ledger and journal disagree;
        ConfigError when the site file's database cannot be used any more.
        """
        self._news.clear()
        while batch := await self.journal.unforwarded(BATCH):
            await self.store.store(batch)
            await self.journal.mark_forwarded(batch[-1][0].seq)
        self._caught_up = time.monotonic()

    def _tell(self, error: GatewayError) -> None:
        """Say it once for each kind of trouble."""
        if self._trouble is None or self._trouble.code != error.code:
            say = _log.warning if isinstance(error, Unavailable) else _log.error
            say("events_wait_in_the_journal", why=str(error), code=error.code)
        self._trouble = error

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(_LOOK_S):  # wait_for loses a cancellation that comes with the news
                await self._news.wait()
        except TimeoutError:
            return

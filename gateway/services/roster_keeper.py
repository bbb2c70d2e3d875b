"""Keeps the sealed copy of the roster: written soon after every change, confirmed about once a minute."""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from gateway.domain.enrolment import StoredPerson
from gateway.domain.errors import GatewayError
from gateway.domain.ids import ModelId
from gateway.domain.roster_copy import Doubt, KeptRoster, doubt
from gateway.ports import Clock, RosterCopy

_log = structlog.get_logger(__name__)

GAP_S = 0.25
"""Between two writings: many changes become one, and who was erased is gone from disk within the second."""
LOOK_S = 1.0
CONFIRM_S = 60.0
RETRY_S = 5.0


@dataclass(slots=True, kw_only=True)
class RosterKeeper:
    """Never holds up a decision or a load. ``run`` is a task of ``RosterSync``."""

    copy: RosterCopy
    clock: Clock
    model_id: ModelId
    max_age: timedelta
    """How old a confirmation may be for the copy to be believed; zero keeps none."""
    gap_s: float = GAP_S
    _wanted: KeptRoster | None = None
    """Not yet written."""
    _written: KeptRoster | None = None
    _confirmed: datetime | None = None
    _noted: datetime | None = None
    """The last confirmation that is on disk."""
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def keep(self, version: int, people: Sequence[StoredPerson], confirmed_at: datetime) -> None:
        """A new version was loaded; it replaces one that still waits to be written."""
        self._wanted = KeptRoster(
            version=version, model_id=self.model_id, confirmed_at=confirmed_at, people=people
        )
        self._news.set()

    def confirm(self, at: datetime) -> None:
        """The database still says the same."""
        self._confirmed = at

    async def restore(self) -> KeptRoster | Doubt | GatewayError | None:
        """The copy, or what is wrong with it; None when there is none."""
        if not self.max_age:
            return None
        try:
            kept = await asyncio.to_thread(self.copy.read)
        except GatewayError as error:
            return error
        if kept is None:
            return None
        return self.doubt(kept) or kept

    def doubt(self, kept: KeptRoster) -> Doubt | None:
        """What speaks against it now."""
        return doubt(kept, self.model_id, self.clock.now(), self.max_age)

    async def run(self) -> None:
        """Write until cancelled."""
        wait = 0.0
        while True:
            await asyncio.sleep(wait)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._news.wait()
            self._news.clear()
            wait = self.gap_s if await self.tend() else RETRY_S

    async def tend(self) -> bool:
        """Write what is due now; False when that failed."""
        try:
            if not self.max_age:
                self._wanted = None
                await asyncio.to_thread(self.copy.remove)
            elif self._wanted is not None:
                await self._write(self._wanted)
            elif self._written is not None and await asyncio.to_thread(self.copy.stale):
                await self._write(self._written)  # the master key was changed
            await self._note()
        except GatewayError as error:
            _log.error("roster_copy_not_written", why=str(error))
            return False
        return True

    async def _write(self, kept: KeptRoster) -> None:
        try:
            await asyncio.to_thread(self.copy.write, kept)
        except GatewayError:
            self._wanted = self._wanted or kept
            # What is there lets in who was suspended since, and holds who was erased: better none.
            self._written = None
            await asyncio.to_thread(self.copy.remove)
            raise
        self._written, self._noted = kept, kept.confirmed_at
        if self._wanted is kept:
            self._wanted = None

    async def _note(self) -> None:
        at, noted = self._confirmed, self._noted
        if at is None or noted is None or self._written is None or self._wanted is not None:
            return
        if abs((at - noted).total_seconds()) >= CONFIRM_S:
            await asyncio.to_thread(self.copy.confirm, at)
            self._noted = at

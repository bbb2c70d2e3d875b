"""The roster in memory: people and opened templates, refreshed from the database, swapped whole."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

import structlog

from gateway.domain.errors import GatewayError
from gateway.domain.ids import ModelId
from gateway.domain.people import Roster
from gateway.domain.roster_copy import Doubt, KeptRoster
from gateway.ports import Clock, PeopleStore, RosterNews, Sealer
from gateway.services.roster_keeper import RosterKeeper
from gateway.services.roster_opening import Opened, open_after

_log = structlog.get_logger(__name__)

POLL_S = 0.4
"""Well under the second within which a revoked person must be refused, should news fail to come."""
PATIENCE_S = 5.0
"""For the first answer of the database; then the sealed copy stands in."""
_MOST_REST_S = 0.25


class Source(StrEnum):
    """Where the roster comes from that doors decide by."""

    NONE = "none"
    """There is none: every door stays shut."""
    DATABASE = "database"
    MEMORY = "memory"
    """From the database, which does not answer now."""
    COPY = "copy"
    """From the sealed copy in the state folder: the database has not answered since the start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceChange:
    """What is told when the source of the roster changes, or a copy is not believed."""

    source: Source
    version: int | None
    confirmed_at: datetime | None = None
    """Of a copy."""
    refused: str = ""
    """Why a copy was not taken: a stable word."""


@dataclass(slots=True)
class RosterSync:
    """Keeps the newest roster. ``run`` is owned by the application's task group."""

    store: PeopleStore
    sealer: Sealer
    model_id: ModelId
    clock: Clock
    on_change: Callable[[Roster], None] = lambda _roster: None
    poll_s: float = POLL_S
    news: RosterNews | None = None
    keeper: RosterKeeper | None = None
    on_source: Callable[[SourceChange], None] = lambda _change: None
    patience_s: float = PATIENCE_S
    source: Source = Source.NONE
    _opened: Opened | None = field(default=None, repr=False)
    _kept: KeptRoster | None = field(default=None, repr=False)
    """The copy, while that is the source."""
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _load_s: float = 0.0

    def current(self) -> Roster | None:
        """Newest known roster; None until there is one."""
        return self._opened.roster if self._opened else None

    async def refresh(self) -> Roster:
        """Look at the database now; one look at a time. Raises DatabaseUnavailable."""
        async with self._turn:
            asked, asked_ns = self.clock.now(), self.clock.monotonic_ns()
            version = await self.store.roster_version()
            known = self._opened
            # After an absence the same number may be another version: of a backup, of a standby.
            if known and known.roster.version == version and self.source is Source.DATABASE:
                self._opened = replace(known, roster=replace(known.roster, checked_ns=asked_ns))
                if self.keeper is not None:
                    self.keeper.confirm(asked)
                return self._opened.roster
            return await self._load(asked, asked_ns)

    async def run(self) -> None:
        """Follow the database until cancelled; while it is away the last roster stands and ages."""
        async with asyncio.TaskGroup() as tasks:
            if self.news is not None:
                tasks.create_task(self.news.follow(self._wake.set), name="roster-news")
            if self.keeper is not None:
                tasks.create_task(self.keeper.run(), name="roster-keeper")
            await self._first_look()
            while True:
                # Many changes at once: after a load the loop gets as much rest, and then one load for all.
                rest_s, self._load_s = min(self._load_s, _MOST_REST_S), 0.0
                await asyncio.sleep(rest_s)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self.poll_s):
                        await self._wake.wait()
                self._wake.clear()
                await self._look()

    async def _load(self, asked: datetime, asked_ns: int) -> Roster:
        before = self._opened
        # Only of this database as it was a moment ago: another's marks mean nothing.
        known = before.rows if before and self.source is Source.DATABASE else None
        version, stored = await self.store.load(self.model_id, known)
        self._opened = await asyncio.to_thread(
            open_after, before, version, stored, self.sealer, self.model_id, asked_ns
        )
        roster, self._kept = self._opened.roster, None
        self._load_s = (self.clock.monotonic_ns() - asked_ns) / 1e9
        _log.info(
            "roster_loaded",
            version=version,
            people=len(roster.people),
            templates=len(roster.gallery.owner),
            ms=round(self._load_s * 1e3),
        )
        self._now_from(Source.DATABASE)
        if self.keeper is not None:
            self.keeper.keep(version, stored, asked)
        self.on_change(roster)
        return roster

    async def _first_look(self) -> None:
        """The database is asked first: the copy must not let in who was suspended since."""
        looking = asyncio.create_task(self._look(), name="roster-first-look")
        try:
            await asyncio.wait({looking}, timeout=self.patience_s)
            if self._opened is None:
                await self._take_copy()
            await looking
        finally:
            looking.cancel()

    async def _look(self) -> None:
        try:
            await self.refresh()
        except GatewayError as error:
            if self.source is Source.DATABASE:
                _log.warning("roster_database_away", why=str(error))
                self._now_from(Source.MEMORY)
            self._age_copy()

    async def _take_copy(self) -> None:
        found = await self.keeper.restore() if self.keeper is not None else None
        if found is None:
            return
        if not isinstance(found, KeptRoster):
            self._refuse(found)
            return
        opened = await asyncio.to_thread(
            open_after, None, found.version, found.people, self.sealer, self.model_id, 0
        )
        if self._opened is not None:  # the database has answered meanwhile
            return
        checked_ns = self.clock.monotonic_ns() - self._age_ns(found)
        self._opened = replace(opened, roster=replace(opened.roster, checked_ns=checked_ns))
        self._kept = found
        self._now_from(Source.COPY)
        self.on_change(self._opened.roster)

    def _age_copy(self) -> None:
        """A clock that was set forward since the start tells the copy's true age."""
        kept, opened = self._kept, self._opened
        if kept is None or opened is None or self.keeper is None:
            return
        now_ns = self.clock.monotonic_ns()
        checked_ns = min(opened.roster.checked_ns, now_ns - self._age_ns(kept))
        aged = now_ns - checked_ns > self.keeper.max_age.total_seconds() * 1e9
        if aged or self.keeper.doubt(kept):
            self._opened = self._kept = None
            self._refuse(self.keeper.doubt(kept) or Doubt.TOO_OLD)
            return
        self._opened = replace(opened, roster=replace(opened.roster, checked_ns=checked_ns))

    def _age_ns(self, kept: KeptRoster) -> int:
        return max(0, int((self.clock.now() - kept.confirmed_at).total_seconds() * 1e9))

    def _refuse(self, why: Doubt | GatewayError) -> None:
        code = why.value if isinstance(why, Doubt) else why.code
        _log.error("ROSTER_COPY_NOT_BELIEVED", why=code, detail=str(why), doors="stay shut")
        self.source = Source.NONE
        self.on_source(SourceChange(source=Source.NONE, version=None, refused=code))

    def _now_from(self, source: Source) -> None:
        if source is self.source:
            return
        self.source = source
        roster, kept = self.current(), self._kept
        version = roster.version if roster else None
        confirmed_at = kept.confirmed_at if kept else None
        _log.info(
            "roster_source",
            source=source.value,
            version=version,
            confirmed_at=confirmed_at.isoformat() if confirmed_at else None,
        )
        self.on_source(SourceChange(source=source, version=version, confirmed_at=confirmed_at))

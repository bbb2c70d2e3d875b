"""The roster of a running gateway: who feeds it, where its copy is, and what is said of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from gateway.domain.events import EventKind, Json
from gateway.domain.ids import ModelId
from gateway.foundation import Stores
from gateway.ports import Clock
from gateway.security.roster_file import SealedRosterFile
from gateway.security.sealing import AesGcmSealer
from gateway.services.roster import RosterSync, Source, SourceChange
from gateway.services.roster_keeper import RosterKeeper
from gateway.settings import Site
from gateway.storage.roster_news import PostgresRosterNews

Note = Callable[[EventKind, Mapping[str, Json]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class RosterDesk:
    """Makes the roster's parts for one site."""

    site: Site
    stores: Stores
    sealer: AesGcmSealer
    model_id: ModelId
    clock: Clock

    def sync(self, note: Note) -> RosterSync:
        """Nothing runs yet. ``note`` records what changes; it must not block."""

        def told(change: SourceChange) -> None:
            at = change.confirmed_at
            note(
                EventKind.ROSTER_SOURCE,
                {
                    "source": change.source.value,
                    "version": change.version,
                    "confirmed_at": at.isoformat() if at else None,
                    "refused": change.refused,
                },
            )

        return RosterSync(
            self.stores.people,
            self.sealer,
            self.model_id,
            self.clock,
            news=PostgresRosterNews(self.stores.database.url),
            keeper=self.keeper(),
            on_source=told,
        )

    def keeper(self) -> RosterKeeper:
        """Of the sealed copy in the state folder."""
        site = self.site
        # No longer than a decision would believe any roster.
        oldest_s = min(site.roster.max_age_hours * 3600, site.recognition.roster_max_age_s)
        return RosterKeeper(
            copy=SealedRosterFile(Path(site.state_folder), site.gateway_id, self.sealer.master),
            clock=self.clock,
            model_id=self.model_id,
            max_age=timedelta(seconds=oldest_s),
        )


def described(sync: RosterSync, clock: Clock) -> str:
    """One line for people and ``/api/v1/health``."""
    roster = sync.current()
    if roster is None:
        return "none yet: doors stay shut"
    age_s = (clock.monotonic_ns() - roster.checked_ns) / 1e9
    where = {
        Source.DATABASE: "from the database",
        Source.MEMORY: "the database is away, this is its last",
        Source.COPY: "FROM THE SEALED COPY: the database has not answered since the start",
        Source.NONE: "",
    }[sync.source]
    return f"version {roster.version}, {len(roster.people)} people, {where}, confirmed {_ago(age_s)} ago"


def _ago(seconds: float) -> str:
    for unit, length in (("h", 3600.0), ("min", 60.0)):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} s"

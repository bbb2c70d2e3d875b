"""The roster in memory: people and opened templates, refreshed from the database, swapped whole."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import structlog

from gateway.domain.enrolment import StoredPerson
from gateway.domain.errors import GatewayError, SealBroken
from gateway.domain.faces import Embedding, freeze
from gateway.domain.gallery import Gallery
from gateway.domain.ids import ModelId, PersonId
from gateway.domain.people import Person, Roster
from gateway.ports import Clock, PeopleStore, Sealer

_log = structlog.get_logger(__name__)

_NOT_UNIT = 0.01
POLL_S = 0.4
"""Well under the second within which a revoked person must be refused."""


def to_bytes(embedding: Embedding) -> bytes:
    """Template bytes before sealing: float32, little-endian."""
    return np.asarray(embedding, "<f4").tobytes()


def from_bytes(plain: bytes, dimensions: int | None = None) -> Embedding:
    """Inverse of ``to_bytes``; unit length, read-only. Raises ValueError for anything else."""
    embedding = np.frombuffer(plain, "<f4")
    if len(embedding) == 0 or dimensions not in {None, len(embedding)}:
        raise ValueError(f"a template of {len(embedding)} dimensions, not {dimensions or 'of a face'}")
    if not abs(float(np.linalg.norm(embedding)) - 1.0) < _NOT_UNIT:
        raise ValueError("a template that is not of unit length")
    return freeze(embedding)


def open_roster(
    version: int, stored: Sequence[StoredPerson], sealer: Sealer, model_id: ModelId, now_ns: int
) -> Roster:
    """Open every template. One that does not open is left out, loudly: its person is a stranger."""
    people: dict[PersonId, Person] = {}
    templates: dict[PersonId, list[Embedding]] = {}
    for row in stored:
        people[row.person_id] = Person(
            person_id=row.person_id,
            number=row.number,
            name=row.name,
            status=row.status,
            consented=row.consented,
            access_points=row.access_points,
            consent_until=row.consent_until,
        )
        templates[row.person_id] = _open_templates(row, sealer, model_id)
    return Roster(version=version, checked_ns=now_ns, people=people, gallery=Gallery.of(model_id, templates))


def _open_templates(row: StoredPerson, sealer: Sealer, model_id: ModelId) -> list[Embedding]:
    opened: list[Embedding] = []
    for template in row.templates:
        try:
            plain = sealer.open(row.wrapped_key, row.person_id, model_id, template.sealed)
            opened.append(from_bytes(plain))
        except (SealBroken, ValueError) as error:
            _log.error("template_does_not_open", person=row.person_id, why=str(error))
    return opened


@dataclass(slots=True)
class RosterSync:
    """Keeps the newest roster. ``run`` is owned by the application's task group."""

    store: PeopleStore
    sealer: Sealer
    model_id: ModelId
    clock: Clock
    on_change: Callable[[Roster], None] = lambda _roster: None
    poll_s: float = POLL_S
    _roster: Roster | None = None
    _reachable: bool = field(default=True)

    def current(self) -> Roster | None:
        """Newest known roster; None until the database has answered once."""
        return self._roster

    async def refresh(self) -> Roster:
        """Look at the database now. Raises DatabaseUnavailable."""
        asked_ns = self.clock.monotonic_ns()
        version = await self.store.roster_version()
        if self._roster is not None and self._roster.version == version:
            self._roster = replace(self._roster, checked_ns=asked_ns)
            return self._roster
        version, stored = await self.store.load(self.model_id)
        self._roster = await asyncio.to_thread(
            open_roster, version, stored, self.sealer, self.model_id, asked_ns
        )
        _log.info(
            "roster_loaded",
            version=version,
            people=len(self._roster.people),
            templates=len(self._roster.gallery.owner),
        )
        self.on_change(self._roster)
        return self._roster

    async def run(self) -> None:
        """Follow the database until cancelled; while it is away the last roster stands and ages."""
        while True:
            try:
                await self.refresh()
                if not self._reachable:
                    _log.info("roster_database_back")
                self._reachable = True
            except GatewayError as error:
                if self._reachable:
                    _log.warning("roster_database_away", why=str(error))
                self._reachable = False
            await asyncio.sleep(self.poll_s)

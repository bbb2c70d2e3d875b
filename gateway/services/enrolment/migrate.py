"""A new model for everybody: kept photographs are embedded again, beside the old templates.

Resumable: who has templates of the new model is done. A few people are written at a time, whole; until
``finish`` the old templates stay and every door works on with them.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from gateway.domain.accounts import Actor
from gateway.domain.enrolment import Migrant, Purpose, SealedTemplate
from gateway.domain.errors import InvalidInput, SealBroken
from gateway.domain.faces import Embedding
from gateway.domain.ids import PersonId
from gateway.ports import Acts, FaceAnalyser, MigrationStore, PhotographStore, Sealer
from gateway.services.enrolment import compare
from gateway.services.roster_opening import from_bytes, to_bytes

BATCH = 20
"""People written at once: each writing makes every gateway read the roster again."""
Progress = Callable[[int, int], None]
"""People looked at, people in all."""


@dataclass(frozen=True, slots=True)
class Appointment:
    """Somebody whom no kept photograph helps."""

    person_id: PersonId
    number: str
    why: str
    """``no_photograph``, ``no_face``, ``photos_disagree``, ``already_enrolled``, ``seal_broken``, or
    ``changed``: meanwhile; another run sees what is there now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Migrated:
    """What a run did, and what is left to do by hand."""

    migrated: int
    already: int
    appointments: tuple[Appointment, ...]

    @property
    def complete(self) -> bool:
        """Everybody who had templates has new ones."""
        return not self.appointments


@dataclass(slots=True)
class _Seen:
    """Embeddings of the new model so far, to find one face under two people."""

    rows: list[Embedding] = field(default_factory=list)

    def somebody(self, embeddings: Sequence[Embedding], limit: float) -> bool:
        """Whether one of these is there already."""
        if not self.rows:
            return False
        return bool((np.stack(self.rows) @ np.stack(embeddings).T).max() >= limit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """The use case behind ``facegate models migrate``."""

    store: MigrationStore
    photographs: PhotographStore
    sealer: Sealer
    analyser: FaceAnalyser
    """With the new model."""
    threshold: Callable[[int], float]
    """Of the new model, for a gallery of so many templates."""
    record: Acts

    async def run(self, actor: Actor, progress: Progress = lambda _done, _all: None) -> Migrated:
        """Embed everyone who is not done yet. May be stopped at any moment and run again.

        Raises DatabaseUnavailable, JournalUnavailable.
        """
        people = await self.store.migrants(self.analyser.model_id)
        seen = await asyncio.to_thread(self._seen, people)
        limit = self.threshold(max(1, sum(len(p.photographs) or 1 for p in people)))
        waiting: dict[PersonId, list[SealedTemplate]] = {}
        appointments: list[Appointment] = []
        todo = [p for p in people if not p.have]
        migrated, already = 0, len(people) - len(todo)
        for count, person in enumerate(todo, start=1):
            made = await self._embedded(person, seen, limit)
            if isinstance(made, str):
                appointments.append(Appointment(person.person_id, person.number, made))
            else:
                waiting[person.person_id] = made
            if len(waiting) == BATCH or count == len(todo):
                done = await self._put(actor, waiting)
                migrated += len(done)
                appointments += [
                    Appointment(p.person_id, p.number, "changed")
                    for p in people
                    if p.person_id in waiting and p.person_id not in done
                ]
                waiting = {}
            progress(already + count, len(people))
        return Migrated(migrated=migrated, already=already, appointments=tuple(appointments))

    async def finish(self, actor: Actor) -> int:
        """Destroy the old models' templates. Raises Rejected (code "migration_incomplete")."""

        async def told() -> None:
            await self.record.acted(actor, "models.migration_finished", target=self.analyser.model_id)

        return await self.store.finish(self.analyser.model_id, told)

    def _seen(self, people: Sequence[Migrant]) -> _Seen:
        seen = _Seen()
        for person in people:
            for template in person.have:
                try:
                    plain = self.sealer.open(
                        person.wrapped_key, person.person_id, self.analyser.model_id, template.sealed
                    )
                    seen.rows.append(from_bytes(plain))
                except (SealBroken, ValueError):
                    continue  # the roster's reader says so, loudly, at every gateway
        return seen

    async def _embedded(self, person: Migrant, seen: _Seen, limit: float) -> list[SealedTemplate] | str:
        """New templates of one person, or why there are none."""
        found: list[tuple[Embedding, SealedTemplate]] = []
        for photograph_id in person.photographs:
            try:
                photograph, key = await self.photographs.get(person.person_id, photograph_id)
                embedding = await asyncio.to_thread(self._open, person, key, photograph_id, photograph.sealed)
            except SealBroken:
                return "seal_broken"
            except InvalidInput as error:
                return "changed" if error.code == "no_such_photograph" else "no_face"
            if embedding is None:
                continue
            found.append(
                (
                    embedding,
                    SealedTemplate(
                        model_id=self.analyser.model_id,
                        sealed=b"",
                        quality=photograph.quality,
                        photograph_id=photograph_id,
                    ),
                )
            )
        return self._checked(person, found, seen, limit)

    def _checked(
        self, person: Migrant, found: Sequence[tuple[Embedding, SealedTemplate]], seen: _Seen, limit: float
    ) -> list[SealedTemplate] | str:
        """The rules of every enrolment: one person, and nobody who is there under another."""
        embeddings = [embedding for embedding, _ in found]
        if not embeddings:
            return "no_face" if person.photographs else "no_photograph"
        if compare.strangers_among(embeddings, self.threshold(1)):
            return "photos_disagree"
        if seen.somebody(embeddings, limit):
            return "already_enrolled"
        seen.rows += embeddings
        return [
            replace(
                template,
                sealed=self.sealer.seal(
                    person.wrapped_key, person.person_id, self.analyser.model_id, to_bytes(embedding)
                ),
            )
            for embedding, template in found
        ]

    def _open(self, person: Migrant, key: bytes, photograph_id: str, sealed: bytes) -> Embedding | None:
        """Open a photograph and embed its face: in memory, in a thread, and gone afterwards."""
        plain = self.sealer.open_as(key, person.person_id, Purpose.PHOTOGRAPH, photograph_id, sealed)
        faces = self.analyser.photograph(plain)
        return faces[0].embedding if faces else None

    async def _put(
        self, actor: Actor, waiting: Mapping[PersonId, Sequence[SealedTemplate]]
    ) -> Sequence[PersonId]:
        if not waiting:
            return []

        async def told(done: Sequence[PersonId]) -> None:
            for person_id in done:
                await self.record.acted(
                    actor,
                    "templates.migrate",
                    person_id=person_id,
                    target=self.analyser.model_id,
                    after={"templates": len(waiting[person_id])},
                )

        return await self.store.put(self.analyser.model_id, waiting, told)

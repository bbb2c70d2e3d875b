"""Templates and photographs of the people in a ``FakePeopleStore``."""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from gateway.domain.enrolment import (
    MOST_PHOTOGRAPHS,
    Migrant,
    Mode,
    PhotographEntry,
    SealedPhotograph,
    SealedTemplate,
    Standing,
    StoredPerson,
)
from gateway.domain.errors import InvalidInput, Rejected
from gateway.domain.ids import ModelId, PersonId
from gateway.ports import ChangeWitness
from tests.fakes.people_store import FakePeopleStore


@dataclass
class FakeTemplateStore:
    """``ports.TemplateStore``, ``ports.PhotographStore`` and ``ports.MigrationStore``."""

    people: FakePeopleStore

    async def standing(self, person_id: PersonId, model_id: ModelId) -> Standing:
        person = self._person(person_id)
        return Standing(
            person_id=person_id,
            number=person.number,
            status=person.status,
            consented=person.consented,
            wrapped_key=person.wrapped_key,
            templates=sum(t.model_id == model_id for t in person.templates),
            photographs=len(self._photographs(person_id)),
            roster_version=self.people.version,
        )

    async def store(
        self,
        person_id: PersonId,
        *,
        mode: Mode,
        templates: Sequence[SealedTemplate],
        photographs: Sequence[SealedPhotograph],
        expected_version: int,
        witness: ChangeWitness,
    ) -> None:
        if expected_version != self.people.version:
            raise Rejected("the roster changed", code="roster_changed")
        person = self._person(person_id)
        if not person.consented:
            raise InvalidInput("no consent", code="no_consent")
        stay = mode is Mode.ADD
        together = [*(person.templates if stay else ()), *templates]
        if max(Counter(t.model_id for t in together).values(), default=0) > MOST_PHOTOGRAPHS:
            raise Rejected("too many", code="too_many_templates")
        await witness()
        kept = self._photographs(person_id) if stay else []
        self.people.photographs[person_id] = [*kept, *photographs]
        self._set(person, together)

    async def remove(self, person_id: PersonId, witness: ChangeWitness) -> tuple[int, int]:
        person = self._person(person_id)
        gone = len(person.templates), len(self._photographs(person_id))
        if any(gone):
            await witness()
            self.people.photographs[person_id] = []
            self._set(person, [])
        return gone

    async def entries(self, person_id: PersonId) -> Sequence[PhotographEntry]:
        person = self._person(person_id)
        return [
            PhotographEntry(
                photograph_id=p.photograph_id,
                media_type=p.media_type,
                quality=p.quality,
                created_at=datetime(2026, 1, 1, tzinfo=UTC),
                models=tuple(
                    sorted({t.model_id for t in person.templates if t.photograph_id == p.photograph_id})
                ),
            )
            for p in self._photographs(person_id)
        ]

    async def get(self, person_id: PersonId, photograph_id: str) -> tuple[SealedPhotograph, bytes]:
        for one in self._photographs(person_id):
            if one.photograph_id == photograph_id:
                return one, self._person(person_id).wrapped_key
        raise InvalidInput("no such photograph", code="no_such_photograph")

    async def migrants(self, model_id: ModelId) -> Sequence[Migrant]:
        return [
            Migrant(
                person_id=p.person_id,
                number=p.number,
                wrapped_key=p.wrapped_key,
                have=[t for t in p.templates if t.model_id == model_id],
                photographs=[f.photograph_id for f in self._photographs(p.person_id)],
            )
            for p in self.people.people.values()
            if p.templates
        ]

    async def put(
        self,
        model_id: ModelId,
        templates: Mapping[PersonId, Sequence[SealedTemplate]],
        witness: Callable[[Sequence[PersonId]], Awaitable[None]],
    ) -> Sequence[PersonId]:
        done = [p for p, given in templates.items() if self._may(p, model_id, given)]
        if done:
            await witness(done)
        for person_id in done:
            person = self._person(person_id)
            self._set(person, [*person.templates, *templates[person_id]])
        return done

    async def finish(self, model_id: ModelId, witness: ChangeWitness) -> int:
        holders = [p for p in self.people.people.values() if p.templates]
        if any(all(t.model_id != model_id for t in p.templates) for p in holders):
            raise Rejected("incomplete", code="migration_incomplete")
        gone = sum(t.model_id != model_id for p in holders for t in p.templates)
        if gone:
            await witness()
            for person in holders:
                self._set(person, [t for t in person.templates if t.model_id == model_id])
        return gone

    def _may(self, person_id: PersonId, model_id: ModelId, given: Sequence[SealedTemplate]) -> bool:
        person = self.people.people.get(person_id)
        if person is None or not person.consented or any(t.model_id == model_id for t in person.templates):
            return False
        return {t.photograph_id for t in given} <= {p.photograph_id for p in self._photographs(person_id)}

    def _set(self, person: StoredPerson, templates: Sequence[SealedTemplate]) -> None:
        self.people.people[person.person_id] = replace(person, templates=tuple(templates))
        self.people.version += 1

    def _photographs(self, person_id: PersonId) -> list[SealedPhotograph]:
        return self.people.photographs.get(person_id, [])

    def _person(self, person_id: PersonId) -> StoredPerson:
        self.people._reach()
        if person_id not in self.people.people:
            raise InvalidInput("no such person", code="no_such_person")
        return self.people.people[person_id]

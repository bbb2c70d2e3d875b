"""Employees in memory, with a switch for an absent database."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from gateway.domain.enrolment import SealedPhotograph, SealedTemplate, StoredPerson
from gateway.domain.errors import DatabaseUnavailable, InvalidInput, Rejected
from gateway.domain.ids import AccessPointId, ModelId, PersonId
from gateway.domain.people import PersonStatus
from gateway.ports import ChangeWitness


@dataclass
class FakePeopleStore:
    away: bool = False
    version: int = 1
    people: dict[PersonId, StoredPerson] = field(default_factory=dict)
    held: dict[PersonId, set[str]] = field(default_factory=dict)
    profiles: dict[str, set[AccessPointId]] = field(default_factory=lambda: {"staff": set()})
    photographs: dict[PersonId, list[SealedPhotograph]] = field(default_factory=dict)
    points: dict[AccessPointId, str] = field(default_factory=dict)

    async def roster_version(self) -> int:
        self._reach()
        return self.version

    async def load(
        self, model_id: ModelId, known: Mapping[PersonId, StoredPerson] | None = None
    ) -> tuple[int, Sequence[StoredPerson]]:
        self._reach()
        return self.version, [
            replace(
                person,
                access_points=frozenset().union(*(self.profiles[p] for p in self.held[person.person_id])),
                templates=[t for t in person.templates if t.model_id == model_id],
            )
            for person in self.people.values()
        ]

    async def enrol(
        self,
        *,
        number: str,
        name: str,
        profile: str,
        consent: str | None,
        person_id: PersonId,
        wrapped_key: bytes,
        templates: Sequence[SealedTemplate],
        expected_version: int,
        photographs: Sequence[SealedPhotograph] = (),
        witness: ChangeWitness | None = None,
    ) -> None:
        self._reach()
        if templates and consent is None:
            raise InvalidInput("no consent", code="no_consent")
        owner = next((p.person_id for p in self.people.values() if p.number == number), person_id)
        old = self.people.get(person_id)
        if expected_version != self.version or owner != person_id or (old and old.number != number):
            raise Rejected("the roster changed", code="roster_changed")
        if profile not in self.profiles:
            raise InvalidInput("no such profile", code="no_such_profile")
        if witness is not None:
            await witness()
        self.photographs[person_id] = list(photographs)
        self.people[person_id] = StoredPerson(
            person_id=person_id,
            number=number,
            name=name,
            status=old.status if old else PersonStatus.ACTIVE,
            consented=consent is not None or (old is not None and old.consented),
            access_points=frozenset(),
            wrapped_key=old.wrapped_key if old else wrapped_key,
            templates=tuple(templates),
        )
        self.held.setdefault(person_id, set()).add(profile)
        self.version += 1

    async def sync_access_points(self, points: Sequence[tuple[AccessPointId, str]]) -> None:
        self._reach()
        changed = [(point, name) for point, name in points if self.points.get(point) != name]
        for point, name in changed:
            if point not in self.points:
                self.profiles["staff"].add(point)
            self.points[point] = name
        self.version += bool(changed)

    def _reach(self) -> None:
        if self.away:
            raise DatabaseUnavailable("the database is away")

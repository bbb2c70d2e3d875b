"""Where an import takes what it changes: people, consents, templates, each change on record."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.domain.accounts import Actor
from gateway.domain.ids import PersonId
from gateway.domain.imports import ConsentNote
from gateway.domain.query import Query
from gateway.domain.staff import Change, NewPerson, Page, StaffRecord
from gateway.ports.imports import ConsentNotes
from gateway.services.enrolment import Look
from gateway.services.witness import Acted


class StaffDesk(Protocol):
    """People as HR changes them, each change on record; ``services.staff.Staff``."""

    async def find(self, query: Query) -> Page:
        """Those who match."""
        ...

    async def create(self, actor: Actor, person: NewPerson) -> StaffRecord:
        """Add a person. Raises InvalidInput, Rejected."""
        ...

    async def change(
        self, actor: Actor, person_id: PersonId, change: Change, expected_version: int | None = None
    ) -> StaffRecord:
        """Set the named fields. Raises InvalidInput, Rejected (code "version_differs")."""
        ...


class ConsentDesk(Protocol):
    """Consents to face recognition."""

    async def in_force(self, person_id: PersonId) -> ConsentNote | None:
        """The latest one that is in force and has a version, as a staff file would state it."""
        ...

    async def record(self, actor: Actor, person_id: PersonId, note: ConsentNote) -> None:
        """Put one on record. Raises InvalidInput (code "no_such_consent_text")."""
        ...


class TemplateDesk(Protocol):
    """Templates of one person. The photographs were judged, and compared with everybody, by the caller."""

    async def put(self, actor: Actor, person_id: PersonId, looks: Sequence[Look]) -> None:
        """Replace the person's templates. Raises EnrolmentRefused (code "no_consent", "person_left")."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Desks:
    """All of them, of one way of recording."""

    staff: StaffDesk
    consents: ConsentDesk
    templates: TemplateDesk


@dataclass(frozen=True, slots=True)
class Consents:
    """``ConsentDesk`` over the consents in the database."""

    store: ConsentNotes
    acted: Acted

    async def in_force(self, person_id: PersonId) -> ConsentNote | None:
        """The latest consent in force that has a version."""
        return await self.store.latest(person_id)

    async def record(self, actor: Actor, person_id: PersonId, note: ConsentNote) -> None:
        """Put a consent on record. Raises InvalidInput (code "no_such_consent_text")."""

        async def told() -> None:
            after = {"version": note.version, "given_on": note.given_on.isoformat(), "how": note.how.value}
            await self.acted(actor, "consent.record", person_id=person_id, after={**after})

        await self.store.add(person_id, note, actor.id, told)


async def unrecorded(actor: Actor, action: str, **what: object) -> None:
    """``Acted`` of a rehearsal: what is taken back did not happen, and is not on record as if it had."""
    del actor, action, what

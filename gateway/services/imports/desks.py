"""Where an import takes what it changes: people, consents, templates, each change on record."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import Protocol

from gateway.domain.accounts import Actor
from gateway.domain.ids import PersonId
from gateway.domain.imports import ConsentNote
from gateway.domain.query import Query
from gateway.domain.staff import Change, NewPerson, Page, StaffRecord
from gateway.ports import Clock
from gateway.services.enrolment import Look
from gateway.services.privacy.consents import ConsentDesk


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


class ConsentNotes(Protocol):
    """Consents to face recognition, as a staff file states them."""

    async def in_force(self, person_id: PersonId) -> ConsentNote | None:
        """The latest one that is in force and has a version."""
        ...

    async def record(self, actor: Actor, person_id: PersonId, note: ConsentNote) -> None:
        """Put one on record.

        Raises InvalidInput (code "no_such_consent_text", "bad_consent"), Rejected (code "person_left").
        """
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
    consents: ConsentNotes
    templates: TemplateDesk


@dataclass(frozen=True, slots=True)
class Consents:
    """``ConsentNotes`` over the consents of the site."""

    desk: ConsentDesk
    clock: Clock

    async def in_force(self, person_id: PersonId) -> ConsentNote | None:
        """The latest consent in force that has a version."""
        now = self.clock.now()
        found = [c for c in await self.desk.of(person_id) if c.text_version and c.in_force(now)]
        if not found:
            return None
        latest = max(found, key=lambda c: (c.given_at, c.consent_id))
        return ConsentNote(
            version=str(latest.text_version),
            given_on=latest.given_at.astimezone(UTC).date(),
            how=latest.how,
        )

    async def record(self, actor: Actor, person_id: PersonId, note: ConsentNote) -> None:
        """Put a consent on record."""
        await self.desk.give(
            actor,
            person_id,
            text_version=note.version,
            how=note.how,
            note="stated in a staff file",
            given_at=datetime.combine(note.given_on, time(), UTC),
        )


async def unrecorded(actor: Actor, action: str, **what: object) -> None:
    """``Acted`` of a rehearsal: what is taken back did not happen, and is not on record as if it had."""
    del actor, action, what

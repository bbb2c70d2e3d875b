"""What becomes of one line: compared with what is known, judged, then written whole or not at all."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Protocol

from gateway.domain.accounts import Actor
from gateway.domain.errors import InvalidInput, Rejected
from gateway.domain.faces import Embedding
from gateway.domain.ids import PersonId
from gateway.domain.imports import ConsentNote, LineResult, LineState, StaffLine
from gateway.domain.query import Compare, Op, Query
from gateway.domain.staff import Change, NewPerson, StaffRecord
from gateway.ports import ImportStore
from gateway.services.enrolment import Look, Photo
from gateway.services.enrolment.sealed import embedding_of
from gateway.services.imports.desks import Desks, StaffDesk
from gateway.services.imports.known_faces import KnownFaces
from gateway.services.imports.photos import PhotoBook

_TRIES = 3
_CROSSED = frozenset({"version_differs", "number_taken"})
"""Somebody else changed the person between our look and our writing."""


class PhotoCheck(Protocol):
    """The rules of a photograph that may become a template."""

    async def check(self, photo: Photo) -> Look:
        """What a good one shows. Raises EnrolmentRefused."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A line ready to be written, or refused already."""

    line: StaffLine
    looks: Sequence[Look] = ()
    refusal: InvalidInput | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LineWork:
    """One import's way with a line."""

    import_id: str
    runner: str
    actor: Actor
    rehearsal: bool
    store: ImportStore
    desks: Desks
    check: PhotoCheck
    faces: KnownFaces
    book: PhotoBook
    today: date

    async def prepare(self, line: StaffLine) -> "Prepared":
        """Judge a line's photographs; what is wrong with the line by itself is its refusal. No database."""
        try:
            self._check_faults(line)
            return Prepared(line=line, looks=await self._looks(line))
        except InvalidInput as error:
            return Prepared(line=line, refusal=error)

    async def do(self, prepared: "Prepared") -> LineResult:
        """Carry a line out and note what became of it.

        Raises Rejected (code "import_over"), Unavailable, and what speaks of a broken gateway: SealBroken,
        InvariantBroken. All else that can be wrong is a refusal of this line.
        """
        line = prepared.line
        try:
            if prepared.refusal is not None:
                raise prepared.refusal
            for _ in range(_TRIES - 1):
                try:
                    return await self._put(line, prepared.looks)
                except Rejected as error:
                    if error.code not in _CROSSED:
                        raise
            return await self._put(line, prepared.looks)
        except (InvalidInput, Rejected) as error:
            if error.code == "import_over":
                raise
            return await self._noted(line, LineState.REFUSED, error.code, str(error))

    def photographs(self, line: StaffLine) -> int:
        """How many of the photographs given are a line's."""
        try:
            return len(self.book.of_line(line))
        except InvalidInput:
            return 0

    def _check_faults(self, line: StaffLine) -> None:
        if line.faults:
            raise InvalidInput("; ".join(f.message for f in line.faults), code=line.faults[0].code)
        if line.consent is not None and line.consent.given_on > self.today:
            raise InvalidInput("consent_given_on: lies in the future", code="bad_consent")

    async def _looks(self, line: StaffLine) -> Sequence[Look]:
        """The line's photographs, each good enough, all of one person; before anything is locked."""
        looks = []
        for place, path in enumerate(self.book.of_line(line), 1):
            data = await asyncio.to_thread(self.book.pictures.read, path)
            looks.append(await self.check.check(Photo(name=f"photograph {place}", data=data)))
        self.faces.agree(_embeddings(looks), _names(looks))
        return looks

    async def _put(self, line: StaffLine, looks: Sequence[Look]) -> LineResult:
        known = await by_number(self.desks.staff, line.number)
        async with self.store.person(self.import_id, self.runner, keep=not self.rehearsal):
            await self.faces.refresh()
            who, state = await self._write(line, known, looks)
            if not self.rehearsal:
                return await self._noted(line, state)
        if state in {LineState.CREATED, LineState.ENROLLED}:
            self.faces.pretend(who, line.number, _embeddings(looks))
        return await self._noted(line, state)

    async def _write(
        self, line: StaffLine, known: StaffRecord | None, looks: Sequence[Look]
    ) -> tuple[PersonId, LineState]:
        me = known.person_id if known else None
        same = me is not None and await self.faces.holds(me, _embeddings(looks))
        if looks and not same:
            await self.faces.check_new(_embeddings(looks), _names(looks), me)
        staff = self.desks.staff
        if known is None:
            person, state = await staff.create(self.actor, new_person(line)), LineState.CREATED
        else:
            person, state = known, LineState.UNCHANGED
            wanted = differences(line, known)
            if wanted:
                await staff.change(self.actor, known.person_id, Change(wanted), known.version)
                state = LineState.CHANGED
        if line.consent is not None and await self._consent_is_new(person.person_id, line.consent):
            await self.desks.consents.record(self.actor, person.person_id, line.consent)
            state = LineState.CHANGED if state is LineState.UNCHANGED else state
        if looks and not same:
            await self.desks.templates.put(self.actor, person.person_id, looks)
            state = state if state is LineState.CREATED else LineState.ENROLLED
        return person.person_id, state

    async def _consent_is_new(self, person_id: PersonId, note: ConsentNote) -> bool:
        return await self.desks.consents.in_force(person_id) != note

    async def _noted(
        self, line: StaffLine, state: LineState, code: str | None = None, message: str | None = None
    ) -> LineResult:
        result = LineResult(line=line.line, number=line.number, state=state, code=code, message=message)
        await self.store.note(self.import_id, self.runner, result)
        return result


async def by_number(staff: StaffDesk, number: str) -> StaffRecord | None:
    """The person with exactly this number."""
    page = await staff.find(Query(where=Compare("number", Op.EQ, number), limit=20))
    return next((p for p in page.people if p.number == number), None)


def new_person(line: StaffLine) -> NewPerson:
    """Somebody new, as the line says. Raises InvalidInput (code "no_name")."""
    values: dict[str, Any] = dict(line.values)
    if "name" not in values:
        parts = (values.get("given_name"), values.get("family_name"))
        values["name"] = " ".join(str(p) for p in parts if p)
    if not values["name"]:
        raise InvalidInput("name: is needed for somebody new", code="no_name")
    return NewPerson(number=line.number, **values)


def differences(line: StaffLine, known: StaffRecord) -> dict[str, Any]:
    """New values for what differs."""
    return {name: value for name, value in line.values.items() if getattr(known, name) != value}


def _embeddings(looks: Sequence[Look]) -> list[Embedding]:
    return [embedding_of(look) for look in looks]


def _names(looks: Sequence[Look]) -> list[str]:
    return [look.judged.name for look in looks]

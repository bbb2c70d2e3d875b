"""Consents in memory; what a person has of templates is a number."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import count

from gateway.domain.consent import Consent, ConsentText, Destroyed, NewConsent
from gateway.domain.errors import InvalidInput, Rejected
from gateway.domain.ids import PersonId
from tests.fakes.clock import FakeClock


@dataclass
class FakeConsentStore:
    clock: FakeClock
    people: dict[PersonId, str] = field(default_factory=dict)
    """Status by id."""
    held: dict[PersonId, Destroyed] = field(default_factory=dict)
    consents: dict[PersonId, list[Consent]] = field(default_factory=dict)
    known: list[ConsentText] = field(default_factory=list)
    _ids: count = field(default_factory=lambda: count(1))

    async def texts(self) -> Sequence[ConsentText]:
        newest = {text.language: text.version for text in self.known}
        return [replace(t, current=newest[t.language] == t.version) for t in reversed(self.known)]

    async def add_text(self, *, version, language, body, by, told) -> ConsentText:
        if any(t.version == version for t in self.known):
            raise Rejected("taken", code="text_version_taken")
        if "\0" in body:
            raise InvalidInput("no text", code="bad_text")
        await told()
        text = ConsentText(
            version=version, language=language, body=body, created_at=self.clock.now(), created_by=by,
            current=True,
        )  # fmt: skip
        self.known.append(text)
        return text

    async def of(self, person_id: PersonId) -> Sequence[Consent]:
        self._status(person_id)
        return self.consents.get(person_id, [])

    async def give(
        self, person_id: PersonId, consent: NewConsent, told: Callable[[bool], Awaitable[None]]
    ) -> Consent:
        if self._status(person_id) == "left":
            raise Rejected("left", code="person_left")
        if not any(t.version == consent.text_version for t in self.known):
            raise InvalidInput("no such text", code="no_such_consent_text")
        if "\0" in consent.attestation:
            raise InvalidInput("no text", code="bad_text")
        now = self.clock.now()
        mine = self.consents.setdefault(person_id, [])
        await told(any(c.in_force(now) for c in mine))
        given = Consent(
            consent_id=next(self._ids), text_version=consent.text_version, how=consent.how,
            attestation=consent.attestation, given_at=consent.given_at, recorded_at=now,
            recorded_by=consent.recorded_by, expires_at=consent.expires_at, withdrawn_at=None,
            withdrawn_by=None, ended_at=None,
        )  # fmt: skip
        mine.append(given)
        return given

    async def withdraw(
        self, person_id: PersonId, by: str, told: Callable[[Destroyed], Awaitable[None]]
    ) -> tuple[int, Destroyed]:
        self._status(person_id)
        mine = self.consents.get(person_id, [])
        ends = [c for c in mine if c.withdrawn_at is None and c.ended_at is None]
        if not ends:
            return 0, Destroyed()
        gone = self.held.get(person_id, Destroyed())
        await told(gone)
        now = self.clock.now()
        self.consents[person_id] = [
            replace(c, withdrawn_at=now, withdrawn_by=by) if c in ends else c for c in mine
        ]
        self.held.pop(person_id, None)
        return len(ends), gone

    def _status(self, person_id: PersonId) -> str:
        if person_id not in self.people:
            raise InvalidInput("nobody", code="no_such_person")
        return self.people[person_id]

"""What every consent store keeps to. Its run on Postgres is in tests/integration/test_storage_privacy.py."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from gateway.domain.consent import Consent, Destroyed, How, NewConsent
from gateway.domain.errors import InvalidInput, JournalUnavailable, Rejected
from gateway.domain.ids import PersonId
from gateway.ports.privacy import ConsentStore
from tests.fakes.clock import FakeClock
from tests.fakes.consent_store import FakeConsentStore

GIVEN = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)
NOBODY = PersonId("00000000-0000-4000-8000-000000000000")


async def quietly(*_: object) -> None:
    """A witness that has nothing to say."""


async def full(*_: object) -> None:
    raise JournalUnavailable("the disk is full")


def consent(**more: Any) -> NewConsent:
    facts: dict[str, Any] = {
        "text_version": "2026-01-en",
        "how": How.PAPER,
        "attestation": "folder 7",
        "given_at": GIVEN,
        "recorded_by": "account:1",
        "expires_at": None,
    }
    return NewConsent(**facts | more)


@dataclass
class Rig(ABC):
    """A store, and what surrounds it."""

    store: ConsentStore

    @abstractmethod
    async def person(self, status: str = "active") -> PersonId: ...

    @abstractmethod
    async def enrolled(self, person_id: PersonId, templates: int, photographs: int) -> None: ...

    @abstractmethod
    async def held(self, person_id: PersonId) -> Destroyed: ...

    async def text(self, version: str = "2026-01-en", language: str = "en") -> None:
        await self.store.add_text(
            version=version, language=language, body="I agree …", by="account:1", told=quietly
        )

    async def consenting(self, **more: Any) -> tuple[PersonId, Consent]:
        who = await self.person()
        return who, await self.store.give(who, consent(**more), quietly)


class ConsentStoreContract(ABC):
    """Subclass it and give the fixture; the tests are inherited."""

    @pytest.fixture
    @abstractmethod
    async def rig(self) -> Rig: ...

    async def test_the_newest_text_of_each_language_is_current(self, rig: Rig) -> None:
        for version, language in (("1-en", "en"), ("1-de", "de"), ("2-en", "en")):
            await rig.text(version, language)
        found = [(t.version, t.current) for t in await rig.store.texts()]
        assert found == [("2-en", True), ("1-de", True), ("1-en", False)]

    async def test_a_version_is_given_once(self, rig: Rig) -> None:
        await rig.text()
        with pytest.raises(Rejected) as refused:
            await rig.text(language="de")
        assert refused.value.code == "text_version_taken"
        assert [t.language for t in await rig.store.texts()] == ["en"]

    async def test_a_text_that_could_not_be_recorded_is_not_added(self, rig: Rig) -> None:
        with pytest.raises(JournalUnavailable):
            await rig.store.add_text(version="1", language="en", body="x", by="a", told=full)
        assert list(await rig.store.texts()) == []

    async def test_a_consent_says_who_when_how_and_to_which_text(self, rig: Rig) -> None:
        await rig.text()
        who, _ = await rig.consenting()
        (found,) = await rig.store.of(who)
        assert (found.text_version, found.how, found.attestation) == ("2026-01-en", How.PAPER, "folder 7")
        assert (found.given_at, found.recorded_by) == (GIVEN, "account:1")
        assert found.withdrawn_at is None
        assert found.in_force(GIVEN)

    async def test_only_a_text_that_there_is_can_be_agreed_to(self, rig: Rig) -> None:
        with pytest.raises(InvalidInput) as refused:
            await rig.consenting()
        assert refused.value.code == "no_such_consent_text"

    async def test_who_has_left_is_asked_for_no_consent(self, rig: Rig) -> None:
        await rig.text()
        with pytest.raises(Rejected) as refused:
            await rig.store.give(await rig.person("left"), consent(), quietly)
        assert refused.value.code == "person_left"

    async def test_nobody_has_no_consents(self, rig: Rig) -> None:
        await rig.text()
        for call in (
            lambda: rig.store.of(NOBODY),
            lambda: rig.store.give(NOBODY, consent(), quietly),
            lambda: rig.store.withdraw(NOBODY, "a", quietly),
        ):
            with pytest.raises(InvalidInput) as refused:
                await call()
            assert refused.value.code == "no_such_person"

    async def test_a_renewal_is_told_apart_from_a_first_consent(self, rig: Rig) -> None:
        await rig.text()
        heard: list[bool] = []

        async def told(renewed: bool) -> None:
            heard.append(renewed)

        who = await rig.person()
        for _ in range(2):
            await rig.store.give(who, consent(), told)
        assert heard == [False, True]
        assert len(await rig.store.of(who)) == 2

    async def test_a_withdrawal_destroys_templates_and_photographs_and_leaves_the_person(
        self, rig: Rig
    ) -> None:
        await rig.text()
        who, _ = await rig.consenting()
        await rig.store.give(who, consent(), quietly)
        await rig.enrolled(who, 3, 2)
        heard: list[Destroyed] = []

        async def told(gone: Destroyed) -> None:
            heard.append(gone)

        gone = Destroyed(templates=3, photographs=2)
        assert await rig.store.withdraw(who, "account:9", told) == (2, gone)
        assert heard == [gone]
        assert await rig.held(who) == Destroyed()
        found = await rig.store.of(who)
        assert {c.withdrawn_by for c in found} == {"account:9"}
        assert all(c.withdrawn_at for c in found)

    async def test_a_second_withdrawal_changes_nothing(self, rig: Rig) -> None:
        await rig.text()
        who, _ = await rig.consenting()
        await rig.store.withdraw(who, "first", quietly)
        assert await rig.store.withdraw(who, "second", full) == (0, Destroyed())
        assert [c.withdrawn_by for c in await rig.store.of(who)] == ["first"]

    async def test_a_withdrawal_that_could_not_be_recorded_did_not_happen(self, rig: Rig) -> None:
        await rig.text()
        who, _ = await rig.consenting()
        await rig.enrolled(who, 1, 1)
        with pytest.raises(JournalUnavailable):
            await rig.store.withdraw(who, "a", full)
        assert await rig.held(who) == Destroyed(templates=1, photographs=1)
        assert (await rig.store.of(who))[0].withdrawn_at is None

    async def test_one_persons_withdrawal_is_not_anothers(self, rig: Rig) -> None:
        await rig.text()
        one, _ = await rig.consenting()
        other, _ = await rig.consenting()
        await rig.enrolled(other, 1, 1)
        await rig.store.withdraw(one, "a", quietly)
        assert await rig.held(other) == Destroyed(templates=1, photographs=1)

    async def test_what_cannot_be_stored_is_refused(self, rig: Rig) -> None:
        await rig.text()
        with pytest.raises(InvalidInput) as refused:
            await rig.consenting(attestation="folder\0")
        assert refused.value.code == "bad_text"
        with pytest.raises(InvalidInput) as refused:
            await rig.store.add_text(version="2", language="en", body="\0", by="a", told=quietly)
        assert refused.value.code == "bad_text"

    async def test_a_consent_lasts_until_it_expires(self, rig: Rig) -> None:
        await rig.text()
        end = datetime.now(UTC) + timedelta(days=1)
        _, given = await rig.consenting(expires_at=end)
        assert given.expires_at == end
        assert given.in_force(end - timedelta(seconds=1))
        assert not given.in_force(end)


class _FakeRig(Rig):
    store: FakeConsentStore

    async def person(self, status: str = "active") -> PersonId:
        who = PersonId(str(uuid4()))
        self.store.people[who] = status
        return who

    async def enrolled(self, person_id: PersonId, templates: int, photographs: int) -> None:
        self.store.held[person_id] = Destroyed(templates=templates, photographs=photographs)

    async def held(self, person_id: PersonId) -> Destroyed:
        return self.store.held.get(person_id, Destroyed())


class TestFakeConsents(ConsentStoreContract):
    @pytest.fixture
    async def rig(self) -> Rig:
        return _FakeRig(FakeConsentStore(FakeClock()))

"""What every people store keeps to. Its run on Postgres is in tests/integration/test_storage_contracts.py."""

from abc import ABC, abstractmethod
from typing import Any
from uuid import uuid4

import pytest

from gateway.domain.enrolment import SealedTemplate, StoredPerson
from gateway.domain.errors import InvalidInput, Rejected
from gateway.domain.ids import AccessPointId, ModelId, PersonId
from gateway.domain.people import PersonStatus
from gateway.ports import PeopleStore
from tests.fakes.people_store import FakePeopleStore

MODEL, OTHER = ModelId("sface:1"), ModelId("other:2")
DOOR, GATE = AccessPointId("door-1"), AccessPointId("gate-2")


def template(text: bytes = b"sealed", model: ModelId = MODEL) -> SealedTemplate:
    return SealedTemplate(model_id=model, sealed=text, quality=0.5)


def new_person() -> PersonId:
    return PersonId(str(uuid4()))


async def enrol(store: PeopleStore, **more: Any) -> PersonId:
    """Enrol somebody; what is not given is made up."""
    person = more.get("person_id") or new_person()
    facts: dict[str, Any] = {
        "number": f"E-{person[:8]}",
        "name": "Ada Lovelace",
        "profile": "staff",
        "consent": "HR, text of 2026-01",
        "person_id": person,
        "wrapped_key": b"wrapped",
        "templates": [template()],
        "expected_version": await store.roster_version(),
    }
    await store.enrol(**facts | more)
    return person


async def only(store: PeopleStore, model: ModelId = MODEL) -> StoredPerson:
    (person,) = (await store.load(model))[1]
    return person


class PeopleStoreContract(ABC):
    """Subclass it and give the fixture; the tests are inherited."""

    @pytest.fixture
    @abstractmethod
    async def store(self) -> PeopleStore: ...

    async def test_starts_with_nobody(self, store: PeopleStore) -> None:
        version, people = await store.load(MODEL)
        assert list(people) == []
        assert version == await store.roster_version()

    async def test_enrols_somebody(self, store: PeopleStore) -> None:
        await store.sync_access_points([(DOOR, "Front"), (GATE, "Garage")])
        before = await store.roster_version()
        who = await enrol(store, number="E1", templates=[template(b"a"), template(b"b")])
        version, (person,) = await store.load(MODEL)
        assert version == await store.roster_version() > before
        assert (person.person_id, person.number, person.name) == (who, "E1", "Ada Lovelace")
        assert person.status is PersonStatus.ACTIVE
        assert person.consented
        assert person.wrapped_key == b"wrapped"
        assert person.access_points == {DOOR, GATE}
        assert [(t.model_id, t.sealed, t.quality) for t in person.templates] == [
            (MODEL, b"a", 0.5),
            (MODEL, b"b", 0.5),
        ]

    async def test_gives_the_templates_of_one_model(self, store: PeopleStore) -> None:
        await enrol(store, templates=[template(b"a"), template(b"b", OTHER)])
        assert [t.sealed for t in (await only(store, OTHER)).templates] == [b"b"]

    async def test_a_renewal_replaces_all_templates_and_keeps_the_key(self, store: PeopleStore) -> None:
        who = await enrol(store, number="E1", templates=[template(b"a"), template(b"b", OTHER)])
        await enrol(
            store, number="E1", person_id=who, name="Ada King", wrapped_key=b"new", templates=[template(b"c")]
        )
        person = await only(store)
        assert (person.name, person.wrapped_key) == ("Ada King", b"wrapped")
        assert [t.sealed for t in person.templates] == [b"c"]
        assert (await only(store, OTHER)).templates in ([], ())

    async def test_no_template_without_consent(self, store: PeopleStore) -> None:
        version = await store.roster_version()
        with pytest.raises(InvalidInput) as refused:
            await enrol(store, consent=None)
        assert refused.value.code == "no_consent"
        assert (await store.load(MODEL))[1] == []
        assert await store.roster_version() == version

    async def test_a_person_without_consent_has_no_template(self, store: PeopleStore) -> None:
        await enrol(store, consent=None, templates=[])
        person = await only(store)
        assert not person.consented
        assert list(person.templates) == []

    async def test_a_roster_that_changed_meanwhile_is_told(self, store: PeopleStore) -> None:
        stale = await store.roster_version()
        await enrol(store)
        with pytest.raises(Rejected) as refused:
            await enrol(store, expected_version=stale)
        assert refused.value.code == "roster_changed"
        assert len((await store.load(MODEL))[1]) == 1

    async def test_a_number_belongs_to_one_person(self, store: PeopleStore) -> None:
        who = await enrol(store, number="E1")
        with pytest.raises(Rejected):
            await enrol(store, number="E1")
        with pytest.raises(Rejected):
            await enrol(store, number="E2", person_id=who)
        assert (await only(store)).number == "E1"

    async def test_an_unknown_profile_is_refused(self, store: PeopleStore) -> None:
        with pytest.raises(InvalidInput) as refused:
            await enrol(store, profile="pilots")
        assert refused.value.code == "no_such_profile"
        assert (await store.load(MODEL))[1] == []

    async def test_a_new_access_point_is_open_to_staff_at_once(self, store: PeopleStore) -> None:
        await enrol(store)
        before = await store.roster_version()
        await store.sync_access_points([(DOOR, "Front")])
        assert await store.roster_version() > before
        assert (await only(store)).access_points == {DOOR}

    async def test_other_gateways_access_points_stay(self, store: PeopleStore) -> None:
        await enrol(store)
        await store.sync_access_points([(DOOR, "Front")])
        await store.sync_access_points([(GATE, "Garage")])
        assert (await only(store)).access_points == {DOOR, GATE}

    async def test_a_start_that_changes_nothing_makes_nobody_reload(self, store: PeopleStore) -> None:
        await store.sync_access_points([(DOOR, "Front")])
        before = await store.roster_version()
        await store.sync_access_points([(DOOR, "Front")])
        assert await store.roster_version() == before
        await store.sync_access_points([(DOOR, "Main entrance")])
        assert await store.roster_version() > before


class TestFakePeopleStore(PeopleStoreContract):
    @pytest.fixture
    async def store(self) -> PeopleStore:
        return FakePeopleStore()

"""What every template store keeps to: its photographs and its change of models as well."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest

from gateway.domain.enrolment import Mode, SealedPhotograph, SealedTemplate
from gateway.domain.errors import InvalidInput, JournalUnavailable, Rejected
from gateway.domain.ids import ModelId, PersonId
from gateway.ports import MigrationStore, PeopleStore, PhotographStore, TemplateStore
from tests.contract.test_people_store_contract import MODEL, OTHER, enrol, new_person, template
from tests.fakes.people_store import FakePeopleStore
from tests.fakes.template_store import FakeTemplateStore


@dataclass
class Shelf:
    """One store, by what is asked of it."""

    people: PeopleStore
    templates: TemplateStore
    photographs: PhotographStore
    migration: MigrationStore


def photograph(text: bytes = b"sealed picture") -> SealedPhotograph:
    return SealedPhotograph(photograph_id=str(uuid4()), sealed=text, media_type="image/jpeg", quality=0.5)


def made_of(one: SealedPhotograph, model: ModelId = MODEL) -> SealedTemplate:
    return SealedTemplate(model_id=model, sealed=b"face", quality=0.5, photograph_id=one.photograph_id)


async def nothing() -> None: ...


async def nobody(_people: Any) -> None: ...


async def fails(*_: Any) -> None:
    raise JournalUnavailable("the record cannot be written")


async def store(shelf: Shelf, who: PersonId, **more: Any) -> None:
    facts: dict[str, Any] = {
        "mode": Mode.REPLACE,
        "templates": [template(b"new")],
        "photographs": [],
        "expected_version": await shelf.people.roster_version(),
        "witness": nothing,
    }
    await shelf.templates.store(who, **facts | more)


async def sealed_of(shelf: Shelf, who: PersonId, model: ModelId = MODEL) -> list[bytes]:
    _, people = await shelf.people.load(model)
    return [t.sealed for p in people if p.person_id == who for t in p.templates]


class TemplateStoreContract(ABC):
    """Subclass it and give the fixture; the tests are inherited."""

    @pytest.fixture
    @abstractmethod
    async def shelf(self) -> Shelf: ...

    async def test_says_how_somebody_stands(self, shelf: Shelf) -> None:
        picture = photograph()
        who = await enrol(shelf.people, number="E1", templates=[made_of(picture)], photographs=[picture])
        standing = await shelf.templates.standing(who, MODEL)
        assert (standing.number, standing.consented, standing.wrapped_key) == ("E1", True, b"wrapped")
        assert (standing.templates, standing.photographs) == (1, 1)
        assert standing.roster_version == await shelf.people.roster_version()
        assert (await shelf.templates.standing(who, OTHER)).templates == 0

    async def test_replaces_everything_there_was(self, shelf: Shelf) -> None:
        old, new = photograph(b"old"), photograph(b"new")
        who = await enrol(shelf.people, templates=[made_of(old), template(b"b", OTHER)], photographs=[old])
        before = await shelf.people.roster_version()
        await store(shelf, who, templates=[made_of(new)], photographs=[new])
        assert await sealed_of(shelf, who) == [b"face"]
        assert await sealed_of(shelf, who, OTHER) == []
        (kept,) = await shelf.photographs.entries(who)
        assert (kept.photograph_id, kept.models) == (new.photograph_id, (MODEL,))
        assert await shelf.people.roster_version() > before

    async def test_adds_and_keeps_the_key(self, shelf: Shelf) -> None:
        who = await enrol(shelf.people, templates=[template(b"a")])
        await store(shelf, who, mode=Mode.ADD, templates=[template(b"b")])
        assert await sealed_of(shelf, who) == [b"a", b"b"]
        assert (await shelf.templates.standing(who, MODEL)).wrapped_key == b"wrapped"

    async def test_never_more_than_ten_of_a_model(self, shelf: Shelf) -> None:
        who = await enrol(shelf.people, templates=[template(b"%d" % i) for i in range(9)])
        await store(shelf, who, mode=Mode.ADD, templates=[template(b"ten")])
        with pytest.raises(Rejected) as refused:
            await store(shelf, who, mode=Mode.ADD, templates=[template(b"eleven")])
        assert refused.value.code == "too_many_templates"
        assert len(await sealed_of(shelf, who)) == 10

    async def test_a_roster_that_changed_meanwhile_is_told(self, shelf: Shelf) -> None:
        who = await enrol(shelf.people)
        stale = await shelf.people.roster_version()
        await enrol(shelf.people)
        with pytest.raises(Rejected) as refused:
            await store(shelf, who, expected_version=stale)
        assert refused.value.code == "roster_changed"
        assert await sealed_of(shelf, who) == [b"sealed"]

    @pytest.mark.parametrize("pictures", [False, True])
    async def test_nothing_without_a_consent(self, shelf: Shelf, pictures: bool) -> None:
        who = await enrol(shelf.people, consent=None, templates=[])
        given = [photograph()] if pictures else []
        with pytest.raises(InvalidInput) as refused:
            await store(shelf, who, templates=[template()] if not pictures else [], photographs=given)
        assert refused.value.code == "no_consent"
        assert await shelf.photographs.entries(who) == []
        assert await sealed_of(shelf, who) == []

    async def test_what_cannot_be_recorded_does_not_happen(self, shelf: Shelf) -> None:
        who = await enrol(shelf.people, templates=[template(b"a")])
        with pytest.raises(JournalUnavailable):
            await store(shelf, who, witness=fails)
        with pytest.raises(JournalUnavailable):
            await shelf.templates.remove(who, fails)
        with pytest.raises(JournalUnavailable):
            await enrol(shelf.people, number="E9", witness=fails)
        assert await sealed_of(shelf, who) == [b"a"]
        assert len((await shelf.people.load(MODEL))[1]) == 1

    async def test_removes_all_and_tells_how_many(self, shelf: Shelf) -> None:
        picture = photograph()
        who = await enrol(
            shelf.people, templates=[made_of(picture), template(b"b", OTHER)], photographs=[picture]
        )
        assert await shelf.templates.remove(who, nothing) == (2, 1)
        assert await sealed_of(shelf, who) == []
        assert await shelf.photographs.entries(who) == []
        assert await shelf.templates.remove(who, fails) == (0, 0)

    async def test_nobody_is_nobody(self, shelf: Shelf) -> None:
        for who in (new_person(), PersonId("not an id")):
            for ask in (
                shelf.templates.standing(who, MODEL),
                store(shelf, who),
                shelf.templates.remove(who, nothing),
                shelf.photographs.entries(who),
            ):
                with pytest.raises(InvalidInput) as refused:
                    await ask
                assert refused.value.code == "no_such_person"

    async def test_a_photograph_is_its_persons_alone(self, shelf: Shelf) -> None:
        mine, theirs = photograph(b"mine"), photograph(b"theirs")
        ada = await enrol(shelf.people, number="1", photographs=[mine], wrapped_key=b"ada")
        await enrol(shelf.people, number="2", photographs=[theirs])
        one, key = await shelf.photographs.get(ada, mine.photograph_id)
        assert (one, key) == (mine, b"ada")
        for wrong in (theirs.photograph_id, str(uuid4()), "no id"):
            with pytest.raises(InvalidInput) as refused:
                await shelf.photographs.get(ada, wrong)
            assert refused.value.code == "no_such_photograph"

    async def test_a_new_model_stands_beside_the_old_one(self, shelf: Shelf) -> None:
        picture = photograph()
        ada = await enrol(shelf.people, number="1", templates=[made_of(picture)], photographs=[picture])
        bob = await enrol(shelf.people, number="2")
        await enrol(shelf.people, number="3", templates=[])
        migrants = {m.person_id: m for m in await shelf.migration.migrants(OTHER)}
        assert set(migrants) == {ada, bob}
        assert migrants[ada].photographs == [picture.photograph_id]
        assert not migrants[ada].have
        told: list[Any] = []

        async def witness(people: Any) -> None:
            told.append(list(people))

        assert await shelf.migration.put(OTHER, {ada: [made_of(picture, OTHER)]}, witness) == [ada]
        assert told == [[ada]]
        assert await sealed_of(shelf, ada) == await sealed_of(shelf, ada, OTHER) == [b"face"]
        assert await shelf.migration.put(OTHER, {ada: [made_of(picture, OTHER)]}, fails) == []
        assert len(await sealed_of(shelf, ada, OTHER)) == 1

    async def test_a_photograph_replaced_meanwhile_gives_no_template(self, shelf: Shelf) -> None:
        old, new = photograph(), photograph()
        ada = await enrol(shelf.people, templates=[made_of(old)], photographs=[old])
        await store(shelf, ada, templates=[made_of(new)], photographs=[new])
        assert await shelf.migration.put(OTHER, {ada: [made_of(old, OTHER)]}, fails) == []
        assert await sealed_of(shelf, ada, OTHER) == []

    async def test_the_old_model_goes_when_everybody_has_the_new_one(self, shelf: Shelf) -> None:
        picture = photograph()
        ada = await enrol(shelf.people, number="1", templates=[made_of(picture)], photographs=[picture])
        bob = await enrol(shelf.people, number="2")
        await shelf.migration.put(OTHER, {ada: [made_of(picture, OTHER)]}, nobody)
        with pytest.raises(Rejected) as refused:
            await shelf.migration.finish(OTHER, nothing)
        assert refused.value.code == "migration_incomplete"
        assert await sealed_of(shelf, ada) == [b"face"]
        await shelf.templates.remove(bob, nothing)
        assert await shelf.migration.finish(OTHER, nothing) == 1
        assert await sealed_of(shelf, ada) == []
        assert await sealed_of(shelf, ada, OTHER) == [b"face"]
        assert await shelf.migration.finish(OTHER, fails) == 0


class TestFakeTemplateStore(TemplateStoreContract):
    @pytest.fixture
    async def shelf(self) -> Shelf:
        people = FakePeopleStore()
        templates = FakeTemplateStore(people)
        return Shelf(people=people, templates=templates, photographs=templates, migration=templates)

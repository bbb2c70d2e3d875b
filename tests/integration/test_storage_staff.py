"""People and access profiles in Postgres, as HR edits them."""

import asyncio
from dataclasses import replace
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.errors import InvalidInput, JournalUnavailable, Rejected
from gateway.domain.ids import AccessPointId, PersonId
from gateway.domain.people import PersonStatus
from gateway.domain.query import Both, Compare, Either, Not, Op, Query
from gateway.domain.staff import Change, NewPerson, NewProfile, ProfileChange, StaffRecord
from gateway.storage.people import PostgresPeople
from gateway.storage.pool import Database
from gateway.storage.profiles import PostgresProfiles
from gateway.storage.staff import PostgresStaff


async def unseen(before: object, after: object) -> None:
    """A witness that has nothing to say."""


async def struck(before: object, after: object) -> None:
    raise JournalUnavailable("the disk is full")


async def add(store: PostgresStaff, **values: object) -> StaffRecord:
    given = {"number": "7", "name": "Ada", **values}
    return await store.create(PersonId(str(uuid4())), NewPerson(**given), b"key", unseen)  # type: ignore[arg-type]


async def test_what_was_given_is_read_back(database: Database):
    store = PostgresStaff(database)
    made = await add(store, email="ada@example.org", extended=True, department="R&D")
    assert made == await store.get(made.person_id)
    assert (made.email, made.extended, made.profiles, made.version) == (
        "ada@example.org",
        True,
        frozenset({"staff"}),
        1,
    )


async def test_what_cannot_be_recorded_is_not_done(database: Database):
    store = PostgresStaff(database)
    with pytest.raises(JournalUnavailable):
        await store.create(PersonId(str(uuid4())), NewPerson(number="1", name="X"), b"k", struck)
    assert (await store.find(Query())).total == 0
    made = await add(store)
    with pytest.raises(JournalUnavailable):
        await store.change(made.person_id, Change({"name": "Eve"}), None, struck)
    with pytest.raises(JournalUnavailable):
        await store.remove(made.person_id, struck)
    assert await store.get(made.person_id) == made


async def test_a_second_person_with_the_same_number_is_refused_without_quoting_it(database: Database):
    store = PostgresStaff(database)
    await add(store, number="secret-number", user_name="Ada@x", external_id="e")
    for code, values in (
        ("number_taken", {"number": "secret-number"}),
        ("user_name_taken", {"number": "2", "user_name": "ADA@X"}),
        ("external_id_taken", {"number": "2", "external_id": "e"}),
    ):
        with pytest.raises(Rejected) as caught:
            await add(store, **values)
        assert caught.value.code == code
        assert "secret-number" not in str(caught.value)


async def test_a_change_on_an_old_version_is_refused_and_changes_nothing(database: Database):
    store = PostgresStaff(database)
    made = await add(store)
    changed = await store.change(made.person_id, Change({"name": "Bea"}), made.version, unseen)
    assert changed.version == 2
    with pytest.raises(Rejected) as caught:
        await store.change(made.person_id, Change({"name": "Cid"}), made.version, unseen)
    assert caught.value.code == "version_differs"
    assert (await store.get(made.person_id)).name == "Bea"


async def test_of_two_changes_at_once_on_one_version_one_wins(database: Database):
    store = PostgresStaff(database)
    made = await add(store)
    done = await asyncio.gather(
        *(store.change(made.person_id, Change({"name": n}), 1, unseen) for n in "ABCD"),
        return_exceptions=True,
    )
    assert sum(isinstance(d, StaffRecord) for d in done) == 1


async def test_the_same_values_change_nothing_and_are_not_recorded(database: Database):
    store = PostgresStaff(database)
    made = await add(store)
    assert await store.change(made.person_id, Change({"name": "Ada"}), None, struck) == made


async def test_a_suspension_is_a_new_roster_version(database: Database):
    store, people = PostgresStaff(database), PostgresPeople(database)
    made = await add(store)
    before = await people.roster_version()
    await store.change(made.person_id, Change({"status": PersonStatus.SUSPENDED}), None, unseen)
    assert await people.roster_version() > before


async def test_an_unknown_profile_is_refused_and_nothing_stays(database: Database):
    store = PostgresStaff(database)
    with pytest.raises(InvalidInput) as caught:
        await add(store, profiles=frozenset({"nowhere"}))
    assert caught.value.code == "no_such_profile"
    assert (await store.find(Query())).total == 0


async def test_nothing_of_an_erased_person_is_left(database: Database):
    store = PostgresStaff(database)
    made = await add(store)
    await store.remove(made.person_id, unseen)
    for ask in (store.get, store.wrapped_key):
        with pytest.raises(InvalidInput) as caught:
            await ask(made.person_id)
        assert caught.value.code == "no_such_person"


@pytest.mark.parametrize(
    "sort", ["name", "number", "created_at", "updated_at", "person_id", "enrolled", "email"]
)
@pytest.mark.parametrize("descending", [False, True])
async def test_pages_hold_everybody_once_whatever_the_order(database: Database, sort: str, descending: bool):
    store = PostgresStaff(database)
    names = ["Zoë", "anna", "Anna", "Ärmel", "bob", "BOB", "İpek", "ß"]
    made = {(await add(store, number=str(i), name=n)).person_id for i, n in enumerate(names)}
    query, found = Query(sort=sort, descending=descending, limit=3), []
    while True:
        page = await store.find(query)
        assert page.total == len(names)
        found += [p.person_id for p in page.people]
        if page.last is None:
            break
        query = replace(query, after=page.last)
    assert len(found) == len(names)
    assert set(found) == made


async def test_filters_mean_what_they_say(database: Database):
    store = PostgresStaff(database)
    ada = await add(store, number="1", name="Ada_100%", email="Ada@Example.org")
    bob = await add(store, number="2", name="Bob", status=PersonStatus.SUSPENDED, profiles=frozenset())

    async def who(where: object) -> set[str]:
        return {p.number for p in (await store.find(Query(where=where))).people}  # type: ignore[arg-type]

    assert await who(Compare("email", Op.EQ, "ada@example.ORG")) == {"1"}
    assert await who(Compare("name", Op.CONTAINS, "_100%")) == {"1"}
    assert await who(Compare("name", Op.CONTAINS, "a%")) == set()
    assert await who(Compare("email", Op.NE, "x")) == {"1", "2"}
    assert await who(Not(Compare("email", Op.PRESENT))) == {"2"}
    assert await who(Compare("status", Op.EQ, "suspended")) == {"2"}
    assert await who(Compare("profile", Op.EQ, "staff")) == {"1"}
    assert await who(Compare("person_id", Op.EQ, bob.person_id)) == {"2"}
    assert await who(Compare("person_id", Op.EQ, "'; DROP TABLE people --")) == set()
    assert await who(Both((Compare("number", Op.GE, "1"), Compare("created_at", Op.LE, ada.created_at)))) == {
        "1"
    }
    assert await who(Either(())) == set()


FIELD = st.sampled_from(
    ["number", "name", "email", "status", "profile", "person_id", "enrolled", "created_at", "x"]
)
VALUE = st.one_of(st.text(max_size=8), st.booleans(), st.none(), st.integers(-5, 5), st.just("%_\\'\"\x00"))
COMPARE = st.builds(Compare, FIELD, st.sampled_from(Op), VALUE)
WHERE = st.recursive(
    COMPARE,
    lambda inner: st.one_of(
        st.builds(Both, st.lists(inner, max_size=3)),
        st.builds(Either, st.lists(inner, max_size=3)),
        st.builds(Not, inner),
    ),
    max_leaves=8,
)


def examples() -> list[object]:
    found: list[object] = []

    @settings(max_examples=150, database=None)
    @given(WHERE)
    def collect(where: object) -> None:
        found.append(where)

    collect()
    return found


async def test_no_filter_is_answered_by_anything_but_people_or_bad_filter(database: Database):
    store = PostgresStaff(database)
    await add(store)
    for where in examples():
        try:
            page = await store.find(Query(where=where))  # type: ignore[arg-type]
        except InvalidInput as error:
            assert error.code == "bad_filter"  # noqa: PT017  # most are good, some are not
            continue
        opposite = await store.find(Query(where=Not(where)))  # type: ignore[arg-type]
        assert {page.total, opposite.total} == {0, 1}, where


async def test_profiles_are_made_changed_and_removed_with_their_members(database: Database):
    store, profiles = PostgresStaff(database), PostgresProfiles(database)
    await PostgresPeople(database).sync_access_points([(AccessPointId("lab"), "Lab")])
    made = await add(store)
    lab = await profiles.create_profile(
        NewProfile(profile="lab", name="Laboratory", access_points=frozenset({AccessPointId("lab")})), unseen
    )
    assert (lab.members, lab.version) == (0, 1)
    lab = await profiles.change_profile("lab", ProfileChange(add=frozenset({made.person_id})), 1, unseen)
    assert (lab.members, lab.version) == (1, 2)
    assert await profiles.members("lab") == [(made.person_id, "Ada")]
    again = await profiles.change_profile("lab", ProfileChange(add=frozenset({made.person_id})), None, struck)
    assert again.version == 2
    with pytest.raises(Rejected, match="meanwhile"):
        await profiles.change_profile("lab", ProfileChange(name="x"), 1, unseen)
    await profiles.remove_profile("lab", 2, unseen)
    assert (await store.get(made.person_id)).profiles == {"staff"}
    with pytest.raises(Rejected, match="stays"):
        await profiles.remove_profile("staff", None, unseen)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (ProfileChange(access_points=frozenset({AccessPointId("nowhere")})), "no_such_access_point"),
        (ProfileChange(add=frozenset({PersonId(str(uuid4()))})), "no_such_person"),
        (ProfileChange(add=frozenset({PersonId("x")})), "no_such_person"),
        (ProfileChange(name="\x00"), "bad_text"),
    ],
)
async def test_a_bad_change_of_a_profile_is_refused_whole(
    database: Database, change: ProfileChange, code: str
):
    profiles = PostgresProfiles(database)
    with pytest.raises(InvalidInput) as caught:
        await profiles.change_profile("staff", replace(change, external_id="new"), None, unseen)
    assert caught.value.code == code
    (staff,) = await profiles.profiles()
    assert (staff.external_id, staff.version) == (None, 1)


async def test_joining_and_leaving_a_profile_makes_a_new_version_of_both(database: Database):
    store, profiles = PostgresStaff(database), PostgresProfiles(database)
    made = await add(store)
    lab = await profiles.create_profile(NewProfile(profile="lab", name="Lab"), unseen)
    who = frozenset({made.person_id})
    lab = await profiles.change_profile("lab", ProfileChange(add=who), lab.version, unseen)
    joined = await store.get(made.person_id)
    assert joined.version == made.version + 1
    left = await store.change(made.person_id, Change({"status": PersonStatus.LEFT}), joined.version, unseen)
    (after,) = [p for p in await profiles.profiles() if p.profile == "lab"]
    assert after.version == lab.version + 1
    assert await profiles.members("lab") == []
    await profiles.remove_profile("lab", after.version, unseen)
    assert (await store.get(made.person_id)).version == left.version + 1

"""Consents, retention and erasure on real Postgres, past the triggers and around them."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from gateway.domain.consent import Destroyed, Ended, Erased
from gateway.domain.errors import InvalidInput, JournalUnavailable
from gateway.domain.ids import PersonId
from gateway.storage.consents import PostgresConsents
from gateway.storage.erasure import PostgresErasure
from gateway.storage.figures import PostgresFigures
from gateway.storage.holdings import PostgresHoldings
from gateway.storage.people import PostgresPeople
from gateway.storage.pool import Database
from gateway.storage.retention import PostgresRetention
from tests.contract.test_consent_store_contract import (
    ConsentStoreContract,
    Rig,
    consent,
    full,
    quietly,
)
from tests.contract.test_people_store_contract import MODEL


@dataclass
class PostgresRig(Rig):
    database: Database

    async def person(self, status: str = "active") -> PersonId:
        who = uuid4()
        async with self.database.connection() as db:
            await db.execute(
                "INSERT INTO people (person_id, number, name, status, wrapped_key) "
                "VALUES ($1, $2, 'Ada Lovelace', $3, 'key')",
                who,
                f"N-{who}",
                status,
            )
        return PersonId(str(who))

    async def enrolled(self, person_id: PersonId, templates: int, photographs: int) -> None:
        async with self.database.connection() as db:
            await put(db, person_id, templates, photographs)

    async def held(self, person_id: PersonId) -> Destroyed:
        async with self.database.connection() as db:
            return Destroyed(
                templates=await count(db, "templates", person_id),
                photographs=await count(db, "photographs", person_id),
            )

    async def sql(self, command: str, *given: object) -> str:
        async with self.database.connection() as db:
            return str(await db.execute(command, *given))

    async def expired(self, person_id: PersonId) -> None:
        """As if time had passed since the consent ran out, and nobody had looked."""
        await self.past(
            "UPDATE consents SET expires_at = now() - interval '1 day' WHERE person_id = $1", person_id
        )

    async def past(self, command: str, *people: PersonId) -> None:
        """Change a time without anything hearing of it, as time itself does."""
        async with self.database.transaction() as db:
            await db.execute("SET LOCAL session_replication_role = replica")
            await db.execute(command, *map(UUID, people))


async def put(db: Any, person_id: PersonId, templates: int, photographs: int) -> None:
    for _ in range(photographs):
        await db.execute(
            "INSERT INTO photographs (photograph_id, person_id, sealed, media_type, quality) "
            "VALUES (gen_random_uuid(), $1, 'sealed', 'image/png', 0.5)",
            UUID(person_id),
        )
    for _ in range(templates):
        await db.execute(
            "INSERT INTO templates (person_id, model_id, sealed, quality, photograph_id) VALUES ($1, $2, "
            "'sealed', 0.5, (SELECT photograph_id FROM photographs WHERE person_id = $1 LIMIT 1))",
            UUID(person_id),
            MODEL,
        )


async def count(db: Any, table: str, person_id: PersonId) -> int:
    found = f"SELECT count(*) FROM {table} WHERE person_id = $1"  # noqa: S608  # our own names
    return int(await db.fetchval(found, UUID(person_id)))


class TestPostgresConsents(ConsentStoreContract):
    @pytest.fixture
    async def rig(self, database: Database) -> Rig:
        return PostgresRig(PostgresConsents(database), database)


@pytest.fixture
async def rig(database: Database) -> PostgresRig:
    made = PostgresRig(PostgresConsents(database), database)
    await made.text()
    return made


@pytest.fixture
def retention(database: Database) -> PostgresRetention:
    return PostgresRetention(database)


class Heard:
    """What retention told, in order."""

    def __init__(self) -> None:
        self.ended: list[Ended] = []
        self.counts: list[int] = []

    async def person(self, ended: Ended) -> None:
        self.ended.append(ended)

    async def number(self, count: int) -> None:
        self.counts.append(count)


def who_of(done: Any) -> set[PersonId]:
    return {one.person_id for one in done}


# The triggers hold whatever comes.


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE consent_texts SET body = 'I agree to everything'",
        "DELETE FROM consent_texts",
        "TRUNCATE consent_texts CASCADE",
    ],
)
async def test_a_consent_text_is_never_changed(rig: PostgresRig, change: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await rig.sql(change)
    assert [t.body for t in await rig.store.texts()] == ["I agree …"]


@pytest.mark.parametrize("what", [(1, 0), (0, 1)], ids=["template", "photograph"])
async def test_an_expired_consent_lets_no_template_and_no_photograph_in(
    rig: PostgresRig, what: tuple[int, int]
) -> None:
    who, _ = await rig.consenting(expires_at=datetime.now(UTC) + timedelta(hours=1))
    await rig.enrolled(who, *what)
    await rig.expired(who)
    with pytest.raises(asyncpg.CheckViolationError):
        await rig.enrolled(who, *what)


async def test_a_transaction_that_outlives_the_consent_writes_no_template(rig: PostgresRig) -> None:
    who, _ = await rig.consenting(expires_at=datetime.now(UTC) + timedelta(seconds=1.5))

    async def slowly() -> None:
        async with rig.database.transaction() as db:
            assert await db.fetchval("SELECT consent_in_force($1)", UUID(who))
            await asyncio.sleep(1.6)
            await put(db, who, 1, 0)

    with pytest.raises(asyncpg.CheckViolationError):
        await slowly()


async def test_the_doors_hear_that_an_expired_consent_is_none(rig: PostgresRig) -> None:
    who, _ = await rig.consenting()
    people = PostgresPeople(rig.database)
    assert (await people.load(MODEL))[1][0].consented
    await rig.expired(who)
    assert not (await people.load(MODEL))[1][0].consented


async def test_deleting_a_consent_destroys_as_well(rig: PostgresRig) -> None:
    who, _ = await rig.consenting()
    await rig.enrolled(who, 2, 1)
    await rig.sql("DELETE FROM consents")
    assert await rig.held(who) == Destroyed()


async def test_since_when_somebody_has_left_is_kept_by_the_database(rig: PostgresRig) -> None:
    who = await rig.person()

    async def since() -> datetime | None:
        async with rig.database.connection() as db:
            return await db.fetchval("SELECT left_at FROM people")

    assert await since() is None
    await rig.sql("UPDATE people SET status = 'left'")
    first = await since()
    assert first is not None
    await rig.sql("UPDATE people SET status = 'left', name = 'B'")
    assert await since() == first
    await rig.sql("UPDATE people SET status = 'active'")
    assert await since() is None
    assert who


# Retention.


async def test_nothing_due_changes_nothing_and_makes_nobody_reload(
    rig: PostgresRig, retention: PostgresRetention
) -> None:
    who, _ = await rig.consenting(expires_at=datetime.now(UTC) + timedelta(days=5))
    await rig.enrolled(who, 1, 1)
    people, heard = PostgresPeople(rig.database), Heard()
    before = await people.roster_version()
    assert not await retention.due(None)
    assert not await retention.limit_consents(3650, heard.number)
    assert not await retention.end_expired(None, heard.person)
    assert not await retention.drop_unused(30, heard.person)
    assert not await retention.drop_photographs(30, heard.person)
    assert await retention.gone(30) == []
    assert not await retention.drop_receipts(30, heard.number)
    assert await people.roster_version() == before
    assert (heard.ended, heard.counts) == ([], [])


async def test_an_expired_consent_ends_once_and_takes_what_it_allowed(
    rig: PostgresRig, retention: PostgresRetention
) -> None:
    who, _ = await rig.consenting()
    other, _ = await rig.consenting()
    for one in (who, other):
        await rig.enrolled(one, 2, 1)
    await rig.expired(who)
    heard = Heard()
    assert await retention.due(None)
    done = await retention.end_expired(None, heard.person)
    assert (
        list(done) == heard.ended == [Ended(person_id=who, destroyed=Destroyed(templates=2, photographs=1))]
    )
    assert await rig.held(who) == Destroyed()
    assert await rig.held(other) == Destroyed(templates=2, photographs=1)
    assert not await retention.due(None)
    assert not await retention.end_expired(None, heard.person)
    assert (await rig.store.of(who))[0].ended_at is not None


async def test_a_renewed_consent_keeps_the_templates(rig: PostgresRig, retention: PostgresRetention) -> None:
    who, _ = await rig.consenting()
    await rig.enrolled(who, 1, 1)
    await rig.expired(who)
    await rig.store.give(who, consent(), quietly)
    (done,) = await retention.end_expired(None, quietly)
    assert (done.in_force, done.destroyed) == (True, Destroyed())
    assert await rig.held(who) == Destroyed(templates=1, photographs=1)


async def test_an_end_that_could_not_be_recorded_is_taken_up_again(
    rig: PostgresRig, retention: PostgresRetention
) -> None:
    who, _ = await rig.consenting()
    await rig.enrolled(who, 1, 1)
    await rig.expired(who)
    with pytest.raises(JournalUnavailable):
        await retention.end_expired(None, full)
    assert await rig.held(who) == Destroyed(templates=1, photographs=1)
    assert who_of(await retention.end_expired(None, quietly)) == {who}


async def test_a_shorter_rule_reaches_the_consents_there_are(
    rig: PostgresRig, retention: PostgresRetention
) -> None:
    now = datetime.now(UTC)
    kept = now + timedelta(days=1)
    short, _ = await rig.consenting(given_at=now, expires_at=kept)
    over, _ = await rig.consenting(given_at=now - timedelta(days=400))
    over_too, _ = await rig.consenting(given_at=now - timedelta(days=400), expires_at=now + timedelta(days=9))
    long, _ = await rig.consenting(given_at=now, expires_at=now + timedelta(days=999))
    await rig.enrolled(over, 2, 1)
    assert not await retention.due(None)
    assert await retention.due(365)
    heard = Heard()
    ended = await retention.end_expired(365, heard.person)
    assert {one.person_id: one.destroyed.templates for one in ended} == {over: 2, over_too: 0}
    assert await retention.limit_consents(365, heard.number) == 1
    assert heard.counts == [1]
    ends = {who: (await rig.store.of(who))[0].expires_at for who in (short, over, over_too, long)}
    last = now - timedelta(days=35)
    assert ends == {short: kept, over: last, over_too: last, long: now + timedelta(days=365)}
    assert not await retention.due(365)
    assert not await retention.limit_consents(365, heard.number)
    assert not await retention.end_expired(365, heard.person)


async def went_in(
    rig: PostgresRig, who: PersonId, seq: int, at: datetime, kind: str = "access_granted"
) -> None:
    await rig.sql(
        "INSERT INTO events VALUES ('g', $1, gen_random_uuid(), $2, $3, 'p', $4, gen_random_uuid(), "
        "'{}', 'x', 'y')",
        seq,
        at,
        kind,
        UUID(who),
    )


async def test_templates_that_opened_no_door_go(rig: PostgresRig, retention: PostgresRetention) -> None:
    now = datetime.now(UTC)
    people = [(await rig.consenting())[0] for _ in range(4)]
    used, long_ago, never, new = people
    for who in people:
        await rig.enrolled(who, 1, 1)
    for who in (used, long_ago, never):
        await rig.sql(
            "UPDATE templates SET created_at = now() - interval '100 days' WHERE person_id = $1", UUID(who)
        )
    await went_in(rig, used, 1, now - timedelta(days=10))
    await went_in(rig, long_ago, 2, now - timedelta(days=91))
    await went_in(rig, never, 3, now - timedelta(days=1), "access_denied")
    assert who_of(await retention.drop_unused(90, quietly)) == {long_ago, never}
    assert await rig.held(long_ago) == Destroyed()
    assert await rig.held(used) == await rig.held(new) == Destroyed(templates=1, photographs=1)
    assert (await rig.store.of(never))[0].in_force(now), "the consent itself is not withdrawn"


async def test_photographs_go_by_age_and_their_templates_stay(
    rig: PostgresRig, retention: PostgresRetention
) -> None:
    old, _ = await rig.consenting()
    ended, _ = await rig.consenting()
    for who in (old, ended):
        await rig.enrolled(who, 2, 2)
    await rig.past("UPDATE photographs SET created_at = now() - interval '31 days'")
    await rig.enrolled(old, 0, 1)
    await rig.expired(ended)  # and not carried out yet: that must not stand in the way
    done = await retention.drop_photographs(30, quietly)
    assert {one.person_id: one.destroyed.photographs for one in done} == {old: 2, ended: 2}
    assert await rig.held(old) == Destroyed(templates=2, photographs=1)


async def test_who_left_long_ago_is_found_and_who_came_back_is_not(
    rig: PostgresRig, retention: PostgresRetention
) -> None:
    left, back, lately = [await rig.person() for _ in range(3)]
    await rig.sql("UPDATE people SET status = 'left'")
    await rig.sql(
        "UPDATE people SET left_at = now() - interval '40 days' WHERE person_id <> $1", UUID(lately)
    )
    await rig.sql("UPDATE people SET status = 'active' WHERE person_id = $1", UUID(back))
    assert await retention.gone(30) == [left]
    with pytest.raises(InvalidInput) as refused:
        await PostgresErasure(rig.database).erase(lately, no_receipt, left_days=30)
    assert refused.value.code == "no_such_person"


async def test_one_gateway_at_a_time_tidies(rig: PostgresRig, retention: PostgresRetention) -> None:
    who, _ = await rig.consenting()
    await rig.expired(who)
    busy, go_on, heard = asyncio.Event(), asyncio.Event(), Heard()

    async def slowly(ended: Ended) -> None:
        busy.set()
        await go_on.wait()
        await heard.person(ended)

    first = asyncio.create_task(retention.end_expired(None, slowly))
    await busy.wait()
    assert await PostgresRetention(rig.database).end_expired(None, heard.person) == ()
    go_on.set()
    assert who_of(await first) == {who}
    assert len(heard.ended) == 1


async def test_many_go_in_several_short_parts(rig: PostgresRig, retention: PostgresRetention) -> None:
    for _ in range(60):
        await rig.consenting()
    await rig.past("UPDATE consents SET expires_at = now()")
    parts = []
    while done := await retention.end_expired(None, quietly):
        parts.append(len(done))
    assert parts == [50, 10]


# Erasure.


async def no_receipt(_erased: Erased) -> bytes:
    return b"receipt"


async def test_an_erasure_takes_every_row_of_the_person_and_of_nobody_else(rig: PostgresRig) -> None:
    who, _ = await rig.consenting()
    other, _ = await rig.consenting()
    for one in (who, other):
        await rig.enrolled(one, 2, 1)
        await rig.sql(
            "INSERT INTO cards (card_id, person_id, digest, label) "
            "VALUES (gen_random_uuid(), $1, $2, 'blue')",
            UUID(one),
            one.encode(),
        )
        await rig.sql("INSERT INTO pins (person_id, hash) VALUES ($1, 'hash')", UUID(one))
        await rig.sql("INSERT INTO person_profiles VALUES ($1, 'staff')", UUID(one))
    told: list[Erased] = []

    async def receipt(erased: Erased) -> bytes:
        told.append(erased)
        return b"signed"

    erasure = PostgresErasure(rig.database)
    assert await erasure.erase(who, receipt) == b"signed"
    assert dict(told[0].counts) == {
        "keys": 1, "people": 1, "templates": 2, "photographs": 1, "consents": 1, "cards": 1, "pins": 1,
        "person_profiles": 1, "import_lines": 0, "answers": 0,
    }  # fmt: skip
    async with rig.database.connection() as db:
        tables = await db.fetch(
            "SELECT table_name FROM information_schema.columns WHERE column_name = 'person_id' "
            "AND table_schema = 'public' AND table_name NOT IN ('events', 'erasure_receipts')"
        )
        assert {t[0] for t in tables} >= {"people", "templates", "photographs", "cards", "pins", "consents"}
        for (table,) in tables:
            assert await count(db, table, who) == 0, table
            assert await count(db, table, other) > 0, f"{table}: the test would not notice"
    assert await erasure.receipt(who) == b"signed"
    for gone in (lambda: erasure.erase(who, receipt), lambda: rig.store.of(who)):
        with pytest.raises(InvalidInput) as refused:
            await gone()
        assert refused.value.code == "no_such_person"


async def test_an_erasure_without_its_record_does_not_happen(rig: PostgresRig) -> None:
    who, _ = await rig.consenting()
    await rig.enrolled(who, 1, 1)
    with pytest.raises(JournalUnavailable):
        await PostgresErasure(rig.database).erase(who, full)  # type: ignore[arg-type]
    assert await rig.held(who) == Destroyed(templates=1, photographs=1)
    with pytest.raises(InvalidInput) as refused:
        await PostgresErasure(rig.database).receipt(who)
    assert refused.value.code == "no_such_receipt"


async def test_receipts_go_by_age(rig: PostgresRig, retention: PostgresRetention) -> None:
    who, erasure, heard = await rig.person(), PostgresErasure(rig.database), Heard()
    await erasure.erase(who, no_receipt)
    await rig.sql("UPDATE erasure_receipts SET created_at = now() - interval '8 days'")
    assert await retention.drop_receipts(7, heard.number) == 1
    assert heard.counts == [1]
    with pytest.raises(InvalidInput):
        await erasure.receipt(who)


# What is read for the person and for the report.


async def test_what_is_held_is_told_whole(rig: PostgresRig) -> None:
    who, _ = await rig.consenting()
    await rig.enrolled(who, 2, 1)
    for seq in range(1, 4):
        await went_in(rig, who, seq, datetime(2026, 1, seq, tzinfo=UTC))
    store = PostgresHoldings(rig.database)
    held = await store.holdings(who)
    assert (held.person.name, held.person.templates) == ("Ada Lovelace", 2)
    assert held.texts == {"2026-01-en": "I agree …"}
    assert (len(held.consents), len(held.templates), len(held.photographs)) == (1, 2, 1)
    assert not any("sealed" in one for one in held.templates)
    assert [len(page) async for page in store.events(who)] == [3]
    with pytest.raises(InvalidInput):
        await store.holdings(PersonId(str(uuid4())))


async def test_the_figures_are_what_there_is(rig: PostgresRig) -> None:
    who, _ = await rig.consenting()
    await rig.enrolled(who, 2, 1)
    await rig.consenting(expires_at=datetime.now(UTC) - timedelta(days=1))
    await rig.person("left")
    held = await PostgresFigures(rig.database).figures()
    assert held.people == {"active": 2, "left": 1}
    assert held.templates == {MODEL: 2}
    assert (held.people_with_templates, held.photographs) == (1, 1)
    assert (held.consents_in_force, held.consents_ended) == (1, 1)
    assert held.consents_by_text == {"2026-01-en": 1}
    assert (held.cards, held.events, held.receipts, dict(held.accounts)) == (0, 0, 0, {})

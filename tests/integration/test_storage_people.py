"""People in Postgres: what a fake cannot show."""

import asyncio
import io
import traceback

import asyncpg
import pytest

from gateway.domain.errors import InvalidInput, InvariantBroken, Rejected
from gateway.domain.people import PersonStatus
from gateway.storage.embedded import EmbeddedPostgres
from gateway.storage.people import PostgresPeople
from gateway.storage.pool import Database
from tests.contract.test_people_store_contract import DOOR, GATE, MODEL, enrol, new_person, only

WITHDRAW = "UPDATE consents SET withdrawn_at = now()"
INSERT = "INSERT INTO templates (person_id, model_id, sealed, quality) VALUES ($1, 'm', 'x', 1)"
ORPHANS = (
    "SELECT count(*) FROM templates t WHERE NOT EXISTS (SELECT 1 FROM consents c "
    "WHERE c.person_id = t.person_id AND c.withdrawn_at IS NULL)"
)


@pytest.fixture
def people(database: Database) -> PostgresPeople:
    return PostgresPeople(database)


async def test_a_template_without_consent_is_impossible_however_it_comes(people: PostgresPeople) -> None:
    with_consent = await enrol(people, number="E1")
    without = await enrol(people, number="E2", consent=None, templates=[])
    for command, values in (
        (INSERT, (without,)),
        ("UPDATE templates SET person_id = $1", (without,)),
    ):
        with pytest.raises(asyncpg.CheckViolationError):
            async with people.database.connection() as db:
                await db.execute(command, *values)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with people.database.connection() as db:
            await db.execute("TRUNCATE consents")
    async with people.database.connection() as db:
        assert await db.fetchval("SELECT count(*) FROM templates WHERE person_id = $1", with_consent) == 1


@pytest.mark.parametrize("how", [WITHDRAW, "DELETE FROM consents"])
async def test_withdrawing_consent_destroys_the_templates_at_once(people: PostgresPeople, how: str) -> None:
    await enrol(people)
    before = await people.roster_version()
    async with people.database.connection() as db:
        await db.execute(how)
    person = await only(people)
    assert not person.consented
    assert list(person.templates) == []
    assert await people.roster_version() > before


@pytest.mark.parametrize("isolation", ["read_committed", "repeatable_read", "serializable"])
@pytest.mark.parametrize("template_first", [True, False])
async def test_no_orphan_when_withdrawal_and_template_cross(
    people: PostgresPeople, isolation: str, template_first: bool
) -> None:
    """Two transactions that cannot see each other's work yet."""
    who = await enrol(people, templates=[])
    first_sql, second_sql = (INSERT, WITHDRAW) if template_first else (WITHDRAW, INSERT)

    def values(sql: str) -> tuple[str, ...]:
        return (who,) if sql is INSERT else ()

    async with people.database.connection() as one, people.database.connection() as two:
        first, second = one.transaction(isolation=isolation), two.transaction(isolation=isolation)
        await first.start()
        await second.start()
        await one.fetchval("SELECT count(*) FROM templates")  # both have their snapshot
        await two.fetchval("SELECT count(*) FROM templates")
        await one.execute(first_sql, *values(first_sql))
        waiting = asyncio.create_task(two.execute(second_sql, *values(second_sql)))
        await asyncio.sleep(0.1)
        await first.commit()
        try:
            await waiting
            await second.commit()
        except (asyncpg.SerializationError, asyncpg.CheckViolationError):
            await second.rollback()
    async with people.database.connection() as db:
        assert await db.fetchval(ORPHANS) == 0


async def test_every_change_bumps_the_version_and_tells(people: PostgresPeople) -> None:
    await people.sync_access_points([(DOOR, "Front"), (GATE, "Garage")])
    await enrol(people, number="E1")
    told: asyncio.Queue[str] = asyncio.Queue()
    async with people.database.connection() as listener:
        await listener.add_listener("facegate_roster", lambda *args: told.put_nowait(args[3]))
        for command in (
            "UPDATE people SET status = 'suspended'",
            "INSERT INTO access_profiles VALUES ('pilots')",
            "INSERT INTO profile_access_points VALUES ('pilots', 'door-1')",
            "INSERT INTO person_profiles SELECT person_id, 'pilots' FROM people",
            "DELETE FROM profile_access_points WHERE profile = 'staff'",
            "UPDATE access_points SET name = 'x'",
            "UPDATE templates SET quality = 0.1",
            WITHDRAW,
            "DELETE FROM access_profiles WHERE profile = 'staff' AND false",
            "DELETE FROM people",
        ):
            before = await people.roster_version()
            async with people.database.connection() as db:
                await db.execute(command)
            after = await people.roster_version()
            assert after > before, command
            async with asyncio.timeout(5):
                while int(await told.get()) != after:
                    pass
        await listener.reset()
    assert (await people.load(MODEL))[1] == []


async def test_a_revoked_person_is_gone_with_the_next_load(people: PostgresPeople) -> None:
    await enrol(people, number="E1")
    await people.set_status("E1", PersonStatus.SUSPENDED)
    assert (await only(people)).status is PersonStatus.SUSPENDED
    with pytest.raises(InvalidInput) as refused:
        await people.set_status("E9", PersonStatus.LEFT)
    assert refused.value.code == "no_such_person"
    assert await people.count() == 1


async def test_of_two_enrolments_at_once_one_is_told_to_look_again(people: PostgresPeople) -> None:
    version = await people.roster_version()
    done = await asyncio.gather(
        *(enrol(people, number=f"E{i}", expected_version=version) for i in range(4)), return_exceptions=True
    )
    refused = [d for d in done if isinstance(d, Rejected)]
    assert len(refused) == 3
    assert {r.code for r in refused} == {"roster_changed"}
    assert await people.count() == 1


async def test_gateways_that_start_at_once_do_not_lock_each_other(people: PostgresPeople) -> None:
    await enrol(people)
    points = [(DOOR, "Front"), (GATE, "Garage")]
    async with asyncio.timeout(20):
        await asyncio.gather(
            *(people.sync_access_points(points if i % 2 else points[::-1]) for i in range(8))
        )
    assert (await only(people)).access_points == {DOOR, GATE}


@pytest.mark.parametrize("bad", ["p1", "0B3C7F8E-45A2-4F0E-9A52-3F6F1C1F7F11", ""])
async def test_an_id_that_seals_could_not_be_bound_to_is_refused(people: PostgresPeople, bad: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        await people.enrol(
            number="E1", name="Ada", profile="staff", consent="yes", person_id=bad, wrapped_key=b"k",
            templates=[], expected_version=await people.roster_version(),
        )  # fmt: skip
    assert refused.value.code == "bad_person_id"


async def test_no_error_or_server_log_holds_a_name(
    people: PostgresPeople, postgres: EmbeddedPostgres
) -> None:
    secret = "Grace Hopper-Murray"  # noqa: S105
    await enrol(people, number="E1", name=secret)
    said = io.StringIO()
    for more in ({"number": "E1"}, {"profile": "pilots"}, {"name": secret + "\0"}):
        try:
            await enrol(people, **{"name": secret} | more)
        except (Rejected, InvalidInput) as error:
            traceback.print_exception(error, file=said)
    with pytest.raises(asyncpg.CheckViolationError) as unexpected:  # with the row in its detail
        async with people.database.connection() as db:
            await db.execute("UPDATE people SET status = 'x'")
    assert secret in str(unexpected.value.detail)
    assert said.getvalue().count("Traceback") >= 3
    assert secret not in said.getvalue()
    assert secret not in (postgres.folder / "log").read_text("utf-8")


async def test_a_missing_schema_is_told_apart_from_an_absent_database(empty_database: Database) -> None:
    with pytest.raises(InvariantBroken) as broken:
        await PostgresPeople(empty_database).roster_version()
    assert broken.value.code == "schema_differs"


async def test_people_are_not_confused_by_a_number_that_changes_hands(people: PostgresPeople) -> None:
    one = await enrol(people, number="E1")
    with pytest.raises(Rejected):
        await enrol(people, number="E1", person_id=new_person())
    assert (await only(people)).person_id == one

"""Migrations on real Postgres."""

import asyncio

import pytest

from gateway.domain.errors import InvariantBroken
from gateway.storage.migrate import Migration, migrate, read
from gateway.storage.pool import Database

ONE = Migration(1, "0001_one.sql", "CREATE TABLE one (a int); INSERT INTO one VALUES (1);")
TWO = Migration(2, "0002_two.sql", "ALTER TABLE one ADD COLUMN b int; SELECT pg_sleep(0.2);")
WRONG = Migration(2, "0002_wrong.sql", "CREATE TABLE half (a int); CREATE TABLE one (a int);")


async def tables(database: Database) -> set[str]:
    async with database.connection() as db:
        return {r[0] for r in await db.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")}


async def test_the_shipped_ones_apply_once(empty_database: Database) -> None:
    assert await migrate(empty_database) == len(read()) > 0
    assert await migrate(empty_database) == 0
    assert {"people", "consents", "templates", "events", "roster_version"} <= await tables(empty_database)


async def test_only_what_is_missing(empty_database: Database) -> None:
    assert await migrate(empty_database, [ONE]) == 1
    assert await migrate(empty_database, [ONE, TWO]) == 1


async def test_several_at_once_apply_each_one_once(empty_database: Database) -> None:
    done = await asyncio.gather(*(migrate(empty_database, [ONE, TWO]) for _ in range(4)))
    assert sum(done) == 2
    async with empty_database.connection() as db:
        assert await db.fetchval("SELECT count(*) FROM one") == 1


async def test_one_that_fails_leaves_nothing_and_goes_no_further(empty_database: Database) -> None:
    with pytest.raises(InvariantBroken) as broken:
        await migrate(empty_database, [ONE, WRONG])
    assert broken.value.code == "migration_failed"
    assert "0002_wrong.sql" in str(broken.value)
    assert await tables(empty_database) == {"schema_migrations", "one"}
    assert await migrate(empty_database, [ONE, TWO]) == 1


@pytest.mark.parametrize(
    ("now", "code"),
    [
        ([Migration(1, ONE.name, ONE.sql + "-- altered"), TWO], "migration_altered"),
        ([ONE], "database_newer"),
        ([], "database_newer"),
    ],
    ids=["altered", "newer", "much newer"],
)
async def test_a_database_of_another_history_is_left_alone(
    empty_database: Database, now: list[Migration], code: str
) -> None:
    await migrate(empty_database, [ONE, TWO])
    with pytest.raises(InvariantBroken) as broken:
        await migrate(empty_database, now)
    assert broken.value.code == code


async def test_a_gap_in_the_database_is_told(empty_database: Database) -> None:
    await migrate(empty_database, [ONE, TWO])
    async with empty_database.connection() as db:
        await db.execute("DELETE FROM schema_migrations WHERE number = 1")
    with pytest.raises(InvariantBroken) as broken:
        await migrate(empty_database, [ONE, TWO])
    assert broken.value.code == "migration_gap"

"""Whatever changes the roster at once, nobody is told to come back for a deadlock; least a revocation."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import pytest

from gateway.domain.errors import Rejected
from gateway.domain.people import PersonStatus
from gateway.storage.people import PostgresPeople
from gateway.storage.pool import Database
from tests.contract.test_people_store_contract import enrol

ROUNDS = 40


@pytest.fixture
def people(database: Database) -> PostgresPeople:
    return PostgresPeople(database)


async def suspend(people: PostgresPeople) -> None:
    await people.set_status("E1", PersonStatus.SUSPENDED)


async def withdraw(people: PostgresPeople) -> None:
    async with people.database.connection() as db:
        await db.execute("UPDATE consents SET withdrawn_at = now() WHERE withdrawn_at IS NULL")


async def forget(people: PostgresPeople) -> None:
    async with people.database.connection() as db:
        await db.execute("DELETE FROM consents")


async def erase(people: PostgresPeople) -> None:
    async with people.database.connection() as db:
        await db.execute("DELETE FROM people WHERE number = 'E1'")


@pytest.mark.parametrize("revoke", [suspend, withdraw, forget, erase])
async def test_a_revocation_crosses_enrolments_unharmed(
    people: PostgresPeople, revoke: Callable[[PostgresPeople], Awaitable[None]]
) -> None:
    who = await enrol(people, number="E1")
    revoked = 0

    async def renew() -> None:
        for _ in range(ROUNDS):
            with contextlib.suppress(Rejected):  # the roster changed: look again
                await enrol(people, number="E1", person_id=who)

    async def revoking() -> None:
        nonlocal revoked
        for _ in range(ROUNDS):
            await revoke(people)  # DatabaseUnavailable here would be a deadlock
            revoked += 1

    async with asyncio.timeout(60):
        await asyncio.gather(renew(), renew(), revoking())
    assert revoked == ROUNDS


async def test_versions_of_changes_at_once_are_all_different(people: PostgresPeople) -> None:
    """So no gateway takes one state of the roster for another."""
    await enrol(people, number="E1")
    first = await people.roster_version()

    async def change() -> int:
        async with people.database.transaction() as db:
            await db.execute("UPDATE people SET updated_at = clock_timestamp()")
            return int(await db.fetchval("SELECT version FROM roster_version"))

    seen = await asyncio.gather(*(change() for _ in range(20)))
    assert sorted(seen) == list(range(first + 1, first + 21))

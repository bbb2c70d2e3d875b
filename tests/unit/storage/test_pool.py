"""The pool, apart from any Postgres."""

import asyncio

import pytest

from gateway.domain.errors import DatabaseUnavailable
from gateway.storage.pool import Database


class Address:
    """Asked for where Postgres is; answers when told to."""

    def __init__(self) -> None:
        self.asked = 0
        self.answer = asyncio.Event()

    async def __call__(self) -> str:
        self.asked += 1
        await self.answer.wait()
        return "postgresql://u@/x?host=/nowhere"


async def ask(database: Database) -> None:
    async with database.connection() as db:
        await db.fetchval("SELECT 1")


async def test_asks_for_nothing_until_it_is_used() -> None:
    address = Address()
    await Database(address).close()
    assert address.asked == 0


async def test_many_callers_ask_for_the_address_once() -> None:
    address = Address()
    database = Database(address)
    asking = [asyncio.create_task(ask(database)) for _ in range(5)]
    await asyncio.sleep(0.01)
    assert address.asked == 1
    address.answer.set()
    results = await asyncio.gather(*asking, return_exceptions=True)
    assert {type(r) for r in results} == {DatabaseUnavailable}
    await database.close()


async def test_after_trouble_it_asks_again() -> None:
    address = Address()
    address.answer.set()
    database = Database(address)
    for _ in range(3):
        with pytest.raises(DatabaseUnavailable):
            await ask(database)
    assert address.asked == 3
    await database.close()


async def test_closed_while_it_waits_for_the_address_makes_no_pool() -> None:
    address = Address()
    database = Database(address)
    asking = asyncio.create_task(ask(database))
    await asyncio.sleep(0.01)
    await database.close()
    address.answer.set()
    with pytest.raises(DatabaseUnavailable, match="closed"):
        await asking
    assert database._pool is None


async def test_closed_for_good() -> None:
    database = Database(Address())
    await database.close()
    await database.close()
    with pytest.raises(DatabaseUnavailable, match="closed"):
        await ask(database)

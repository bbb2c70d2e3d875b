"""Journal to Postgres while Postgres, the gateway and the connection come and go."""

import asyncio
import contextlib
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from gateway.domain.errors import DatabaseUnavailable, InvariantBroken
from gateway.domain.events import Event, verify_chain
from gateway.services.forwarder import Forwarder
from gateway.storage import pool
from gateway.storage.embedded import EmbeddedPostgres
from gateway.storage.events import PostgresEvents
from gateway.storage.journal import SqliteJournal
from gateway.storage.migrate import migrate
from gateway.storage.pool import Database
from tests.fakes.drafts import GATEWAY, draft


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[SqliteJournal]:
    journal = await SqliteJournal.open(tmp_path / "journal.db", GATEWAY)
    yield journal
    await journal.close()


@contextlib.asynccontextmanager
async def forwarding(journal: SqliteJournal, events: PostgresEvents) -> AsyncIterator[Forwarder]:
    forwarder = Forwarder(journal, events, first_wait_s=0.05, longest_wait_s=0.3)
    task = asyncio.create_task(forwarder.run(), name="forwarder")
    try:
        yield forwarder
        assert not task.done(), "whatever happens to Postgres, it goes on"
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until(true: Callable[[], Awaitable[bool]], within_s: float = 30) -> None:
    async with asyncio.timeout(within_s):
        while not await true():
            await asyncio.sleep(0.02)


async def check_equal(journal: SqliteJournal, events: PostgresEvents) -> None:
    ours, theirs = await journal.rows(0, 100_000), await events.rows(GATEWAY, 0, 100_000)
    assert ours == theirs
    assert verify_chain(theirs) is None
    assert await journal.backlog() == 0


async def test_fault_21_postgres_stops_and_comes_back_while_events_flow(
    state: Path, journal: SqliteJournal
) -> None:
    server = EmbeddedPostgres(state / "postgres")
    database = Database(_address(server.url))
    events = PostgresEvents(database)
    slowest = 0.0
    try:
        await server.start()
        await migrate(database)
        async with forwarding(journal, events) as forwarder:
            for _ in range(2):
                for _ in range(30):
                    began = time.monotonic()
                    await journal.append(draft())
                    slowest = max(slowest, time.monotonic() - began)
                    forwarder.poke()
                    await asyncio.sleep(0.002)
                await server.stop_server()
                for _ in range(30):
                    began = time.monotonic()
                    await journal.append(draft())
                    slowest = max(slowest, time.monotonic() - began)
                    forwarder.poke()
                await until(lambda: _is(forwarder.database_away))
                assert isinstance(forwarder.trouble, DatabaseUnavailable)
                assert await forwarder.lag() >= 30
                await server.start()
                await until(lambda: _empty(forwarder))
            await until(lambda: _is(not forwarder.database_away))
            assert forwarder.behind_s < 10
        await check_equal(journal, events)
        assert slowest < 2, "the journal waited for Postgres"
    finally:
        await database.close()
        await server.stop()


async def test_fault_23_backends_killed_in_the_middle_of_batches(
    database: Database, postgres: EmbeddedPostgres, journal: SqliteJournal
) -> None:
    events = PostgresEvents(database)
    killer = Database(_address(postgres.url))
    chance = random.Random(7)

    async def kill() -> None:
        async with killer.connection() as db:
            await db.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname LIKE 'test_%' AND application_name = 'facegate'"
            )

    try:
        async with forwarding(journal, events) as forwarder:
            for _ in range(12):
                await journal.append(*(draft(data={"x": "y" * 2000}) for _ in range(150)))
                forwarder.poke()
                await asyncio.sleep(chance.uniform(0, 0.03))
                await kill()
            await until(lambda: _empty(forwarder))
        await check_equal(journal, events)
    finally:
        await killer.close()


async def test_fault_23_a_gateway_that_ends_between_store_and_mark_stores_nothing_twice(
    database: Database, journal: SqliteJournal
) -> None:
    events = PostgresEvents(database)
    await journal.append(*(draft() for _ in range(7)))

    class Ends(Exception):
        pass

    class EndsAfterStore(PostgresEvents):
        async def store(self, batch: Sequence[tuple[Event, bytes]]) -> None:
            await super().store(batch)
            raise Ends

    with pytest.raises(Ends):
        await Forwarder(journal, EndsAfterStore(database)).flush()
    assert await journal.backlog() == 7
    await journal.append(draft())
    await Forwarder(journal, events).flush()
    await check_equal(journal, events)


async def test_cancelled_at_any_instant_and_started_again(database: Database, journal: SqliteJournal) -> None:
    events = PostgresEvents(database)
    await journal.append(*(draft(data={"x": "y" * 500}) for _ in range(2000)))
    chance = random.Random(11)
    for _ in range(15):
        task = asyncio.create_task(Forwarder(journal, events).run(), name="forwarder")
        await asyncio.sleep(chance.uniform(0, 0.05))
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    await Forwarder(journal, events).flush()
    await check_equal(journal, events)


async def test_fault_22_a_slow_database_delays_no_record(
    database: Database, journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "COMMAND_S", 1.0)
    events = PostgresEvents(database)
    async with database.connection() as db:
        pid = await db.fetchval("SELECT pg_backend_pid()")
    os.kill(pid, signal.SIGSTOP)
    try:
        async with forwarding(journal, events) as forwarder:
            slowest = 0.0
            for _ in range(50):
                began = time.monotonic()
                await journal.append(draft())
                forwarder.poke()
                slowest = max(slowest, time.monotonic() - began)
                await asyncio.sleep(0.01)
            assert slowest < 1
            os.kill(pid, signal.SIGCONT)
            await until(lambda: _empty(forwarder))
        await check_equal(journal, events)
    finally:
        os.kill(pid, signal.SIGCONT)


async def test_a_ledger_that_holds_other_events_is_told_and_nothing_overwritten(
    database: Database, tmp_path: Path, journal: SqliteJournal
) -> None:
    """A state folder was lost, and a new journal begins under the old gateway id."""
    events = PostgresEvents(database)
    await journal.append(draft(), draft())
    await Forwarder(journal, events).flush()
    before = await events.rows(GATEWAY)
    other = await SqliteJournal.open(tmp_path / "new.db", GATEWAY)
    try:
        await other.append(draft())
        async with forwarding(other, events) as forwarder:
            await until(lambda: _is(isinstance(forwarder.trouble, InvariantBroken)))
            assert forwarder.trouble is not None
            assert forwarder.trouble.code == "ledger_differs"
            await other.append(draft())  # the door's record goes on
        assert await other.backlog() == 2
        assert await events.rows(GATEWAY) == before
    finally:
        await other.close()


async def _is(value: bool) -> bool:
    return value


async def _empty(forwarder: Forwarder) -> bool:
    return await forwarder.lag() == 0


def _address(url: str) -> Callable[[], Awaitable[str]]:
    async def address() -> str:
        return url

    return address

"""The ledger in Postgres: append-only, and nothing done to it behind its back stays hidden."""

import asyncio

import asyncpg
import pytest

from gateway.domain.errors import InvariantBroken
from gateway.domain.events import EventKind, verify_chain
from gateway.domain.ids import GatewayId
from gateway.storage.events import PostgresEvents
from gateway.storage.pool import Database
from tests.fakes.drafts import GATEWAY, chained, intent, new_grant
from tests.fakes.journal import FakeJournal

COUNT = 8


@pytest.fixture
async def ledger(database: Database) -> PostgresEvents:
    events = PostgresEvents(database)
    await events.store(chained(COUNT))
    return events


async def everything(ledger: PostgresEvents) -> list[tuple[int, bytes, bytes, bytes]]:
    """All rows, read in small pages as a verifier does."""
    found: list[tuple[int, bytes, bytes, bytes]] = []
    while rows := await ledger.rows(GATEWAY, found[-1][0] if found else 0, 3):
        found += rows
    return found


async def test_reads_back_whole_in_pages(ledger: PostgresEvents) -> None:
    rows = await everything(ledger)
    assert [r[0] for r in rows] == list(range(1, COUNT + 1))
    assert verify_chain(rows) is None
    assert await ledger.false_column(GATEWAY) is None


@pytest.mark.parametrize(
    "command", ["UPDATE events SET kind = 'alarm'", "DELETE FROM events WHERE seq = 8", "TRUNCATE events"]
)
async def test_refuses_change(ledger: PostgresEvents, command: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
        async with ledger.database.connection() as db:
            await db.execute(command)
    assert len(await everything(ledger)) == COUNT


EDIT = (
    "UPDATE events SET canonical = replace(canonical::text, '226e223a34', '226e223a39')::bytea WHERE seq = 4"
)
EDIT_AND_HASH = "UPDATE events SET canonical = 'x', hash = sha256(prev_hash || 'x') WHERE seq = 4"
SWAP = """
UPDATE events a SET canonical = b.canonical, hash = b.hash, prev_hash = b.prev_hash FROM events b
WHERE a.seq IN (2, 3) AND b.seq = 5 - a.seq
"""
CLOSE_THE_GAP = "WITH gone AS (DELETE FROM events WHERE seq = 3) UPDATE events SET seq = -seq WHERE seq > 3"
TAMPERING = {
    "edit": (EDIT, 4),
    "edit with a fitting hash": (EDIT_AND_HASH, 5),
    "delete": ("DELETE FROM events WHERE seq = 3", 3),
    "swap": (SWAP, 2),
    "delete and close the gap": (CLOSE_THE_GAP, 3),
}


@pytest.mark.parametrize("how", TAMPERING)
async def test_a_change_by_the_databases_master_is_found(ledger: PostgresEvents, how: str) -> None:
    command, where = TAMPERING[how]
    before = await everything(ledger)
    async with ledger.database.transaction() as db:
        await db.execute("ALTER TABLE events DISABLE TRIGGER ALL")
        await db.execute("ALTER TABLE events DROP CONSTRAINT events_seq_check")
        await db.execute(command)
        await db.execute("UPDATE events SET seq = -seq - 1 WHERE seq < 0")
    after = await everything(ledger)
    assert after != before
    fault = verify_chain(after)
    assert fault is not None
    assert fault.seq == where


@pytest.mark.parametrize(
    "column",
    [
        "kind = 'alarm'",
        "person_id = gen_random_uuid()",
        "at = at - interval '1 hour'",
        "access_point_id = 'x'",
    ],
)
async def test_a_changed_search_column_is_found(ledger: PostgresEvents, column: str) -> None:
    async with ledger.database.transaction() as db:
        await db.execute("ALTER TABLE events DISABLE TRIGGER ALL")
        await db.execute(f"UPDATE events SET {column} WHERE seq = 5")  # noqa: S608  # from the list above
    assert verify_chain(await everything(ledger)) is None
    assert await ledger.false_column(GATEWAY) == 5


async def test_all_columns_agree_with_the_chained_bytes(database: Database) -> None:
    journal, ledger = FakeJournal(GATEWAY), PostgresEvents(database)
    grant = new_grant()
    await journal.append(intent(grant, data={"text": "nul \0, Tür, ✓"}))
    await ledger.store(await journal.unforwarded(9))
    assert await ledger.false_column(GATEWAY) is None
    async with database.connection() as db:
        row = await db.fetchrow("SELECT * FROM events")
    assert row is not None
    assert (row["kind"], str(row["grant_id"]), row["access_point_id"]) == (
        EventKind.ACCESS_GRANTED.value,
        grant,
        "door-1",
    )


async def test_many_writers_of_one_gateway_store_each_event_once(database: Database) -> None:
    events = chained(300)
    ledger = PostgresEvents(database)

    async def writer(step: int) -> None:
        for i in range(0, len(events), step):
            for _ in range(400):  # another may have to go first
                try:
                    await ledger.store(events[i : i + step])
                except InvariantBroken as error:
                    if error.code != "ledger_gap":
                        raise
                    await asyncio.sleep(0.01)
                else:
                    break

    async with asyncio.timeout(60):
        await asyncio.gather(*(writer(step) for step in (7, 20, 50, 300)))
    rows = await everything(ledger)
    assert verify_chain(rows) is None
    assert len(rows) == 300


async def test_an_id_used_by_another_gateway_is_refused(ledger: PostgresEvents) -> None:
    other = GatewayId("gateway-2")
    events = chained(1, gateway=other)
    async with ledger.database.transaction() as db:
        await db.execute("ALTER TABLE events DISABLE TRIGGER ALL")
        await db.execute("UPDATE events SET event_id = $1 WHERE seq = 1", events[0][0].event_id)
    with pytest.raises(InvariantBroken) as refused:
        await ledger.store(events)
    assert refused.value.code == "ledger_differs"

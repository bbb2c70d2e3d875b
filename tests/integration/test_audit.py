"""The audit finds what somebody with full rights on the database did."""

import asyncio
from pathlib import Path

import pytest

from gateway import foundation
from gateway.domain.events import EventDraft, EventKind
from gateway.domain.ids import GatewayId
from gateway.rehearsal import ledger
from gateway.services.forwarder import Forwarder
from gateway.settings import Site
from gateway.storage.journal import SqliteJournal
from gateway.telemetry.clock import SystemClock

DELETE_END = "DELETE FROM events WHERE seq > 15"
DELETE_MIDDLE = "DELETE FROM events WHERE seq = 7"
EDIT = (
    "UPDATE events SET canonical = replace(encode(canonical, 'escape'), 'part 5', 'part x')::bytea "
    "WHERE seq = 5"
)
COLUMN = "UPDATE events SET kind = 'access_granted' WHERE seq = 9"
SWAP = (
    "UPDATE events SET seq = 1000 WHERE seq = 3; UPDATE events SET seq = 3 WHERE seq = 4; "
    "UPDATE events SET seq = 4 WHERE seq = 1000"
)


def settings(state: Path) -> Site:
    return Site(name="t", state_folder=str(state), cameras=(), devices=(), access_points=())


async def fill(site: Site) -> None:
    stores, clock = foundation.stores(site), SystemClock()
    journal = await SqliteJournal.open(Path(site.state_folder) / "journal.db", GatewayId(site.gateway_id))
    try:
        await stores.prepare()
        for i in range(1, 21):
            await journal.append(
                EventDraft(
                    kind=EventKind.ALARM,
                    at=clock.now(),
                    mono_ns=clock.monotonic_ns(),
                    data={"part": f"part {i}"},
                )
            )
        await Forwarder(journal, stores.events).flush()
    finally:
        await journal.close()
        await stores.close()


async def tamper(site: Site, sql: str) -> None:
    stores = foundation.stores(site)
    try:
        await stores.prepare()
        async with stores.database.connection() as db:
            await db.execute("ALTER TABLE events DISABLE TRIGGER ALL")
            await db.execute(sql)
            await db.execute("ALTER TABLE events ENABLE TRIGGER ALL")
    finally:
        await stores.close()


@pytest.mark.parametrize(
    ("sql", "at"),
    [(None, None), (DELETE_END, 16), (DELETE_MIDDLE, 7), (EDIT, 5), (COLUMN, 9), (SWAP, 3)],
    ids=["untouched", "end deleted", "middle deleted", "edited", "column edited", "swapped"],
)
async def test_the_audit_names_the_first_bad_event(state: Path, sql: str | None, at: int | None):
    site = settings(state)
    await fill(site)
    if sql is not None:
        await tamper(site, sql)
    found = await ledger.check(site)
    faults = [v.fault for v in found.verdicts.values() if v.fault] + (
        [found.difference] if found.difference else []
    )
    assert found.whole == (sql is None)
    assert {f.seq for f in faults} == ({at} if at else set())
    await asyncio.sleep(0)

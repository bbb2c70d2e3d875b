"""A stop comes last, whatever was still being started."""

import asyncio
import contextlib
import fcntl
from pathlib import Path

from gateway.storage.embedded import EmbeddedPostgres
from gateway.storage.pool import Database


async def test_a_cancelled_start_that_still_waits_is_undone_by_the_stop(state: Path) -> None:
    server = EmbeddedPostgres(state / "postgres")
    database = Database(server.start)

    async def ask() -> None:
        async with database.connection() as db:
            await db.fetchval("SELECT 1")

    try:
        with (state / "postgres.lock").open("w") as other:  # another process starts or stops it just now
            fcntl.flock(other, fcntl.LOCK_EX)
            asking = asyncio.create_task(ask(), name="asking")
            await asyncio.sleep(0.2)
            asking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asking
            await database.close()
            stopping = asyncio.create_task(server.stop(), name="stopping")
            await asyncio.sleep(0.2)
            assert not stopping.done(), "the start is still under way"
        await asyncio.wait_for(stopping, 60)
        assert server._server().postmaster() is None
        assert server._held is None
    finally:
        await server.stop()
        await server.stop_server()

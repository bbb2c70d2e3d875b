"""A gateway that kills itself at a chosen point: ``python -m tests.e2e.child SITE POINT``."""

import asyncio
import os
import signal
import sys
from pathlib import Path

from drivers.modbus.relay_door import RelayDoor
from gateway import settings
from gateway.app import running
from gateway.domain.doors import Actuation
from gateway.domain.events import Event, EventDraft, EventKind
from gateway.storage.journal import SqliteJournal


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def arm(point: str) -> None:
    append, unlock = SqliteJournal.append, RelayDoor.unlock

    async def deadly_append(self: SqliteJournal, *drafts: EventDraft) -> tuple[Event, ...]:
        intent = any(d.kind is EventKind.ACCESS_GRANTED for d in drafts)
        if intent and point == "before the intent":
            die()
        done = await append(self, *drafts)
        if intent and point == "after the intent":
            die()
        return done

    async def deadly_unlock(self: RelayDoor, grant: object) -> Actuation:
        done = await unlock(self, grant)  # type: ignore[arg-type]
        if point == "after the frame":
            die()
        return done

    SqliteJournal.append = deadly_append  # type: ignore[method-assign]
    RelayDoor.unlock = deadly_unlock  # type: ignore[method-assign]


async def serve(site: settings.Site) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with running(site):
        await stop.wait()


if __name__ == "__main__":
    arm(sys.argv[2])
    asyncio.run(serve(settings.load(Path(sys.argv[1]))))

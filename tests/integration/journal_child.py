"""A process that appends to a journal and says what was accepted, until it is killed.

Arguments: path of the journal, gateway id. Each line on standard output is one append that returned:
``<seq> <hash> <kind> <grant id or ->``. It is written unbuffered, after the append returned.
"""

import asyncio
import os
import sys
from pathlib import Path

from gateway.domain.events import Event
from gateway.domain.ids import GatewayId
from gateway.storage.journal import SqliteJournal
from tests.fakes.drafts import draft, intent, new_grant, outcome


def say(events: tuple[Event, ...]) -> None:
    """One write a line: a killed process leaves no half of one that was reported."""
    for event in events:
        line = f"{event.seq} {event.hash.hex()} {event.draft.kind} {event.draft.grant_id or '-'}\n"
        os.write(1, line.encode())


async def door(journal: SqliteJournal) -> None:
    """Grants and their outcomes, as a door's actor writes them."""
    while True:
        grant = new_grant()
        say(await journal.append(intent(grant)))
        say(await journal.append(outcome(grant)))


async def noise(journal: SqliteJournal) -> None:
    """Events in bunches, so that commits are shared."""
    while True:
        say(await journal.append(draft(data={"x": "y" * 500}), draft()))


async def main(path: Path, gateway_id: GatewayId) -> None:
    """Write for ever."""
    journal = await SqliteJournal.open(path, gateway_id)
    os.write(1, b"open\n")
    async with asyncio.TaskGroup() as tasks:
        for _ in range(3):
            tasks.create_task(door(journal), name="door")
        tasks.create_task(noise(journal), name="noise")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), GatewayId(sys.argv[2])))

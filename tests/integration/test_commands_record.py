"""What commands do is on record, too: in a chain of their own that reaches the ledger and is verified."""

import asyncio
from pathlib import Path

import pytest

from gateway import settings
from gateway.commands import commanding, journal_of_commands
from gateway.rehearsal.ledger import check
from gateway.settings import Site
from gateway.storage.journal import SqliteJournal


@pytest.fixture
def site(state: Path) -> Site:
    raw = {
        "name": "t",
        "state_folder": str(state),
        "cameras": [{"id": "c", "url": "rtsp://127.0.0.1:1/x"}],
        "devices": [{"id": "d", "profile": "waveshare-relay", "host": "127.0.0.1"}],
        "doors": [{"id": "main", "name": "Main", "device": "d", "channel": 1}],
        "access_points": [{"id": "p", "name": "P", "camera": "c", "door": "main"}],
    }
    return settings.parse(raw, source="site.toml", base=state)


async def test_commands_one_after_the_other_make_one_chain_in_the_ledger(site: Site):
    async def command(number: int) -> None:
        async with commanding(site) as ground:
            await ground.record.acted(ground.actor, f"test.{number}")

    await asyncio.gather(*(command(i) for i in range(3)))
    path = Path(site.state_folder)
    own = await SqliteJournal.open(path / "journal.db", "gateway-1")  # type: ignore[arg-type]
    await own.close()
    found = await check(site)
    assert found.whole
    assert found.verdicts["journal of commands"].events == 3
    assert found.verdicts["ledger of commands"].events == 3


async def test_a_command_does_not_need_the_gateways_journal(site: Site):
    async with commanding(site) as ground:
        path, name = journal_of_commands(site)
        assert (path.name, name) == ("journal-commands.db", "gateway-1-commands")
        own = await SqliteJournal.open(Path(site.state_folder) / "journal.db", "gateway-1")  # type: ignore[arg-type]
        await ground.record.acted(ground.actor, "test")
        await own.close()
    assert ground.actor.id.startswith("command:")

"""A gateway killed at any instant: what had been accepted is there, and the chain is whole."""

import asyncio
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.domain.errors import Rejected
from gateway.domain.events import EventKind, verify_chain
from gateway.storage.journal import SqliteJournal
from tests.fakes.drafts import GATEWAY, draft

ROUNDS = 12
ROOT = Path(__file__).parents[2]


class Child:
    """The writing process; ``lines`` is what it has reported."""

    def __init__(self, path: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.journal_child", str(path), GATEWAY],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def wait_for(self, lines: int) -> None:
        deadline = time.monotonic() + 30
        while len(self.lines) < lines and self.process.poll() is None:
            assert time.monotonic() < deadline, "the child writes nothing"
            time.sleep(0.005)

    def kill(self) -> None:
        """SIGKILL, then read what was still in the pipe."""
        self.process.kill()
        self.process.wait(10)
        self._reader.join(10)
        for pipe in (self.process.stdout, self.process.stderr):
            assert pipe is not None
            pipe.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture
def child(path: Path) -> Iterator[Child]:
    child = Child(path)
    yield child
    child.kill()


async def test_killed_at_random_instants_nothing_accepted_is_lost(path: Path) -> None:
    chance = random.Random(20260301)
    accepted: dict[int, list[str]] = {}
    for _ in range(ROUNDS):
        child = await asyncio.to_thread(Child, path)
        await asyncio.to_thread(child.wait_for, 2)
        await asyncio.sleep(chance.uniform(0, 0.12))
        await asyncio.to_thread(child.kill)
        new = [line.split() for line in child.lines if line != "open"]
        accepted |= {int(seq): rest for seq, *rest in new}

        journal = await SqliteJournal.open(path, GATEWAY)
        rows = await journal.rows(0, 1_000_000)
        assert verify_chain(rows) is None
        stored = {seq: own.hex() for seq, _, _, own in rows}
        for seq, (own, _, _) in accepted.items():
            assert stored[seq] == own, f"event {seq} was accepted and is not there"
        # At most what was being committed when the kill came is there without having been reported.
        assert len(rows) - max(accepted) <= 5
        await _settle_and_check(journal, accepted)
        await journal.close()
    assert len(accepted) > ROUNDS


async def _settle_and_check(journal: SqliteJournal, accepted: dict[int, list[str]]) -> None:
    """Open grants are exactly the intents without outcome; a restart gives each one outcome."""
    ended = {grant for _, kind, grant in accepted.values() if kind == EventKind.UNLOCK_OUTCOME}
    begun = {grant for _, kind, grant in accepted.values() if kind == EventKind.ACCESS_GRANTED}
    left = await journal.open_grants()
    found = {e.draft.grant_id for e in left}
    assert not found & ended
    assert len(left) <= 3  # one a door
    for event in left:
        (done,) = await journal.append(
            draft(EventKind.UNLOCK_OUTCOME, grant_id=event.draft.grant_id, data={"outcome": "ambiguous"})
        )
        accepted[done.seq] = [done.hash.hex(), done.draft.kind, str(done.draft.grant_id)]
    assert await journal.open_grants() == ()
    outcomes = [g for _, kind, g in accepted.values() if kind == EventKind.UNLOCK_OUTCOME]
    assert len(outcomes) == len(set(outcomes))
    assert begun  # the test has tested something


async def test_fault_32_two_processes_cannot_write_one_journal(path: Path, child: Child) -> None:
    await asyncio.to_thread(child.wait_for, 1)
    with pytest.raises(Rejected) as refused:
        await SqliteJournal.open(path, GATEWAY)
    assert refused.value.code == "journal_in_use"
    assert "stop that one first" in str(refused.value)
    before = len(child.lines)
    await asyncio.to_thread(child.wait_for, before + 5)  # and it goes on unharmed
    assert child.process.poll() is None
    await asyncio.to_thread(child.kill)
    journal = await SqliteJournal.open(path, GATEWAY)  # a killed owner leaves no lock behind
    second = await asyncio.to_thread(Child, path)
    assert await asyncio.to_thread(second.process.wait, 30) != 0
    await asyncio.to_thread(second.kill)
    await journal.append(draft())
    await journal.close()

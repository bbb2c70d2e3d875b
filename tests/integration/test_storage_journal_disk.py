"""The journal on a disk that is full, read-only or gone: doors stay shut, and it recovers by itself."""

import asyncio
import contextlib
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gateway.domain.errors import JournalUnavailable
from gateway.domain.events import verify_chain
from gateway.storage.journal import SqliteJournal
from tests.fakes.drafts import GATEWAY, draft, intent, new_grant, outcome

FILLING = draft(data={"text": "x" * 20_000})


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=20)


class Disk:
    """A file system of 3 MB in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        run("mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder))

    def fill(self) -> None:
        with (self.folder / "big").open("wb", buffering=0) as big, contextlib.suppress(OSError):
            for _ in range(2000):
                big.write(bytes(4096))

    def free(self) -> None:
        (self.folder / "big").unlink()

    def remount(self, how: str) -> None:
        run("mount", "-o", f"remount,{how}", str(self.folder))

    def unmount(self) -> None:
        run("umount", "-l", str(self.folder))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        disk = Disk(folder)
    except (OSError, subprocess.SubprocessError):
        pytest.skip("mounting a tmpfs needs root")
    yield disk
    disk.unmount()


@pytest.fixture
async def journal(disk: Disk) -> AsyncIterator[SqliteJournal]:
    journal = await SqliteJournal.open(disk.folder / "journal.db", GATEWAY)
    yield journal
    await journal.close()


async def fails_at_once(journal: SqliteJournal, times: int = 5) -> None:
    for _ in range(times):
        async with asyncio.timeout(5):
            with pytest.raises(JournalUnavailable, match="doors stay shut"):
                await journal.append(intent(new_grant(), data={"text": "x" * 20_000}))


async def check_whole(journal: SqliteJournal, count: int) -> None:
    rows = await journal.rows(0, 10_000)
    assert verify_chain(rows) is None
    assert len(rows) == count == (await journal.head())[0]


async def test_fault_24_a_full_disk(disk: Disk, journal: SqliteJournal) -> None:
    grant = new_grant()
    await journal.append(intent(grant))
    await asyncio.to_thread(disk.fill)
    await fails_at_once(journal)
    await check_whole(journal, 1)  # and it can still be read, to forward it
    assert [e.draft.grant_id for e in await journal.open_grants()] == [grant]
    await asyncio.to_thread(disk.free)
    await journal.append(outcome(grant))
    assert await journal.open_grants() == ()
    await check_whole(journal, 2)


async def test_a_disk_that_fills_up_under_many_writers(disk: Disk, journal: SqliteJournal) -> None:
    results = await asyncio.gather(*(journal.append(FILLING) for _ in range(300)), return_exceptions=True)
    stored = [r for r in results if not isinstance(r, BaseException)]
    refused = [r for r in results if isinstance(r, BaseException)]
    assert refused, "the disk never filled up"
    assert all(isinstance(r, JournalUnavailable) for r in refused)
    await check_whole(journal, len(stored))


async def test_a_full_disk_and_a_restart(disk: Disk, journal: SqliteJournal) -> None:
    await journal.append(draft())
    await asyncio.to_thread(disk.fill)
    await fails_at_once(journal, 1)
    await journal.close()
    path = disk.folder / "journal.db"
    try:  # it either starts and refuses, or does not start; no crash loop, no lost event
        again = await SqliteJournal.open(path, GATEWAY)
    except JournalUnavailable:
        pass
    else:
        await fails_at_once(again, 1)
        await again.close()
    await asyncio.to_thread(disk.free)
    again = await SqliteJournal.open(path, GATEWAY)
    await again.append(draft())
    await check_whole(again, 2)
    await again.close()


async def test_fault_24_a_disk_read_only_at_the_start(disk: Disk, journal: SqliteJournal) -> None:
    await journal.append(draft())
    await journal.close()
    await asyncio.to_thread(disk.remount, "ro")
    path = disk.folder / "journal.db"
    for _ in range(2):
        with pytest.raises(JournalUnavailable):
            await SqliteJournal.open(path, GATEWAY)
    await asyncio.to_thread(disk.remount, "rw")
    again = await SqliteJournal.open(path, GATEWAY)
    await again.append(draft())
    await check_whole(again, 2)
    await again.close()


async def test_a_connection_that_can_only_read_is_replaced(tmp_path: Path) -> None:
    """What a disk remounted read-only after an error looks like from inside SQLite."""
    journal = await SqliteJournal.open(tmp_path / "journal.db", GATEWAY)
    await journal.append(draft())
    db = journal._file._db
    assert db is not None
    db.execute("PRAGMA query_only = ON")
    with pytest.raises(JournalUnavailable):
        await journal.append(draft())
    await journal.append(draft())
    await check_whole(journal, 2)
    await journal.close()


async def test_a_disk_unmounted(disk: Disk, journal: SqliteJournal) -> None:
    await journal.append(draft())
    await asyncio.to_thread(disk.unmount)
    try:
        await fails_at_once(journal)
        assert not (disk.folder / "journal.db").exists()  # no second journal begins where the first one was
    finally:
        await asyncio.to_thread(run, "mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(disk.folder))
    await fails_at_once(journal)  # another disk is not that one


async def test_a_limit_stands_in_for_a_full_disk_without_root(tmp_path: Path) -> None:
    journal = await SqliteJournal.open(tmp_path / "journal.db", GATEWAY)
    await journal.append(draft())
    db = journal._file._db
    assert db is not None
    pages = db.execute("PRAGMA page_count").fetchone()[0]
    db.execute(f"PRAGMA max_page_count = {pages + 1}")
    await fails_at_once(journal)
    assert journal._file._db is db  # SQLITE_FULL is no reason to doubt the connection
    db.execute("PRAGMA max_page_count = 1000000")
    await journal.append(draft())
    await check_whole(journal, 2)
    await journal.close()

"""The journal's file: what happens to it between two runs, and behind its back."""

import asyncio
import sqlite3
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.domain.errors import InvalidInput, InvariantBroken, JournalUnavailable, Rejected
from gateway.domain.events import GENESIS, EventDraft, verify_chain
from gateway.domain.ids import AccessPointId, GatewayId, PersonId
from gateway.storage.journal import SqliteJournal
from tests.fakes.drafts import GATEWAY, draft, intent, new_grant, outcome


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture
async def journal(path: Path) -> AsyncIterator[SqliteJournal]:
    journal = await SqliteJournal.open(path, GATEWAY)
    yield journal
    await journal.close()


def behind_its_back(path: Path, *commands: str) -> None:
    db = sqlite3.connect(path)
    for name in ("no_update", "no_delete"):
        db.execute(f"DROP TRIGGER {name}")
    for command in commands:
        db.execute(command)
    db.commit()
    db.close()


async def written(path: Path, count: int, forwarded: int = 0) -> None:
    journal = await SqliteJournal.open(path, GATEWAY)
    await journal.append(*(draft(data={"n": i}) for i in range(count)))
    await journal.mark_forwarded(forwarded)
    await journal.close()


async def test_syncs_every_commit_to_a_file_of_its_owner(journal: SqliteJournal, path: Path) -> None:
    await journal.append(draft())
    db = journal._file._db
    assert db is not None
    assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert db.execute("PRAGMA synchronous").fetchone() == (2,)
    for file in path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


async def test_the_chain_goes_on_after_a_restart(path: Path) -> None:
    await written(path, 3, forwarded=2)
    journal = await SqliteJournal.open(path, GATEWAY)
    (event,) = await journal.append(draft())
    assert event.seq == 4
    assert [e.seq for e, _ in await journal.unforwarded(10)] == [3, 4]
    assert await journal.head() == (4, event.hash)
    assert verify_chain(await journal.rows()) is None
    assert [r[0] for r in await journal.rows(1, 2)] == [2, 3]
    await journal.close()


async def test_an_empty_journal_has_the_first_links_head(journal: SqliteJournal) -> None:
    assert await journal.head() == (0, GENESIS)


async def test_another_gateway_is_refused(path: Path) -> None:
    await written(path, 1)
    with pytest.raises(Rejected, match=r"gateway-1.*gateway-2") as refused:
        await SqliteJournal.open(path, GatewayId("gateway-2"))
    assert refused.value.code == "journal_of_another_gateway"
    await written(path, 1)  # and is free again


async def test_a_second_owner_is_refused(journal: SqliteJournal, path: Path) -> None:
    with pytest.raises(Rejected) as refused:
        await SqliteJournal.open(path, GATEWAY)
    assert refused.value.code == "journal_in_use"
    await journal.append(draft())
    await journal.close()
    await written(path, 1)


BROKEN = {
    "edited": "UPDATE events SET canonical = CAST(replace(canonical, '1', '2') AS BLOB) WHERE seq = 9",
    "deleted": "DELETE FROM events WHERE seq = 9",
    "end deleted": "DELETE FROM events WHERE seq > 8",
    "relinked": "UPDATE events SET prev_hash = zeroblob(32) WHERE seq = 10",
    "emptied": "DELETE FROM events",
}


@pytest.mark.parametrize("how", BROKEN)
async def test_a_broken_tail_stops_the_start_and_an_auditor_may_look(path: Path, how: str) -> None:
    await written(path, 10, forwarded=10)
    behind_its_back(path, BROKEN[how])
    with pytest.raises(InvariantBroken, match="facegate audit verify") as broken:
        await SqliteJournal.open(path, GATEWAY)
    assert broken.value.code == "chain_broken"
    auditor = await SqliteJournal.open(path, GATEWAY, check_tail=False)
    rows = await auditor.rows()
    assert verify_chain(rows) is not None or len(rows) < 10
    await auditor.close()


async def test_a_long_journal_starts_by_its_tail(path: Path) -> None:
    await written(path, 200)
    behind_its_back(path, "UPDATE events SET canonical = x'00' WHERE seq = 3")
    journal = await SqliteJournal.open(path, GATEWAY)
    fault = verify_chain(await journal.rows())
    assert fault is not None
    assert fault.seq == 3
    await journal.close()


@pytest.mark.parametrize("damage", [b"this is no database", b""])
async def test_a_file_that_is_no_journal_is_told(path: Path, damage: bytes) -> None:
    path.write_bytes(damage * 100)  # noqa: ASYNC240  # a small file
    if not damage:  # an empty file is one that a killed first start left
        await written(path, 1)
        return
    with pytest.raises(InvariantBroken) as broken:
        await SqliteJournal.open(path, GATEWAY)
    assert broken.value.code == "journal_damaged"


async def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(JournalUnavailable):
        await SqliteJournal.open(tmp_path / "none" / "journal.db", GATEWAY)


async def test_a_journal_moved_away_opens_no_door_until_it_is_back(
    journal: SqliteJournal, path: Path
) -> None:
    await journal.append(draft())
    away = path.parent / "away"
    away.mkdir()
    for file in path.parent.glob("journal.db*"):
        file.rename(away / file.name)
    for _ in range(3):
        with pytest.raises(JournalUnavailable):
            await journal.append(draft())
    assert not list(path.parent.glob("journal.db*"))
    for file in away.iterdir():
        file.rename(path.parent / file.name)
    (event,) = await journal.append(draft())
    assert event.seq == 2
    assert verify_chain(await journal.rows()) is None


async def test_an_older_journal_in_its_place_is_not_taken(journal: SqliteJournal, path: Path) -> None:
    await journal.append(draft())
    older = path.parent / "older.db"
    await written(older, 1)
    await journal.append(draft())
    for file in path.parent.glob("journal.db-*"):
        file.unlink()
    older.replace(path)
    for _ in range(3):
        with pytest.raises(JournalUnavailable):
            await journal.append(draft())


async def test_appends_that_wait_together_share_commits(journal: SqliteJournal) -> None:
    commits = 0
    write = journal._file.write

    def counted(batch: list[tuple[EventDraft, ...]]) -> object:
        nonlocal commits
        commits += 1
        return write(batch)

    journal._file = _Wrapped(journal._file, write=counted)
    results = await asyncio.gather(*(journal.append(draft(data={"n": i})) for i in range(500)))
    assert [events[0].draft.data["n"] for events in results] == list(range(500))
    assert commits <= 10
    assert verify_chain(await journal.rows()) is None


class _Wrapped:
    """A journal file with some of its calls replaced."""

    def __init__(self, file: object, **instead: object) -> None:
        self.__dict__.update(instead)
        self._file = file

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)


async def test_one_refused_append_leaves_its_neighbours_alone(journal: SqliteJournal) -> None:
    grant = new_grant()
    await journal.append(intent(grant))
    results = await asyncio.gather(
        journal.append(draft()),
        journal.append(draft(), intent(grant)),
        journal.append(draft(), draft()),
        return_exceptions=True,
    )
    assert isinstance(results[1], Rejected)
    assert [e.seq for e in (*results[0], *results[2])] == [2, 3, 4]
    assert verify_chain(await journal.rows()) is None


async def test_a_cancelled_caller_takes_nobody_along(journal: SqliteJournal) -> None:
    tasks = [asyncio.create_task(journal.append(draft(data={"n": i}))) for i in range(20)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert all(t.cancelled() for t in tasks[::2])
    assert all(len(t.result()) == 1 for t in tasks[1::2])
    assert verify_chain(await journal.rows()) is None
    assert (await journal.head())[0] == 20  # what had been handed over is on record


@pytest.mark.parametrize("error", [RuntimeError("a bug"), JournalUnavailable("x"), KeyError("k")])
async def test_whatever_happens_nobody_waits_for_ever(journal: SqliteJournal, error: Exception) -> None:
    def fails(_: object) -> None:
        raise error

    whole = journal._file
    journal._file = _Wrapped(whole, write=fails)
    async with asyncio.timeout(5):
        results = await asyncio.gather(*(journal.append(draft()) for _ in range(3)), return_exceptions=True)
    assert results == [error] * 3
    journal._file = whole
    await journal.append(draft())


async def test_a_closed_journal_refuses_at_once_and_closes_again(path: Path) -> None:
    journal = await SqliteJournal.open(path, GATEWAY)
    pending = [asyncio.create_task(journal.append(draft())) for _ in range(5)]
    await asyncio.sleep(0)
    await asyncio.gather(journal.close(), journal.close())
    assert all(len(t.result()) == 1 for t in pending)
    for call in (journal.append(draft()), journal.unforwarded(1), journal.open_grants()):
        with pytest.raises(JournalUnavailable):
            await call
    await journal.close()


@pytest.mark.parametrize(
    "bad",
    [
        draft(person_id=PersonId("Ada")),
        draft(grant_id="1"),
        draft(grant_id="0B3C7F8E-45A2-4F0E-9A52-3F6F1C1F7F11"),
        draft(access_point_id=AccessPointId("door\0")),
        draft(access_point_id=AccessPointId("door\udcff")),
    ],
    ids=["person", "grant", "upper case", "nul", "surrogate"],
)
async def test_what_postgres_would_refuse_never_gets_in(journal: SqliteJournal, bad: EventDraft) -> None:
    with pytest.raises(InvalidInput):
        await journal.append(bad)
    assert await journal.backlog() == 0


async def test_an_outcome_stored_although_its_commit_failed_is_found_again(
    journal: SqliteJournal, path: Path
) -> None:
    """The disk reported an error, but the write-ahead log had been written: a new connection sees it."""
    grant = new_grant()
    await journal.append(intent(grant))
    lost = outcome(grant)
    await journal.append(lost)
    journal._file.head = (1, (await journal.rows())[0][3])  # as a failed commit leaves it
    journal._file._suspect = True
    (event,) = await journal.append(lost)
    assert event.seq == 2
    assert [r[0] for r in await journal.rows()] == [1, 2]
    (after,) = await journal.append(draft())
    assert after.seq == 3
    assert verify_chain(await journal.rows()) is None


async def test_it_can_be_read_while_it_is_written(journal: SqliteJournal, path: Path) -> None:
    """A backup or an auditor's own tool looks; the gateway goes on."""
    await journal.append(draft())
    reader = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM events").fetchone() == (1,)
    for _ in range(20):
        await journal.append(draft())
    assert reader.execute("SELECT count(*) FROM events").fetchone() == (1,)
    reader.close()
    assert (await journal.head())[0] == 21


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_leaves_no_file_open(path: Path) -> None:
    before = open_files()
    for _ in range(3):
        await written(path, 2)
        with pytest.raises(Rejected):
            await SqliteJournal.open(path, GatewayId("other"))
    assert open_files() <= before

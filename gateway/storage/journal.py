"""The gateway's own durable, chained record: SQLite in WAL mode with full sync.

One thread owns the connection. Appends that wait together share one commit; each returns after it.
"""

import asyncio
import contextlib
import fcntl
import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO, TypeVar

import structlog

from gateway.domain.errors import InvariantBroken, JournalUnavailable, Rejected
from gateway.domain.events import GENESIS, Event, EventDraft, EventKind, canonical, link
from gateway.domain.ids import AccessPointId, EventId, GatewayId, GrantId, PersonId, uuid7

_log = structlog.get_logger(__name__)

T = TypeVar("T")

_TAIL = 64
"""Events whose links are checked at every start; ``facegate audit verify`` checks all."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS events (
    seq INTEGER PRIMARY KEY, kind TEXT NOT NULL, grant_id TEXT,
    canonical BLOB NOT NULL, prev_hash BLOB NOT NULL, hash BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS one_per_grant ON events (grant_id, kind) WHERE grant_id IS NOT NULL;
CREATE TRIGGER IF NOT EXISTS no_update BEFORE UPDATE ON events
    BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
CREATE TRIGGER IF NOT EXISTS no_delete BEFORE DELETE ON events
    BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
"""

Row = tuple[int, bytes, bytes, bytes]
"""seq, canonical, prev_hash, hash."""


@dataclass(slots=True)
class _Waiting:
    drafts: tuple[EventDraft, ...]
    done: asyncio.Future[tuple[Event, ...]]


@dataclass(slots=True)
class SqliteJournal:
    """``ports.Journal``. Open with ``open``; one process at a time."""

    path: Path
    gateway_id: GatewayId
    _thread: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="journal")
    )
    _db: sqlite3.Connection | None = None
    _lock: IO[str] | None = None
    _head: tuple[int, bytes] = (0, GENESIS)
    _waiting: list[_Waiting] = field(default_factory=list)
    _committer: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, path: Path, gateway_id: GatewayId, *, check_tail: bool = True) -> "SqliteJournal":
        """Open or create.

        ``check_tail=False`` is for an auditor, who walks the whole chain and tells what is wrong with it.
        Raises JournalUnavailable, Rejected (another owner or gateway id), InvariantBroken.
        """
        journal = cls(path, gateway_id)
        try:
            await journal._call(lambda: journal._open(check_tail=check_tail))
        except BaseException:
            await journal.close()
            raise
        return journal

    async def close(self) -> None:
        """Wait for what is being written, then let go. Idempotent."""
        while self._committer is not None:
            await asyncio.wait([self._committer])
        with contextlib.suppress(RuntimeError):  # the thread has been shut down already
            await asyncio.get_running_loop().run_in_executor(self._thread, self._shut)
        self._thread.shutdown(wait=False)

    async def append(self, *drafts: EventDraft) -> tuple[Event, ...]:
        """Chain and store, all or none; returns after fsync. Raises JournalUnavailable."""
        done: asyncio.Future[tuple[Event, ...]] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(drafts, done))
        if self._committer is None:
            self._committer = asyncio.create_task(self._commit_all(), name="journal-commit")
        return await asyncio.shield(done)

    async def _commit_all(self) -> None:
        """Commit whatever waits, in one transaction at a time, until nothing does."""
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                await self._commit_batch(batch)
        finally:
            self._committer = None

    async def _commit_batch(self, batch: list[_Waiting]) -> None:
        try:
            written = await self._call(lambda: self._write([w.drafts for w in batch]))
        except (JournalUnavailable, ValueError, TypeError, Rejected) as error:
            if len(batch) > 1:  # one bad draft must not take its neighbours down
                for waiting in batch:
                    await self._commit_batch([waiting])
                return
            _settle(batch[0].done, error)
            return
        for waiting, events in zip(batch, written, strict=True):
            if not waiting.done.done():
                waiting.done.set_result(events)

    async def open_grants(self) -> tuple[Event, ...]:
        """access_granted events without an unlock_outcome, oldest first."""
        sql = (
            "SELECT seq, canonical, prev_hash, hash FROM events AS g WHERE kind = ? AND NOT EXISTS "
            "(SELECT 1 FROM events AS o WHERE o.grant_id = g.grant_id AND o.kind = ?) ORDER BY seq"
        )
        kinds = (EventKind.ACCESS_GRANTED.value, EventKind.UNLOCK_OUTCOME.value)
        return tuple(event for event, _ in await self._events(sql, kinds))

    async def unforwarded(self, limit: int) -> tuple[tuple[Event, bytes], ...]:
        """Oldest events not yet marked as forwarded, with their canonical bytes, in order."""
        sql = (
            "SELECT seq, canonical, prev_hash, hash FROM events WHERE seq > "
            "(SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'forwarded') ORDER BY seq LIMIT ?"
        )
        return await self._events(sql, (limit,))

    async def mark_forwarded(self, seq: int) -> None:
        """Everything up to and including ``seq`` is in the event store; never moves back."""

        def write() -> None:
            with self._transaction() as db:
                db.execute(
                    "UPDATE meta SET value = ? WHERE key = 'forwarded' AND CAST(value AS INTEGER) < ?",
                    (str(seq), seq),
                )

        await self._call(write)

    async def head(self) -> tuple[int, bytes]:
        """Newest sequence number and hash; (0, GENESIS) when empty."""
        return self._head

    async def rows(self, after: int = 0, limit: int = 1000) -> tuple[Row, ...]:
        """The next rows after a sequence number, for verification."""
        sql = "SELECT seq, canonical, prev_hash, hash FROM events WHERE seq > ? ORDER BY seq LIMIT ?"
        return tuple(await self._call(lambda: self._connection().execute(sql, (after, limit)).fetchall()))

    async def _events(self, sql: str, values: tuple[object, ...]) -> tuple[tuple[Event, bytes], ...]:
        rows = await self._call(lambda: self._connection().execute(sql, values).fetchall())
        return tuple((parse(row), row[1]) for row in rows)

    async def _call(self, work: Callable[[], T]) -> T:
        """Run on the journal's thread; storage trouble becomes JournalUnavailable."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except sqlite3.IntegrityError as error:
            raise Rejected(f"journal {self.path}: {error}", code="duplicate_event") from error
        except (sqlite3.Error, OSError) as error:
            raise JournalUnavailable(
                f"journal {self.path}: {error}; free space or mend the disk, doors stay shut until then"
            ) from error

    # What follows runs on the journal's thread.

    def _open(self, *, check_tail: bool) -> None:
        self._take_lock()
        db = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        self._db = db
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA busy_timeout = 2000")
        db.executescript(_SCHEMA)
        with self._transaction():
            db.execute("INSERT OR IGNORE INTO meta VALUES ('gateway_id', ?)", (self.gateway_id,))
            db.execute("INSERT OR IGNORE INTO meta VALUES ('forwarded', '0')")
        (owner,) = db.execute("SELECT value FROM meta WHERE key = 'gateway_id'").fetchone()
        if owner != self.gateway_id:
            raise Rejected(
                f"journal {self.path} belongs to gateway {owner!r}, not {self.gateway_id!r}; set gateway_id "
                "back in the site file, or give this gateway a state folder of its own",
                code="journal_of_another_gateway",
            )
        if check_tail:
            self._head = self._check_tail()
        self.path.chmod(0o600)

    def _take_lock(self) -> None:
        lock = self.path.with_suffix(".lock").open("a")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise Rejected(
                f"journal {self.path} is in use by another gateway process; stop that one first",
                code="journal_in_use",
            ) from None
        self._lock = lock

    def _shut(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _check_tail(self) -> tuple[int, bytes]:
        """Verify the newest links and return the head. Raises InvariantBroken."""
        newest = (
            self._connection()
            .execute(
                "SELECT seq, canonical, prev_hash, hash FROM events ORDER BY seq DESC LIMIT ?", (_TAIL + 1,)
            )
            .fetchall()
        )
        rows: list[Row] = newest[::-1]
        for i, (seq, body, prev, own) in enumerate(rows):
            before = rows[i - 1] if i else None
            linked = prev == (before[3] if before else GENESIS) if before or seq == 1 else True
            follows = before is None or seq == before[0] + 1
            if not (linked and follows and link(prev, body) == own):
                raise InvariantBroken(
                    f"journal {self.path}: event {seq} does not fit the chain; keep the file as evidence, "
                    "run `facegate audit verify`, and start with a new state folder",
                    code="chain_broken",
                )
        return (rows[-1][0], rows[-1][3]) if rows else (0, GENESIS)

    def _write(self, batch: Sequence[tuple[EventDraft, ...]]) -> list[tuple[Event, ...]]:
        seq, prev = self._head
        written: list[tuple[Event, ...]] = []
        with self._transaction() as db:
            for drafts in batch:
                events = []
                for draft in drafts:
                    seq += 1
                    event_id = EventId(uuid7(int(draft.at.timestamp() * 1000)))
                    body = canonical(self.gateway_id, seq, event_id, draft)
                    event = Event(
                        gateway_id=self.gateway_id,
                        seq=seq,
                        event_id=event_id,
                        draft=draft,
                        prev_hash=prev,
                        hash=link(prev, body),
                    )
                    db.execute(
                        "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)",
                        (seq, draft.kind.value, draft.grant_id, body, prev, event.hash),
                    )
                    prev = event.hash
                    events.append(event)
                written.append(tuple(events))
        self._head = (seq, prev)
        return written

    def _connection(self) -> sqlite3.Connection:
        if self._db is None:
            raise OSError("it is closed")
        return self._db

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, synced at the end."""
        db = self._connection()
        db.execute("BEGIN IMMEDIATE")
        try:
            yield db
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise


def _settle(done: asyncio.Future[tuple[Event, ...]], error: Exception) -> None:
    if not done.done():
        done.set_exception(error)
        done.exception()  # a caller that was cancelled meanwhile is no reason to warn


def parse(row: Row) -> Event:
    """An event from its stored canonical form."""
    seq, body, prev, own = row
    plain = json.loads(body)
    return Event(
        gateway_id=GatewayId(plain["gateway"]),
        seq=seq,
        event_id=EventId(plain["id"]),
        draft=EventDraft(
            kind=EventKind(plain["kind"]),
            at=datetime.fromisoformat(plain["at"]),
            mono_ns=plain["mono_ns"],
            access_point_id=None if plain["access_point"] is None else AccessPointId(plain["access_point"]),
            person_id=None if plain["person"] is None else PersonId(plain["person"]),
            grant_id=None if plain["grant"] is None else GrantId(plain["grant"]),
            data=plain["data"],
        ),
        prev_hash=prev,
        hash=own,
    )

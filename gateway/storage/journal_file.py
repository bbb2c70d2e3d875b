"""The journal's file: SQLite in WAL mode with full sync, chained, one owner. Everything here blocks.

One thread uses an instance. Trouble with the disk is JournalUnavailable, and leaves no half of an append;
the next call tries again, on a fresh connection where the old one may be damaged.
"""

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from gateway.domain.errors import InvariantBroken, JournalUnavailable, Rejected
from gateway.domain.events import GENESIS, Event, EventDraft, EventKind, canonical, link
from gateway.domain.ids import EventId, GatewayId, uuid7
from gateway.storage.journal_schema import connect, transaction
from gateway.storage.records import ONE_PER_GRANT, Row, parse

_log = structlog.get_logger(__name__)

_TAIL = 64
"""Events whose links are checked at every start; ``facegate audit verify`` checks all."""
_HARMLESS = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_BUSY}
"""After these the connection is as good as before."""

_ROW = "SELECT seq, canonical, prev_hash, hash FROM events"
# The kinds are spelt out: only then does SQLite see that the two partial indexes answer it.
_OPEN_GRANTS = """
SELECT seq, canonical, prev_hash, hash FROM events WHERE seq IN (
    SELECT g.seq FROM events AS g WHERE g.kind = 'access_granted' AND NOT EXISTS
        (SELECT 1 FROM events AS o WHERE o.kind = 'unlock_outcome' AND o.grant_id = g.grant_id)
) ORDER BY seq
"""

Written = tuple[Event, ...] | Rejected


@dataclass(slots=True)
class JournalFile:
    """One gateway's journal."""

    path: Path
    gateway_id: GatewayId
    check_tail: bool = True
    head: tuple[int, bytes] = (0, GENESIS)
    """Newest sequence number and hash."""
    forwarded: int = 0
    _db: sqlite3.Connection | None = None
    _lock: int | None = None
    _inode: int = 0
    _suspect: bool = False
    _tip: tuple[int, bytes] = (0, GENESIS)
    """As ``head``, but of the commit under way."""

    def open(self) -> None:
        """Open or create. Raises JournalUnavailable, Rejected (in use, another's), InvariantBroken."""
        with self._trouble():
            self._take_lock()
            self._connect()

    def close(self) -> None:
        """Let go. Idempotent, never raises."""
        self._disconnect()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def write(self, batch: Sequence[Sequence[EventDraft]]) -> list[Written]:
        """Chain and store several appends in one commit; one that is refused leaves the others alone.

        Returns after fsync. Raises JournalUnavailable, and then nothing of the batch is stored.
        """
        with self._trouble(), self._transaction() as db:
            self._tip = self.head
            written = [self._append(db, drafts) for drafts in batch]
        self.head = self._tip
        return written

    def open_grants(self) -> tuple[Event, ...]:
        """access_granted events without an unlock_outcome, oldest first."""
        return tuple(parse(row) for row in self._rows(_OPEN_GRANTS))

    def unforwarded(self, limit: int) -> tuple[tuple[Event, bytes], ...]:
        """Oldest events not yet marked as forwarded, with their canonical bytes."""
        rows = self._rows(f"{_ROW} WHERE seq > ? ORDER BY seq LIMIT ?", self.forwarded, limit)
        return tuple((parse(row), row[1]) for row in rows)

    def mark_forwarded(self, seq: int) -> None:
        """Everything up to and including ``seq`` is in the event store; never moves back."""
        if seq > self.head[0]:
            raise InvariantBroken(f"journal {self.path}: event {seq} is not there to be forwarded")
        if seq <= self.forwarded:
            return
        with self._trouble(), self._transaction() as db:
            db.execute("UPDATE meta SET value = ? WHERE key = 'forwarded'", (str(seq),))
        self.forwarded = seq

    def rows(self, after: int, limit: int) -> tuple[Row, ...]:
        """The next rows after a sequence number."""
        return tuple(self._rows(f"{_ROW} WHERE seq > ? ORDER BY seq LIMIT ?", after, limit))

    def _append(self, db: sqlite3.Connection, drafts: Sequence[EventDraft]) -> Written:
        """All drafts of one append, or none."""
        tip = self._tip
        db.execute("SAVEPOINT append")
        try:
            events = tuple(self._insert(db, draft) for draft in drafts)
        except Rejected as refused:
            db.execute("ROLLBACK TO append")
            db.execute("RELEASE append")
            self._tip = tip
            return refused
        db.execute("RELEASE append")
        return events

    def _insert(self, db: sqlite3.Connection, draft: EventDraft) -> Event:
        there = self._already(db, draft)
        if there is not None:
            return there
        seq, prev = self._tip[0] + 1, self._tip[1]
        event_id = EventId(uuid7(int(draft.at.timestamp() * 1000)))
        body = canonical(self.gateway_id, seq, event_id, draft)
        own = link(prev, body)
        db.execute(
            "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)",
            (seq, draft.kind.value, draft.grant_id, body, prev, own),
        )
        self._tip = (seq, own)
        return parse((seq, body, prev, own))

    def _already(self, db: sqlite3.Connection, draft: EventDraft) -> Event | None:
        """The outcome that this very draft became, when it was stored although its commit seemed to fail.

        Raises Rejected for any other second intent or outcome of a grant.
        """
        if draft.kind not in ONE_PER_GRANT:
            return None
        row = db.execute(
            f"{_ROW} WHERE kind = '{draft.kind.value}' AND grant_id = ?",
            (draft.grant_id,),
        ).fetchone()
        if row is None:
            return None
        event = parse(row)
        if draft.kind is EventKind.UNLOCK_OUTCOME and event.draft == draft:
            return event
        raise Rejected(
            f"grant {draft.grant_id} already has its {draft.kind.value}, event {event.seq}",
            code="duplicate_event",
        )

    def _rows(self, sql: str, *values: object) -> list[Row]:
        with self._trouble():
            found: list[Row] = self._connection().execute(sql, values).fetchall()
            return found

    # Connection

    def _connection(self) -> sqlite3.Connection:
        if self._lock is None:
            raise JournalUnavailable(f"journal {self.path} is closed")
        if self._suspect or self._db is None:
            self._disconnect()
            try:
                self._connect()
            except (InvariantBroken, Rejected) as error:  # no longer the file that was opened at the start
                raise JournalUnavailable(str(error)) from error
        if self._db is None:  # pragma: no cover  # _connect sets it or raises
            raise JournalUnavailable(f"journal {self.path} is closed")
        return self._db

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, synced at the end."""
        db = self._connection()
        self._still_there()
        with transaction(db):
            yield db

    @contextlib.contextmanager
    def _trouble(self) -> Iterator[None]:
        """Storage trouble is JournalUnavailable; decides whether the connection can be trusted after it."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            self._suspect = self._suspect or code not in _HARMLESS
            raise JournalUnavailable(
                f"journal {self.path}: {error}; free space or mend the disk, doors stay shut until then"
            ) from error

    def _still_there(self) -> None:
        """A file that was moved away takes writes as before, and nobody would ever find them."""
        log = self.path.with_name(f"{self.path.name}-wal")
        if not log.exists() or not self.path.exists() or self.path.stat().st_ino != self._inode:
            raise OSError("it was moved or deleted; put it back, or stop the gateway")

    def _connect(self) -> None:
        # Only the very first time may make a file: later, one that is missing has been taken away.
        db = connect(self.path, self.gateway_id, create=self._inode == 0)
        try:
            self._read_state(db)
        except BaseException:
            db.close()
            raise
        self._db, self._suspect = db, False
        self._inode = self.path.stat().st_ino

    def _read_state(self, db: sqlite3.Connection) -> None:
        meta = dict(db.execute("SELECT key, value FROM meta").fetchall())
        if meta["gateway_id"] != self.gateway_id:
            raise Rejected(
                f"journal {self.path} belongs to gateway {meta['gateway_id']!r}, not {self.gateway_id!r}; "
                "set gateway_id back in the site file, or give this gateway a state folder of its own",
                code="journal_of_another_gateway",
            )
        rows = db.execute(f"{_ROW} ORDER BY seq DESC LIMIT ?", (_TAIL + 1,)).fetchall()[::-1]
        head = (rows[-1][0], rows[-1][3]) if rows else (0, GENESIS)
        forwarded = int(meta["forwarded"])
        if self.check_tail:
            self._check(rows, max(forwarded, self.head[0]))
        self.head, self.forwarded = head, forwarded

    def _check(self, rows: Sequence[Row], known: int) -> None:
        """Raise InvariantBroken unless the newest links hold and everything known to be there is."""
        for i, (seq, body, prev, own) in enumerate(rows):
            before = rows[i - 1] if i else None
            starts = seq == 1 and prev == GENESIS
            follows = before is not None and (seq, prev) == (before[0] + 1, before[3])
            unseen = before is None and seq > 1  # what it follows lies before the tail
            if not (starts or follows or unseen) or link(prev, body) != own:
                raise self._broken(f"event {seq} does not fit the chain")
        if (rows[-1][0] if rows else 0) < known:
            raise self._broken(f"it had {known} events, and the newest are missing")

    def _broken(self, what: str) -> InvariantBroken:
        return InvariantBroken(
            f"journal {self.path}: {what}; keep the file as evidence, run `facegate audit verify`, and start "
            "with a new state folder and gateway_id",
            code="chain_broken",
        )

    def _disconnect(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            try:
                db.close()
            except sqlite3.Error as error:  # its last checkpoint; what was committed stays in the WAL
                _log.warning("journal_close", why=str(error))

    def _take_lock(self) -> None:
        lock = os.open(self.path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise Rejected(
                f"journal {self.path} is in use by another gateway process; stop that one first",
                code="journal_in_use",
            ) from None
        self._lock = lock

"""The journal's tables, and a connection that keeps its promises."""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from gateway.domain.errors import InvariantBroken, JournalUnavailable
from gateway.domain.ids import GatewayId

_DAMAGED = {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT",
    """CREATE TABLE IF NOT EXISTS events (
        seq INTEGER PRIMARY KEY, kind TEXT NOT NULL, grant_id TEXT,
        canonical BLOB NOT NULL, prev_hash BLOB NOT NULL, hash BLOB NOT NULL
    ) STRICT""",
    "CREATE UNIQUE INDEX IF NOT EXISTS intents ON events (grant_id) WHERE kind = 'access_granted'",
    "CREATE UNIQUE INDEX IF NOT EXISTS outcomes ON events (grant_id) WHERE kind = 'unlock_outcome'",
    """CREATE TRIGGER IF NOT EXISTS no_update BEFORE UPDATE ON events
        BEGIN SELECT RAISE(ABORT, 'events are append-only'); END""",
    """CREATE TRIGGER IF NOT EXISTS no_delete BEFORE DELETE ON events
        BEGIN SELECT RAISE(ABORT, 'events are append-only'); END""",
)


def connect(path: Path, gateway_id: GatewayId, *, create: bool) -> sqlite3.Connection:
    """A connection in WAL mode with full sync, on a file only its owner can read.

    Raises sqlite3.Error, OSError, JournalUnavailable (no such mode here), InvariantBroken (damaged).
    """
    os.close(os.open(path, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0), 0o600))
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        _prepare(db, path, gateway_id)
    except sqlite3.DatabaseError as error:
        db.close()
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED:
            raise InvariantBroken(
                f"journal {path} is damaged ({error}); keep it as evidence, and start with a new state "
                "folder and gateway_id",
                code="journal_damaged",
            ) from error
        raise
    except BaseException:
        db.close()
        raise
    return db


@contextlib.contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """All or nothing, synced at the end."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                db.execute("ROLLBACK")
        raise


def _prepare(db: sqlite3.Connection, path: Path, gateway_id: GatewayId) -> None:
    mode = db.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise JournalUnavailable(
            f"journal {path}: this file system offers no write-ahead log ({mode}); use a local disk"
        )
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA busy_timeout = 2000")
    with transaction(db):
        for statement in _SCHEMA:
            db.execute(statement)
        db.execute("INSERT OR IGNORE INTO meta VALUES ('gateway_id', ?)", (gateway_id,))
        db.execute("INSERT OR IGNORE INTO meta VALUES ('forwarded', '0')")

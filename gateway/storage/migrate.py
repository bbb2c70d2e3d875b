"""Brings the schema up to date: ordered SQL files, forward only, one transaction each."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import structlog

from gateway.domain.errors import InvariantBroken
from gateway.resources import data
from gateway.storage.pool import Database

_log = structlog.get_logger(__name__)

_LOCK = 0x0FACE6A7E
_PATIENCE_S = 600.0
"""For another process that migrates, and for a large table's migration."""
_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")
_TABLE = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    number integer PRIMARY KEY, name text NOT NULL, sha256 text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file."""

    number: int
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        """Checksum of its text."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def read(folder: Path | None = None) -> list[Migration]:
    """The files in order. Raises InvariantBroken on a strange name, a gap or a double number."""
    folder = folder or data("schemas/sql")
    found = []
    for path in sorted(folder.glob("*.sql")):
        match = _NAME.fullmatch(path.name)
        if match is None:
            raise InvariantBroken(f"{path}: migrations are called NNNN_name.sql", code="migration_name")
        found.append(Migration(int(match[1]), path.name, path.read_text("utf-8")))
    if [m.number for m in found] != list(range(1, len(found) + 1)):
        raise InvariantBroken(
            f"{folder}: migrations must be numbered 0001, 0002, … without gaps or doubles",
            code="migration_gap",
        )
    return found


async def migrate(database: Database, migrations: Sequence[Migration] | None = None) -> int:
    """Apply what is missing; returns how many. Safe to call from several processes at once.

    Raises InvariantBroken when an applied file was altered, one is missing, or the database is newer;
    DatabaseUnavailable.
    """
    wanted = read() if migrations is None else migrations
    done = 0
    while await _next(database, wanted):
        done += 1
    return done


async def _next(database: Database, wanted: Sequence[Migration]) -> bool:
    """Apply the first that is missing; False when there is none."""
    async with database.transaction() as db:
        # Of the transaction, not of the session: it works through a pooler, too.
        await db.execute("SELECT pg_advisory_xact_lock($1)", _LOCK, timeout=_PATIENCE_S)
        await db.execute(_TABLE)
        applied = await db.fetch("SELECT number, name, sha256 FROM schema_migrations ORDER BY number")
        _check(wanted, applied)
        if len(applied) == len(wanted):
            return False
        migration = wanted[len(applied)]
        try:
            await db.execute(migration.sql, timeout=_PATIENCE_S)
        except (asyncpg.SyntaxOrAccessError, asyncpg.IntegrityConstraintViolationError) as error:
            raise InvariantBroken(
                f"{migration.name} cannot be applied: {error.args[0]}", code="migration_failed"
            ) from None
        await db.execute(
            "INSERT INTO schema_migrations (number, name, sha256) VALUES ($1, $2, $3)",
            migration.number,
            migration.name,
            migration.sha256,
        )
    _log.info("migrated", name=migration.name)
    return True


def _check(wanted: Sequence[Migration], applied: Sequence[asyncpg.Record]) -> None:
    for position, row in enumerate(applied, 1):
        if row["number"] != position:
            raise InvariantBroken(
                f"the database lacks migration {position:04} but has {row['name']}; restore it from a backup",
                code="migration_gap",
            )
    if len(applied) > len(wanted):
        raise InvariantBroken(
            f"the database has migration {applied[-1]['name']}, which this Facegate does not know; "
            "run the newer version that made it",
            code="database_newer",
        )
    for migration, row in zip(wanted, applied, strict=False):
        if migration.sha256 != row["sha256"]:
            raise InvariantBroken(
                f"{migration.name} was altered after it was applied; put the file back as it was and write "
                "a new one",
                code="migration_altered",
            )

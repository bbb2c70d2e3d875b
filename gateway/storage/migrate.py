"""Brings the schema up to date: ordered SQL files, forward only, one transaction each."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import structlog

from gateway.domain.errors import InvariantBroken
from gateway.resources import data
from gateway.storage.pool import Database

_log = structlog.get_logger(__name__)

_LOCK = 0x0FACE6A7E
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
            raise InvariantBroken(f"{path}: migrations are called NNNN_name.sql")
        found.append(Migration(int(match[1]), path.name, path.read_text("utf-8")))
    if [m.number for m in found] != list(range(1, len(found) + 1)):
        raise InvariantBroken(f"{folder}: migrations must be numbered 0001, 0002, … without gaps or doubles")
    return found


async def migrate(database: Database, migrations: list[Migration] | None = None) -> int:
    """Apply what is missing; returns how many. Safe to call from several processes at once.

    Raises InvariantBroken when an applied file was altered or the database is newer, DatabaseUnavailable.
    """
    wanted = read() if migrations is None else migrations
    async with database.connection() as connection:
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
        try:
            await connection.execute(_TABLE)
            rows = await connection.fetch(
                "SELECT number, name, sha256 FROM schema_migrations ORDER BY number"
            )
            _check(wanted, rows)
            missing = wanted[len(rows) :]
            for migration in missing:
                async with connection.transaction():
                    await connection.execute(migration.sql)
                    await connection.execute(
                        "INSERT INTO schema_migrations (number, name, sha256) VALUES ($1, $2, $3)",
                        migration.number,
                        migration.name,
                        migration.sha256,
                    )
                _log.info("migrated", name=migration.name)
        finally:
            await connection.execute("SELECT pg_advisory_unlock($1)", _LOCK)
    return len(missing)


def _check(wanted: list[Migration], applied: list[asyncpg.Record]) -> None:
    if len(applied) > len(wanted):
        raise InvariantBroken(
            f"the database has migration {applied[-1]['name']}, which this Facegate does not know; "
            "run the newer version that made it"
        )
    for migration, row in zip(wanted, applied, strict=False):
        if (migration.number, migration.sha256) != (row["number"], row["sha256"]):
            raise InvariantBroken(
                f"{migration.name} was altered after it was applied; put the file back and write a new one"
            )

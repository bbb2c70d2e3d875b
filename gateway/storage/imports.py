"""``ports.ImportStore`` in Postgres."""

import base64
import contextlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from gateway.domain.errors import InvalidInput, Rejected
from gateway.domain.imports import ImportRecord, ImportState, LineResult, LineState, NewImport
from gateway.storage.pool import Database
from gateway.storage.staff import LOCK_ROSTER

MOST_UNFINISHED = 5
_LOCK = 0x0FACE1324
_COLUMNS = """
SELECT i.*, (SELECT coalesce(jsonb_object_agg(state, n), '{}') FROM (
    SELECT state, count(*) AS n FROM import_lines l WHERE l.import_id = i.import_id GROUP BY state
) c) AS counts
FROM imports i
"""


class _TakenBackError(Exception):
    """Ends a rehearsal's transaction."""


@dataclass(slots=True)
class PostgresImports:
    """Imports and what became of their lines."""

    database: Database

    async def register(self, new: NewImport) -> ImportRecord:
        """A new import, waiting. Raises Rejected (code "too_many_imports")."""
        async with self.database.transaction() as db:
            await db.execute("LOCK TABLE imports IN SHARE ROW EXCLUSIVE MODE")
            unfinished = await db.fetchval("SELECT count(*) FROM imports WHERE finished_at IS NULL")
            if unfinished >= MOST_UNFINISHED:
                raise Rejected(
                    f"{unfinished} imports are unfinished; wait for them, or cancel one",
                    code="too_many_imports",
                )
            await db.execute(
                "INSERT INTO imports (import_id, created_by, address, gateway_id, dry_run, total, notes, "
                "digest, files) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
                UUID(new.import_id),
                new.created_by,
                new.address,
                new.gateway_id,
                new.dry_run,
                new.total,
                [*new.notes],
                new.digest,
                _packed(new.files),
            )
        return await self.get(new.import_id)

    async def get(self, import_id: str) -> ImportRecord:
        """One import. Raises InvalidInput (code "no_such_import")."""
        async with self.database.connection() as db:
            row = await db.fetchrow(_COLUMNS + "WHERE import_id = $1", _uuid(import_id))
        if row is None:
            raise _nothing(import_id)
        return _record(row)

    async def recent(self, limit: int, before: str | None = None) -> Sequence[ImportRecord]:
        """Newest first. Raises InvalidInput (code "no_such_import") for an unknown ``before``."""
        where = ""
        values: list[datetime | UUID] = []
        if before is not None:
            seen = await self.get(before)
            where = "WHERE (created_at, import_id) < ($2, $3) "
            values = [seen.created_at, UUID(before)]
        async with self.database.connection() as db:
            rows = await db.fetch(
                _COLUMNS + where + "ORDER BY created_at DESC, import_id DESC LIMIT $1", limit, *values
            )
        return [_record(row) for row in rows]

    async def unfinished(self, gateway_id: str) -> Sequence[ImportRecord]:
        """Waiting or running ones whose files a gateway holds, oldest first."""
        async with self.database.connection() as db:
            rows = await db.fetch(
                _COLUMNS + "WHERE gateway_id = $1 AND finished_at IS NULL ORDER BY created_at, import_id",
                gateway_id,
            )
        return [_record(row) for row in rows]

    @contextlib.asynccontextmanager
    async def only_one(self) -> AsyncIterator[bool]:
        """Whether this is now the only import that runs, on any gateway.

        The lock is a connection's: a process that is killed lets it go. One that lost its connection without
        noticing is held back by ``runner`` instead.
        """
        async with self.database.connection() as db:
            taken = bool(await db.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK))
            try:
                yield taken
            finally:
                if taken:
                    await _let_go(db)

    async def start(self, import_id: str, runner: str) -> frozenset[int]:
        """Take an import over; see ``ports.ImportStore``."""
        async with self.database.transaction() as db:
            dry_run = await db.fetchval(
                "UPDATE imports SET state = 'running', runner = $2 "
                "WHERE import_id = $1 AND finished_at IS NULL "
                "RETURNING dry_run",
                _uuid(import_id),
                UUID(runner),
            )
            if dry_run is None:
                raise _over()
            if dry_run:
                await db.execute("DELETE FROM import_lines WHERE import_id = $1", _uuid(import_id))
            rows = await db.fetch("SELECT line FROM import_lines WHERE import_id = $1", _uuid(import_id))
        return frozenset(row["line"] for row in rows)

    @contextlib.asynccontextmanager
    async def person(self, import_id: str, runner: str, *, keep: bool) -> AsyncIterator[None]:
        """One transaction over all stores of this database; see ``ports.ImportStore``."""
        with contextlib.suppress(_TakenBackError):
            async with self.database.together() as db:
                await db.execute(LOCK_ROSTER)  # first of all locks
                await _hold(db, import_id, runner)
                yield
                if not keep:
                    raise _TakenBackError

    async def note(self, import_id: str, runner: str, result: LineResult) -> None:
        """What became of a line."""
        async with self.database.transaction() as db:
            await _hold(db, import_id, runner)
            await db.execute(
                "INSERT INTO import_lines (import_id, line, number, state, code, message) "
                "VALUES ($1, $2, $3, $4, $5, $6)",
                _uuid(import_id),
                result.line,
                result.number,
                result.state.value,
                result.code,
                result.message,
            )

    async def lines(
        self, import_id: str, after: int, limit: int, state: LineState | None = None
    ) -> Sequence[LineResult]:
        """Part of the report, by line. Raises InvalidInput (code "no_such_import")."""
        await self.get(import_id)
        async with self.database.connection() as db:
            rows = await db.fetch(
                "SELECT line, number, state, code, message FROM import_lines "
                "WHERE import_id = $1 AND line > $2 AND ($4::text IS NULL OR state = $4) "
                "ORDER BY line LIMIT $3",
                _uuid(import_id),
                after,
                limit,
                state.value if state else None,
            )
        return [
            LineResult(
                line=row["line"],
                number=row["number"],
                state=LineState(row["state"]),
                code=row["code"],
                message=row["message"],
            )
            for row in rows
        ]

    async def finish(
        self,
        import_id: str,
        runner: str,
        state: ImportState,
        *,
        notes: Sequence[str] = (),
        code: str | None = None,
        why: str | None = None,
    ) -> None:
        """The end. An import that is over, or was taken over, stays as it is."""
        async with self.database.connection() as db:
            await db.execute(
                "UPDATE imports SET state = $3, finished_at = now(), files = '{}', "
                "notes = notes || $4::text[], code = $5, why = $6 "
                "WHERE import_id = $1 AND runner = $2 AND finished_at IS NULL",
                _uuid(import_id),
                UUID(runner),
                state.value,
                [*notes],
                code,
                why,
            )

    async def forget(self, older_than: timedelta) -> int:
        """Delete imports that ended so long ago, with their reports; how many."""
        async with self.database.connection() as db:
            gone = await db.execute(
                "DELETE FROM imports WHERE finished_at < now() - $1::interval", older_than
            )
        return int(gone.split()[1])

    async def cancel(self, import_id: str) -> ImportRecord:
        """Stop before the next line. Raises InvalidInput ("no_such_import"), Rejected ("import_over")."""
        async with self.database.connection() as db:
            done = await db.execute(
                "UPDATE imports SET state = 'cancelled', finished_at = now(), files = '{}' "
                "WHERE import_id = $1 AND finished_at IS NULL",
                _uuid(import_id),
            )
        found = await self.get(import_id)
        if done != "UPDATE 1":
            raise _over()
        return found


async def _hold(db: asyncpg.pool.PoolConnectionProxy, import_id: str, runner: str) -> None:
    """Nobody cancels the import or takes it over until this transaction ends."""
    held = await db.fetchval(
        "SELECT true FROM imports WHERE import_id = $1 AND runner = $2 AND state = 'running' FOR UPDATE",
        _uuid(import_id),
        UUID(runner),
    )
    if not held:
        raise _over()


async def _let_go(db: asyncpg.pool.PoolConnectionProxy) -> None:
    with contextlib.suppress(
        OSError, asyncpg.InterfaceError, asyncpg.PostgresError
    ):  # gone with its connection
        await db.execute("SELECT pg_advisory_unlock($1)", _LOCK)


def _over() -> Rejected:
    return Rejected("the import is over: done, failed, cancelled or taken over", code="import_over")


def _nothing(import_id: str) -> InvalidInput:
    return InvalidInput(f"there is no import {import_id[:64]!r}", code="no_such_import")


def _uuid(import_id: str) -> UUID:
    try:
        return UUID(import_id)
    except ValueError:
        raise _nothing(import_id) from None


def _packed(files: Mapping[str, bytes]) -> str:
    return json.dumps({name: base64.b64encode(key).decode() for name, key in files.items()})


def _record(row: asyncpg.Record) -> ImportRecord:
    counts: dict[str, int] = json.loads(row["counts"])
    files: dict[str, str] = json.loads(row["files"])
    return ImportRecord(
        import_id=str(row["import_id"]),
        created_by=row["created_by"],
        address=row["address"],
        gateway_id=row["gateway_id"],
        dry_run=row["dry_run"],
        state=ImportState(row["state"]),
        total=row["total"],
        counts={LineState(state): n for state, n in counts.items()},
        notes=row["notes"],
        code=row["code"],
        why=row["why"],
        digest=row["digest"],
        files={name: base64.b64decode(key) for name, key in files.items()},
        created_at=row["created_at"],
        finished_at=row["finished_at"],
    )

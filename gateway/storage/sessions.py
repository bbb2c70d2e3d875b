"""``ports.SessionStore`` and ``ports.ApiKeyStore`` in Postgres."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from gateway.domain.accounts import Account, ApiKey, Role
from gateway.domain.errors import InvalidInput
from gateway.ports.accounts import Told
from gateway.storage.accounts import ACCOUNT, record
from gateway.storage.pool import Database

_SEEN = "interval '1 minute'"
"""Use is noted at most so often: a busy program must not write a row a request."""
_KEY = """key_id, name, roles, scopes, created_by, created_at, expires_at, used_at,
revoked_at IS NOT NULL AS revoked"""


@dataclass(slots=True)
class PostgresSessions:
    """Who is signed in."""

    database: Database

    async def open(
        self, digest: bytes, account: Account, address: str, expires_at: datetime, told: Told
    ) -> bool:
        """Begin one, if the account is still so; those that have ended are cleared away."""
        async with self.database.transaction() as db:
            await db.execute("DELETE FROM sessions WHERE expires_at < now()")
            opened = await db.fetchval(
                "INSERT INTO sessions (digest, account_id, address, expires_at) "
                "SELECT $1, account_id, $3, $4 FROM accounts "
                "WHERE account_id = $2 AND version = $5 AND disabled_at IS NULL FOR SHARE RETURNING true",
                digest,
                UUID(account.account_id),
                address,
                expires_at,
                account.version,
            )
            if opened:
                await told()
        return bool(opened)

    async def account_of(self, digest: bytes, idle: timedelta) -> Account | None:
        """Whose session it is."""
        async with self.database.connection() as db:
            row = await db.fetchrow(
                f"SELECT {ACCOUNT}, s.seen_at < now() - {_SEEN} AS stale "  # noqa: S608
                "FROM sessions s JOIN accounts a USING (account_id) WHERE s.digest = $1 "
                "AND s.expires_at > now() AND s.seen_at > now() - $2::interval AND a.disabled_at IS NULL",
                digest,
                idle,
            )
            if row is not None and row["stale"]:
                await db.execute("UPDATE sessions SET seen_at = now() WHERE digest = $1", digest)
        return None if row is None else record(row)

    async def close(self, digest: bytes, told: Told) -> None:
        """End one. Idempotent."""
        async with self.database.transaction() as db:
            await db.execute("DELETE FROM sessions WHERE digest = $1", digest)
            await told()


@dataclass(slots=True)
class PostgresApiKeys:
    """Keys of programs."""

    database: Database

    async def keys(self) -> Sequence[ApiKey]:
        """All, newest first."""
        async with self.database.connection() as db:
            rows = await db.fetch(f"SELECT {_KEY} FROM api_keys ORDER BY created_at DESC, key_id")  # noqa: S608
        return [_key(row) for row in rows]

    async def create(self, key: ApiKey, digest: bytes, told: Told) -> None:
        """Raises InvalidInput (code "bad_text")."""
        try:
            async with self.database.transaction() as db:
                await db.execute(
                    "INSERT INTO api_keys (key_id, name, digest, roles, scopes, created_by, created_at, "
                    "expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
                    UUID(key.key_id),
                    key.name,
                    digest,
                    sorted(key.roles),
                    sorted(key.scopes),
                    key.created_by,
                    key.created_at,
                    key.expires_at,
                )
                await told()
        except asyncpg.DataError:
            raise InvalidInput("name: holds a character that cannot be stored", code="bad_text") from None

    async def revoke(self, key_id: str, told: Told) -> None:
        """Raises InvalidInput (code "no_such_key"). Idempotent."""
        try:
            which = UUID(key_id)
        except ValueError:
            raise _no_key() from None
        async with self.database.transaction() as db:
            done = await db.execute(
                "UPDATE api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE key_id = $1", which
            )
            if done != "UPDATE 1":
                raise _no_key()
            await told()

    async def by_digest(self, digest: bytes) -> ApiKey | None:
        """The key, if it may be used now."""
        async with self.database.connection() as db:
            row = await db.fetchrow(
                f"SELECT {_KEY}, coalesce(used_at < now() - {_SEEN}, true) AS stale FROM api_keys "  # noqa: S608
                "WHERE digest = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())",
                digest,
            )
            if row is not None and row["stale"]:
                await db.execute("UPDATE api_keys SET used_at = now() WHERE digest = $1", digest)
        return None if row is None else _key(row)


def _no_key() -> InvalidInput:
    return InvalidInput("there is no such API key", code="no_such_key")


def _key(row: asyncpg.Record) -> ApiKey:
    return ApiKey(
        key_id=str(row["key_id"]),
        name=row["name"],
        roles=frozenset(Role(r) for r in row["roles"]),
        scopes=frozenset(row["scopes"]),
        created_by=row["created_by"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        used_at=row["used_at"],
        revoked=row["revoked"],
    )

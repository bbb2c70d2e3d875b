"""``ports.AccountStore`` in Postgres."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from gateway.domain.accounts import Account, Attempt, Role
from gateway.domain.errors import InvalidInput, Rejected
from gateway.ports.accounts import AccountTold, Told
from gateway.storage.pool import Database
from gateway.storage.staff import Connection

ACCOUNT = """
a.account_id, a.login, a.name, a.roles, a.totp_sealed IS NOT NULL AS totp,
a.oidc_subject IS NOT NULL AS external,
a.disabled_at IS NOT NULL AS disabled, a.created_at, a.updated_at, a.version
"""
_COUNTED = """failures = failures + 1, locked_until = CASE WHEN failures < 4 THEN NULL
    ELSE now() + least(interval '15 minutes', interval '30 seconds' * power(2, least(failures - 4, 20)))
    END"""
"""From the fifth failure on the wait doubles: 30 s, 1 min, 2 min … 15 min (NIST SP 800-63B §5.2.2)."""
_COUNT = f"UPDATE accounts SET {_COUNTED} WHERE account_id = $1"  # noqa: S608
_COUNT_THERE = f"UPDATE proven_addresses SET {_COUNTED} WHERE account_id = $1 AND address = $2"  # noqa: S608
_BEGIN = f"""
SELECT {ACCOUNT}, a.password_hash, a.totp_sealed, a.totp_last_step, p.address IS NOT NULL AS known,
    coalesce(CASE WHEN p.address IS NULL THEN a.locked_until ELSE p.locked_until END > now(), false) AS locked
FROM accounts a LEFT JOIN proven_addresses p ON p.account_id = a.account_id AND p.address = $2
    AND p.proven_at > now() - interval '90 days'
WHERE lower(a.login) = lower($1) AND a.disabled_at IS NULL FOR UPDATE OF a
"""  # noqa: S608
_RIGHT = """
UPDATE accounts SET totp_last_step = coalesce($2, totp_last_step), password_hash = coalesce($3, password_hash)
WHERE account_id = $1 AND ($2::bigint IS NULL OR totp_last_step < $2)
"""
_RIGHT_AGAIN = """
UPDATE proven_addresses SET failures = 0, locked_until = NULL, proven_at = now()
WHERE account_id = $1 AND address = $2 AND proven_at > now() - interval '90 days'
"""
_RIGHT_FIRST = """
INSERT INTO proven_addresses (account_id, address) VALUES ($1, $2)
ON CONFLICT (account_id, address) DO UPDATE SET failures = 0, locked_until = NULL, proven_at = now()
"""

_CHANGE = """
UPDATE accounts SET name = coalesce($2, name), roles = coalesce($3, roles),
    disabled_at = CASE WHEN $4::boolean IS NULL THEN disabled_at WHEN $4 THEN now() END,
    password_hash = coalesce($5, password_hash),
    failures = CASE WHEN $5::text IS NULL THEN failures ELSE 0 END,
    locked_until = CASE WHEN $5::text IS NULL THEN locked_until END,
    totp_sealed = CASE WHEN $6 THEN NULL ELSE totp_sealed END,
    updated_at = now(), version = version + 1
WHERE account_id = $1
"""


@dataclass(slots=True)
class PostgresAccounts:
    """Who signs in."""

    database: Database

    async def accounts(self) -> Sequence[Account]:
        """All, by login."""
        async with self.database.connection() as db:
            rows = await db.fetch(f"SELECT {ACCOUNT} FROM accounts a ORDER BY lower(a.login)")  # noqa: S608
        return [record(row) for row in rows]

    async def account(self, account_id: str) -> Account:
        """Raises InvalidInput (code "no_such_account")."""
        async with self.database.connection() as db:
            return await _read(db, account_id)

    async def create(
        self, account: Account, password_hash: str | None, subject: str | None, told: AccountTold
    ) -> None:
        """Add one; see ``ports.AccountStore``."""
        try:
            async with self.database.transaction() as db:
                await db.execute(
                    "INSERT INTO accounts (account_id, login, name, password_hash, roles, oidc_subject) "
                    "VALUES ($1, $2, $3, $4, $5, $6)",
                    UUID(account.account_id),
                    account.login,
                    account.name,
                    password_hash,
                    sorted(account.roles),
                    subject,
                )
                await told(None, account)
        except asyncpg.UniqueViolationError:
            raise Rejected(
                "another account has this login; logins differ by more than case", code="login_taken"
            ) from None
        except asyncpg.DataError:
            raise InvalidInput("a text holds a character that cannot be stored", code="bad_text") from None

    async def change(
        self,
        account_id: str,
        *,
        expected_version: int | None,
        told: AccountTold,
        name: str | None = None,
        roles: frozenset[Role] | None = None,
        disabled: bool | None = None,
        password_hash: str | None = None,
        forget_totp: bool = False,
    ) -> Account:
        """Set what is given; see ``ports.AccountStore``."""
        async with self.database.transaction() as db:
            await db.execute(
                "LOCK TABLE accounts IN SHARE ROW EXCLUSIVE MODE"
            )  # the last administrator is counted
            before = await _read(db, account_id)
            if expected_version not in {None, before.version}:
                raise Rejected(
                    "somebody changed this account meanwhile; read it again and repeat the change",
                    code="version_differs",
                )
            await db.execute(
                _CHANGE,
                UUID(account_id),
                name,
                None if roles is None else sorted(roles),
                disabled,
                password_hash,
                forget_totp,
            )
            if password_hash is not None:
                await db.execute(
                    "UPDATE proven_addresses SET failures = 0, locked_until = NULL WHERE account_id = $1",
                    UUID(account_id),
                )
            after = await _read(db, account_id)
            if Role.ADMINISTRATOR in before.roles and not before.disabled:
                await _keep_an_administrator(db)
            if password_hash is not None or after.disabled or before.roles - after.roles:
                await db.execute("DELETE FROM sessions WHERE account_id = $1", UUID(account_id))
            await told(before, after)
            return after

    async def begin(self, login: str, address: str) -> Attempt | None:
        """A sign-in begins: it counts as failed until ``succeed``.

        Where the account has signed in before, it counts for that address alone; all others count together.
        """
        if "\x00" in login:
            return None
        async with self.database.transaction() as db:
            row = await db.fetchrow(_BEGIN, login, address)
            if row is None:
                return None
            if not row["locked"]:
                count = (
                    (_COUNT_THERE, row["account_id"], address)
                    if row["known"]
                    else (_COUNT, row["account_id"])
                )
                await db.execute(*count)
        return Attempt(
            account=record(row),
            password_hash=row["password_hash"],
            totp_sealed=row["totp_sealed"],
            totp_last_step=row["totp_last_step"],
            locked=row["locked"],
        )

    async def succeed(
        self, account_id: str, address: str, *, totp_step: int | None, password_hash: str | None
    ) -> bool:
        """It was right; False when this one-time code was used meanwhile."""
        who = UUID(account_id)
        async with self.database.transaction() as db:
            if await db.execute(_RIGHT, who, totp_step, password_hash) != "UPDATE 1":
                return False
            if await db.execute(_RIGHT_AGAIN, who, address) != "UPDATE 1":
                await db.execute("DELETE FROM proven_addresses WHERE proven_at < now() - interval '90 days'")
                await db.execute(_RIGHT_FIRST, who, address)
                await db.execute(
                    "UPDATE accounts SET failures = 0, locked_until = NULL WHERE account_id = $1", who
                )
        return True

    async def by_subject(self, subject: str) -> Account | None:
        """The account of somebody at the identity provider."""
        async with self.database.connection() as db:
            row = await db.fetchrow(
                f"SELECT {ACCOUNT} FROM accounts a WHERE a.oidc_subject = $1",  # noqa: S608
                subject,
            )
        return None if row is None else record(row)

    async def pend_totp(self, account_id: str, sealed: bytes) -> None:
        """A secret that is not proven yet."""
        async with self.database.connection() as db:
            await db.execute(
                "UPDATE accounts SET totp_pending = $2 WHERE account_id = $1", UUID(account_id), sealed
            )

    async def pending_totp(self, account_id: str) -> bytes | None:
        """The secret that is not proven yet."""
        async with self.database.connection() as db:
            sealed: bytes | None = await db.fetchval(
                "SELECT totp_pending FROM accounts WHERE account_id = $1", UUID(account_id)
            )
        return sealed

    async def adopt_totp(self, account_id: str, sealed: bytes, step: int, told: Told) -> bool:
        """It is proven; False when another one took its place meanwhile."""
        async with self.database.transaction() as db:
            done = await db.execute(
                "UPDATE accounts SET totp_sealed = totp_pending, totp_pending = NULL, totp_last_step = $2, "
                "version = version + 1, updated_at = now() WHERE account_id = $1 AND totp_pending = $3",
                UUID(account_id),
                step,
                sealed,
            )
            if done == "UPDATE 1":
                await told()
        return bool(done == "UPDATE 1")


async def _keep_an_administrator(db: Connection) -> None:
    left = await db.fetchval(
        "SELECT count(*) FROM accounts WHERE 'administrator' = ANY(roles) AND disabled_at IS NULL"
    )
    if not left:
        raise Rejected("this is the last administrator; make another one first", code="last_administrator")


async def _read(db: Connection, account_id: str) -> Account:
    try:
        who = UUID(account_id)
    except ValueError:
        who = None
    row = None
    if who is not None and str(who) == account_id:
        row = await db.fetchrow(f"SELECT {ACCOUNT} FROM accounts a WHERE a.account_id = $1", who)  # noqa: S608
    if row is None:
        raise InvalidInput(f"there is no account {account_id[:64]!r}", code="no_such_account")
    return record(row)


def record(row: asyncpg.Record) -> Account:
    """An account of a row with the columns of ``ACCOUNT``."""
    return Account(
        account_id=str(row["account_id"]),
        login=row["login"],
        name=row["name"],
        roles=frozenset(Role(r) for r in row["roles"]),
        totp=row["totp"],
        external=row["external"],
        disabled=row["disabled"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        version=row["version"],
    )

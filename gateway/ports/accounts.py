"""Accounts, sessions and keys, as the people's side needs them from outside."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from gateway.domain.accounts import Account, ApiKey, Attempt, Role

AccountTold = Callable[[Account | None, Account | None], Awaitable[None]]
"""Records a change (before, after) inside its transaction; what it raises undoes it."""
Told = Callable[[], Awaitable[None]]


class AccountStore(Protocol):
    """Who signs in."""

    async def accounts(self) -> Sequence[Account]:
        """All, by login."""
        ...

    async def account(self, account_id: str) -> Account:
        """Raises InvalidInput (code "no_such_account")."""
        ...

    async def create(
        self, account: Account, password_hash: str | None, subject: str | None, told: AccountTold
    ) -> None:
        """Raises Rejected (code "login_taken"), InvalidInput (code "bad_text")."""
        ...

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
        """Set what is given. A new password, fewer rights or an end close all sessions.

        Raises InvalidInput (code "no_such_account"); Rejected (code "version_differs", "last_administrator").
        """
        ...

    async def begin(self, login: str, address: str) -> Attempt | None:
        """A sign-in begins: it counts as failed until ``succeed``. None for a login nobody has.

        Where the account has signed in before, it counts for that address alone; all others count together.
        """
        ...

    async def succeed(
        self, account_id: str, address: str, *, totp_step: int | None, password_hash: str | None
    ) -> bool:
        """It was right. False when this one-time code was used meanwhile; a new hash replaces the old one."""
        ...

    async def by_subject(self, subject: str) -> Account | None:
        """The account of somebody at the identity provider."""
        ...

    async def pend_totp(self, account_id: str, sealed: bytes) -> None:
        """A secret that is not proven yet."""
        ...

    async def pending_totp(self, account_id: str) -> bytes | None:
        """The secret that is not proven yet."""
        ...

    async def adopt_totp(self, account_id: str, sealed: bytes, step: int, told: Told) -> bool:
        """It is proven: from now on signing in takes a code later than ``step``.

        False when another secret took its place meanwhile.
        """
        ...


class SessionStore(Protocol):
    """Who is signed in, by the digests of their tokens."""

    async def open(
        self, digest: bytes, account: Account, address: str, expires_at: datetime, told: Told
    ) -> bool:
        """Begin one; False when the account is not any more as it is given here."""
        ...

    async def account_of(self, digest: bytes, idle: timedelta) -> Account | None:
        """Whose session it is; None when it ended, was idle too long, or the account is disabled."""
        ...

    async def close(self, digest: bytes, told: Told) -> None:
        """End one. Idempotent."""
        ...


class ApiKeyStore(Protocol):
    """Keys of programs, by their digests."""

    async def keys(self) -> Sequence[ApiKey]:
        """All, newest first."""
        ...

    async def create(self, key: ApiKey, digest: bytes, told: Told) -> None:
        """Raises InvalidInput (code "bad_text")."""
        ...

    async def revoke(self, key_id: str, told: Told) -> None:
        """Raises InvalidInput (code "no_such_key"). Idempotent."""
        ...

    async def by_digest(self, digest: bytes) -> ApiKey | None:
        """The key, if it may be used now; notes at most once a minute that it was."""
        ...


class Passwords(Protocol):
    """Slow hashes of passwords."""

    async def hash(self, password: str) -> str:
        """With its salt and costs."""
        ...

    async def check(self, password_hash: str | None, password: str) -> tuple[bool, str | None]:
        """Whether it is right, and a new hash where the old one is too cheap.

        None is a login that does not exist: takes as long, and is never right.
        """
        ...


class OneTimeCodes(Protocol):
    """Time-based one-time codes (RFC 6238)."""

    def new_secret(self) -> bytes:
        """A random secret."""
        ...

    def uri(self, secret: bytes, login: str) -> str:
        """For an authenticator app."""
        ...

    def step(self, secret: bytes, code: str, unix_s: float) -> int | None:
        """The time step a code belongs to, now or one step off; None when it is wrong."""
        ...

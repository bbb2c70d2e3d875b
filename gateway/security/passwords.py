"""Password hashes: argon2id (RFC 9106) with the library's current costs."""

import asyncio
from dataclasses import dataclass, field

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

_AT_ONCE = 2
"""Each takes 64 MiB and a core for a while: a crowd at the door of the API must not take the machine."""


@dataclass(frozen=True, slots=True)
class ArgonPasswords:
    """``ports.Passwords``."""

    _hasher: PasswordHasher = field(default_factory=PasswordHasher)
    _turn: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE))
    _decoy: list[str] = field(default_factory=list)

    async def hash(self, password: str) -> str:
        """In argon2's own format."""
        async with self._turn:
            return await asyncio.to_thread(self._hasher.hash, password)

    async def check(self, password_hash: str | None, password: str) -> tuple[bool, str | None]:
        """Whether it is right; see ``ports.Passwords``."""
        if not self._decoy:
            self._decoy.append(await self.hash("nobody's"))
        async with self._turn:
            right = await asyncio.to_thread(self._matches, password_hash or self._decoy[0], password)
        if not right or password_hash is None:
            return False, None
        stale = self._hasher.check_needs_rehash(password_hash)
        return True, await self.hash(password) if stale else None

    def _matches(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except (VerificationError, InvalidHashError):
            return False

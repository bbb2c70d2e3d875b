"""Card digests (HMAC-SHA256, RFC 2104) and PIN hashes (argon2id, RFC 9106), each under a key of the site.

Ten thousand PINs are tried in an hour whatever the hash: without the site's key, which is not in the
database, there is nothing to try them against.
"""

import asyncio
import hashlib
import hmac
from dataclasses import dataclass, field

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from gateway.ports import SiteKeys

_AT_ONCE = 2
"""Each takes 64 MiB and a core for a while."""


@dataclass(frozen=True, slots=True)
class SiteCredentialSecrets:
    """``ports.CredentialSecrets``."""

    keys: SiteKeys
    _hasher: PasswordHasher = field(default_factory=PasswordHasher)
    _turn: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE))

    async def card_digest(self, number: str) -> bytes:
        """Of a number as ``domain.credentials.card_number`` gives it."""
        return hmac.digest(await self.keys.key("cards"), number.encode(), hashlib.sha256)

    async def pin_hash(self, pin: str) -> str:
        """In argon2's own format, with its salt and costs."""
        keyed = await self._keyed(pin)
        async with self._turn:
            return await asyncio.to_thread(self._hasher.hash, keyed)

    async def pin_matches(self, pin_hash: str, pin: str) -> bool:
        """Whether it is this PIN."""
        keyed = await self._keyed(pin)
        try:
            async with self._turn:
                return await asyncio.to_thread(self._hasher.verify, pin_hash, keyed)
        except (VerificationError, InvalidHashError):
            return False

    async def _keyed(self, pin: str) -> bytes:
        return hmac.digest(await self.keys.key("pins"), pin.encode(), hashlib.sha256)

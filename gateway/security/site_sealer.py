"""AES-256-GCM sealing under the site's own data keys, one a purpose (NIST SP 800-38D)."""

import secrets
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.domain.errors import SealBroken
from gateway.ports import SiteKeys

_FORMAT = b"\x01"
_NONCE = 12


@dataclass(frozen=True, slots=True)
class AesGcmSiteSealer:
    """``ports.SiteSealer``."""

    keys: SiteKeys

    async def seal(self, purpose: str, plain: bytes) -> bytes:
        """Seal bytes for one purpose."""
        nonce = secrets.token_bytes(_NONCE)
        cipher = AESGCM(await self.keys.key(purpose))
        return _FORMAT + nonce + cipher.encrypt(nonce, plain, purpose.encode())

    async def open(self, purpose: str, sealed: bytes) -> bytes:
        """Open sealed bytes. Raises SealBroken."""
        cipher = AESGCM(await self.keys.key(purpose))
        if sealed[:1] != _FORMAT:
            raise SealBroken(f"what was sealed for {purpose} is of an unknown format")
        try:
            return cipher.decrypt(sealed[1 : 1 + _NONCE], sealed[1 + _NONCE :], purpose.encode())
        except (InvalidTag, ValueError):
            raise SealBroken(
                f"what was sealed for {purpose} does not open: another key, or altered"
            ) from None

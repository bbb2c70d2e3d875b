"""AES-256-GCM sealing under the site's own data keys, one a purpose (NIST SP 800-38D)."""

from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.ports import SiteKeys
from gateway.security import boxes

_FORMAT = 1


@dataclass(frozen=True, slots=True)
class AesGcmSiteSealer:
    """``ports.SiteSealer``."""

    keys: SiteKeys

    async def seal(self, purpose: str, plain: bytes) -> bytes:
        """Seal bytes for one purpose."""
        return boxes.seal(_FORMAT, AESGCM(await self.keys.key(purpose)), plain, purpose.encode())

    async def open(self, purpose: str, sealed: bytes) -> bytes:
        """Open sealed bytes. Raises SealBroken."""
        return boxes.open_box(_FORMAT, AESGCM(await self.keys.key(purpose)), sealed, purpose.encode())

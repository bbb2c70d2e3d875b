"""AES-256-GCM boxes (NIST SP 800-38D; random 96-bit nonces).

A box is ``version byte || nonce (12) || ciphertext and tag``.
"""

import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.domain.errors import SealBroken

NONCE = 12
_TAG = 16


def bind(*parts: bytes) -> bytes:
    """What a box is bound to. Length before each part: no two different lists give the same bytes."""
    return b"".join(len(p).to_bytes(4, "big") + p for p in parts)


def seal(version: int, cipher: AESGCM, plain: bytes, bound_to: bytes) -> bytes:
    """Close a box."""
    nonce = secrets.token_bytes(NONCE)
    return bytes([version]) + nonce + cipher.encrypt(nonce, plain, bound_to)


def open_box(version: int, cipher: AESGCM, sealed: bytes, bound_to: bytes) -> bytes:
    """Inverse of ``seal``. Raises SealBroken."""
    if len(sealed) < 1 + NONCE + _TAG or sealed[0] != version:
        raise SealBroken("sealed data is cut off or of an unknown format")
    try:
        return cipher.decrypt(sealed[1 : 1 + NONCE], sealed[1 + NONCE :], bound_to)
    except InvalidTag:
        raise SealBroken(
            "sealed data does not open: another key, person, purpose or model, or it was altered"
        ) from None

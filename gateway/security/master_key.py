"""A master key: 32 random bytes that wrap all other keys."""

import hashlib
import hmac
from typing import NoReturn

from gateway.domain.keys import KeyId

LENGTH = 32


class MasterKey:
    """Wraps the per-person keys. Never shows its bytes. Alone, it is a ring of one (``wrapping.Keys``)."""

    __slots__ = ("_value", "key_id")

    key_id: KeyId
    """Names the key: eight bytes of an HMAC-SHA256 under it."""

    def __init__(self, value: bytes) -> None:
        """``value`` has 32 bytes."""
        if len(value) != LENGTH:
            raise ValueError(f"a master key has {LENGTH} bytes")
        self._value = value
        self.key_id = KeyId(hmac.digest(value, b"facegate master key", hashlib.sha256)[:8].hex())

    def reveal(self) -> bytes:
        """The bytes, for the cipher alone."""
        return self._value

    def wrapping(self) -> "MasterKey":
        """Itself."""
        return self

    def find(self, key_id: KeyId) -> "MasterKey | None":
        """Itself, if that is its name."""
        return self if key_id == self.key_id else None

    def every(self) -> "tuple[MasterKey, ...]":
        """Itself."""
        return (self,)

    def __repr__(self) -> str:
        return "MasterKey(…)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a master key is not handed to another process or written anywhere")

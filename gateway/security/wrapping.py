"""Keys under the master key: each person's, and the site's own.

A wrapped key of format 2 is ``2 || name of the master key (8) || nonce (12) || ciphertext and tag``. One of
format 1, from before master keys had names, is a box as any other and is tried with every key there is.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.domain.errors import SealBroken
from gateway.domain.keys import UNNAMED, KeyId, WrappedKey
from gateway.security import boxes
from gateway.security.master_key import MasterKey

KEY_BYTES = 32
PERSON, SITE = "person", "site"
NAMELESS = 1
NAMED = 2
_NAME = 8


class Keys(Protocol):
    """Where master keys come from; a lone ``MasterKey`` is one such."""

    def wrapping(self) -> MasterKey:
        """The one to wrap by."""
        ...

    def find(self, key_id: KeyId) -> MasterKey | None:
        """One by its name."""
        ...

    def every(self) -> Sequence[MasterKey]:
        """All, the likeliest first."""
        ...


def master_of(wrapped: bytes) -> KeyId:
    """The name of the master key that a wrapped key is under."""
    named = len(wrapped) > 1 + _NAME and wrapped[0] == NAMED
    return KeyId(wrapped[1 : 1 + _NAME].hex()) if named else UNNAMED


def wrap(keys: Keys, kind: str, name: str, plain: bytes) -> bytes:
    """Close a key so that it opens only as this kind and name."""
    master = keys.wrapping()
    box = boxes.seal(NAMED, AESGCM(master.reveal()), plain, binding(NAMED, kind, name, master.key_id))
    return box[:1] + bytes.fromhex(master.key_id) + box[1:]


def unwrap(keys: Keys, kind: str, name: str, wrapped: bytes) -> bytes:
    """Open a key. Raises SealBroken, with code "master_key_unknown" where its master key is not here."""
    if wrapped[:1] != bytes([NAMED]):
        return _nameless(keys, kind, name, wrapped)
    key_id = master_of(wrapped)
    master = keys.find(key_id)
    if master is None:
        raise SealBroken(
            f"wrapped by the master key {key_id or '(cut off)'}, which is not here", code="master_key_unknown"
        )
    box = wrapped[:1] + wrapped[1 + _NAME :]
    return boxes.open_box(NAMED, AESGCM(master.reveal()), box, binding(NAMED, kind, name, key_id))


def binding(version: int, kind: str, name: str, key_id: KeyId = UNNAMED) -> bytes:
    """What a wrapped key is bound to."""
    named = (bytes.fromhex(key_id),) if version == NAMED else ()
    return boxes.bind(f"{kind}-key".encode(), bytes([version]), *named, name.encode())


def _nameless(keys: Keys, kind: str, name: str, wrapped: bytes) -> bytes:
    for master in keys.every():
        try:
            return boxes.open_box(NAMELESS, AESGCM(master.reveal()), wrapped, binding(NAMELESS, kind, name))
        except SealBroken as error:
            why = error
    raise why


@dataclass(frozen=True, slots=True)
class KeyWrapping:
    """``ports.Wrapping``."""

    keys: Keys

    def new(self, kind: str, name: str) -> bytes:
        """A fresh key, wrapped."""
        return wrap(self.keys, kind, name, secrets.token_bytes(KEY_BYTES))

    def rewrap(self, key: WrappedKey) -> bytes:
        """Under the current master key. Raises SealBroken."""
        return wrap(self.keys, key.kind, key.name, unwrap(self.keys, key.kind, key.name, key.wrapped))

    def check(self, key: WrappedKey) -> None:
        """Raises SealBroken when it does not open."""
        unwrap(self.keys, key.kind, key.name, key.wrapped)

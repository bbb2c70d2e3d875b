"""What a key file says.

One line a key, in base64. A line alone is the current key, as it always was; while keys are being changed the
lines begin with what each is for: ``current``, ``next`` or ``old``.
"""

import base64
import binascii
from dataclasses import dataclass

from gateway.domain.keys import KeyId
from gateway.security.master_key import MasterKey

LONGEST = 2048
"""Bytes of a key file; more is something else."""
_MOST = 16


@dataclass(frozen=True, slots=True)
class Contents:
    """The keys of a file by what they are for."""

    current: MasterKey
    next: MasterKey | None = None
    old: tuple[MasterKey, ...] = ()

    def every(self) -> tuple[MasterKey, ...]:
        """The likeliest first."""
        return (self.current, *((self.next,) if self.next else ()), *self.old)

    def find(self, key_id: KeyId | None) -> MasterKey | None:
        """One by its name."""
        return next((key for key in self.every() if key.key_id == key_id), None)

    def with_next(self, key: MasterKey) -> "Contents":
        """Another next key."""
        return Contents(self.current, key, self.old)

    def promoted(self, key: MasterKey) -> "Contents":
        """One of them is the current key, the one before it old."""
        others = (self.current, *self.old)
        return Contents(key, self._next_but(key), tuple(k for k in others if k.key_id != key.key_id))

    def lone(self, key: MasterKey) -> "Contents":
        """Without any other but a next key: it may be about to become somebody's current one."""
        return Contents(key, self._next_but(key))

    def _next_but(self, key: MasterKey) -> MasterKey | None:
        return None if self.next is None or self.next.key_id == key.key_id else self.next

    def text(self) -> bytes:
        """As the file has it."""
        if self.next is None and not self.old:
            return _line(self.current)
        lines = [b"current " + _line(self.current)]
        lines += [b"next " + _line(self.next)] if self.next else []
        return b"".join(lines + [b"old " + _line(key) for key in self.old])


def parse(text: bytes) -> Contents | None:
    """None for what is no key file."""
    by_role: dict[bytes, list[MasterKey]] = {b"current": [], b"next": [], b"old": []}
    if len(text) > LONGEST:
        return None
    for line in text.strip().splitlines():
        role, _, key = line.strip().rpartition(b" ")
        try:
            by_role[role.strip() or b"current"].append(MasterKey(base64.b64decode(key, validate=True)))
        except (KeyError, binascii.Error, ValueError):
            return None
    names = [key.key_id for keys in by_role.values() for key in keys]
    if (
        len(by_role[b"current"]) != 1
        or len(by_role[b"next"]) > 1
        or not len(set(names)) == len(names) <= _MOST
    ):
        return None
    (current,) = by_role[b"current"]
    return Contents(current, next(iter(by_role[b"next"]), None), tuple(by_role[b"old"]))


def _line(key: MasterKey) -> bytes:
    return base64.b64encode(key.reveal()) + b"\n"

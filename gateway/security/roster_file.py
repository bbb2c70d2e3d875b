"""``ports.RosterCopy``: the roster sealed in two files of the state folder.

``roster.sealed`` is ``magic || length of the wrapped key (2) || wrapped key || box``; the box (AES-256-GCM)
holds MessagePack. Its key is made anew for every writing, and wrapped by the master key for this gateway.
``roster.stamp`` is a box under the same key with the time of the last confirmation, so that noting the time
does not mean writing megabytes every minute. A stamp of another writing does not open, and does not count.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.domain.errors import SealBroken, Unavailable
from gateway.domain.roster_copy import KeptRoster
from gateway.security import boxes, whole_files
from gateway.security.wrapping import Keys, KeyWrapping, master_of, unwrap

NAME, STAMP = "roster.sealed", "roster.stamp"
_MAGIC = b"facegate roster 1\n"
_FORMAT = 1
_KIND = "roster"
_LENGTH = 2
_MOST = 1 << 30
"""Bytes; a hundred times what ten thousand people need."""


class _Contents(msgspec.Struct, frozen=True):
    """What is in the box."""

    gateway_id: str
    roster: KeptRoster


@dataclass(slots=True)
class SealedRosterFile:
    """One gateway's copy. Its methods are called one at a time."""

    folder: Path
    gateway_id: str
    keys: Keys
    _wrapped: bytes = b""
    """Of what is on disk now, as far as this object knows."""
    _cipher: AESGCM | None = field(default=None, repr=False)

    @property
    def path(self) -> Path:
        """The file with the people."""
        return self.folder / NAME

    def read(self) -> KeptRoster | None:
        """See ``ports.RosterCopy``."""
        sealed = _content(self.path)
        if sealed is None:
            return None
        wrapped, box = _split(sealed)
        cipher = AESGCM(unwrap(self.keys, _KIND, self.gateway_id, wrapped))
        plain = boxes.open_box(_FORMAT, cipher, box, self._binding(wrapped))
        try:
            contents = msgspec.msgpack.decode(plain, type=_Contents)
        except msgspec.DecodeError:
            raise SealBroken("the sealed roster is of an unknown format") from None
        if contents.gateway_id != self.gateway_id:
            raise SealBroken("the sealed roster is another gateway's")
        self._wrapped, self._cipher = wrapped, cipher
        kept = contents.roster
        stamp = self._stamp(cipher)
        if stamp is not None and stamp > kept.confirmed_at:
            kept = replace(kept, confirmed_at=stamp)
        return kept

    def write(self, kept: KeptRoster) -> None:
        """See ``ports.RosterCopy``."""
        wrapped = KeyWrapping(self.keys).new(_KIND, self.gateway_id)
        cipher = AESGCM(unwrap(self.keys, _KIND, self.gateway_id, wrapped))
        plain = msgspec.msgpack.encode(_Contents(self.gateway_id, kept))
        box = boxes.seal(_FORMAT, cipher, plain, self._binding(wrapped))
        head = _MAGIC + len(wrapped).to_bytes(_LENGTH, "big") + wrapped
        self._put(self.path, head + box)
        self._wrapped, self._cipher = wrapped, cipher

    def confirm(self, at: datetime) -> None:
        """See ``ports.RosterCopy``."""
        if self._cipher is not None:
            plain = msgspec.msgpack.encode(at)
            self._put(self.folder / STAMP, boxes.seal(_FORMAT, self._cipher, plain, _STAMPED))

    def stale(self) -> bool:
        """See ``ports.RosterCopy``."""
        return bool(self._wrapped) and master_of(self._wrapped) != self.keys.wrapping().key_id

    def remove(self) -> None:
        """See ``ports.RosterCopy``."""
        try:
            for name in (NAME, STAMP):
                whole_files.remove(self.folder / name)
        except OSError as error:
            raise _unwritable(error) from None
        self._wrapped, self._cipher = b"", None

    def _stamp(self, cipher: AESGCM) -> datetime | None:
        """None where there is none of this writing: then the time of the writing counts, which is earlier."""
        try:
            sealed = _content(self.folder / STAMP)
            if sealed is None:
                return None
            return msgspec.msgpack.decode(boxes.open_box(_FORMAT, cipher, sealed, _STAMPED), type=datetime)
        except (SealBroken, Unavailable, msgspec.DecodeError):
            return None

    def _binding(self, wrapped: bytes) -> bytes:
        return boxes.bind(_MAGIC, self.gateway_id.encode(), wrapped)

    def _put(self, path: Path, content: bytes) -> None:
        try:
            whole_files.sweep(path)
            whole_files.put(path, content, replace=True)
        except OSError as error:
            raise _unwritable(error) from None


_STAMPED = boxes.bind(b"facegate roster stamp 1")


def _content(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            return file.read(_MOST)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Unavailable(f"{path}: the sealed roster cannot be read ({error.strerror})") from None


def _split(sealed: bytes) -> tuple[bytes, bytes]:
    start = len(_MAGIC) + _LENGTH
    end = start + int.from_bytes(sealed[len(_MAGIC) : start], "big")
    if not sealed.startswith(_MAGIC) or len(sealed) < end:
        raise SealBroken("the sealed roster is cut off or of an unknown format")
    return sealed[start:end], sealed[end:]


def _unwritable(error: OSError) -> Unavailable:
    return Unavailable(f"the sealed roster cannot be written ({error.strerror})", code="roster_not_kept")

"""Files sealed while they arrive: uploads wait on disk without a plain byte of them.

A file is ``magic (8) || chunk || chunk …``; a chunk is 64 KiB of the content (the last one less) under
AES-256-GCM with its 16-byte tag. The key is made for this one file, so that the nonce can be the chunk's
number and whether it is the last one (the STREAM construction of Hoang, Reyhanitabar, Rogaway, Vizár 2015):
chunks that are altered, exchanged, left out or cut off do not open. The key itself is wrapped under a key of
the site and kept elsewhere (with the import): destroying either makes the file unreadable.
"""

import asyncio
import io
import os
import re
import secrets
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.domain.errors import InvalidInput, InvariantBroken, SealBroken, Unavailable
from gateway.ports import SiteKeys

CHUNK = 65_536
SITE_KEY = "imports"
RESERVE_BYTES = 1_000_000_000
"""Left free on the disk: the journal is on it too, and without the journal no door opens."""
_MAGIC = b"FGSPOOL1"
_TAG = 16
_NONCE = 12
_SEALED = CHUNK + _TAG
_NAME = re.compile(r"[A-Za-z0-9-]+\.[a-z]+")
_LOOK_EVERY = 256
"""Chunks between two looks at the free space."""


@dataclass(frozen=True, slots=True)
class SealedFolder:
    """``ports.SealedFiles`` in a folder of the state folder."""

    folder: Path
    keys: SiteKeys
    reserve_bytes: int = RESERVE_BYTES
    free: Callable[[Path], int] = field(default=lambda path: shutil.disk_usage(path).free)

    async def begin(self, name: str) -> "Writer":
        """A new file."""
        path = self._path(name)
        wrap = AESGCM(await self.keys.key(SITE_KEY))
        return await asyncio.to_thread(Writer.make, self, path, wrap)

    async def open(self, name: str, wrapped_key: bytes) -> BinaryIO:
        """For reading. Raises SealBroken; InvalidInput (code "file_gone")."""
        path = self._path(name)
        cipher = _unwrap(AESGCM(await self.keys.key(SITE_KEY)), wrapped_key, name)
        return await asyncio.to_thread(_opened, path, cipher)

    async def destroy(self, name: str) -> None:
        """Idempotent."""
        await asyncio.to_thread(self._path(name).unlink, missing_ok=True)

    async def keep_only(self, names: frozenset[str]) -> int:
        """Destroy all others."""
        return await asyncio.to_thread(self._sweep, names)

    def _sweep(self, names: frozenset[str]) -> int:
        if not self.folder.is_dir():
            return 0
        old = [p for p in self.folder.iterdir() if p.name not in names]
        for path in old:
            path.unlink(missing_ok=True)
        return len(old)

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise InvariantBroken(f"{name!r} is no name for a sealed file", code="bad_file_name")
        return self.folder / name

    def check_space(self) -> None:
        """Raises Unavailable (code "disk_full")."""
        if self.free(self.folder) < self.reserve_bytes:
            raise Unavailable(
                "the gateway's disk has too little room for this upload; free some, or give less at once",
                code="disk_full",
            )


class Writer:
    """``ports.SealedWriter``. Holds at most one chunk and what was given last."""

    def __init__(self, home: SealedFolder, path: Path, wrap: AESGCM, file: BinaryIO) -> None:
        """``file`` is empty and open for writing."""
        key = secrets.token_bytes(32)
        self._home, self._path, self._file = home, path, file
        self._wrapped = _seal(wrap, key, _binding(path.name))
        self._cipher = AESGCM(key)
        self._waiting = bytearray()
        self._count = 0

    @classmethod
    def make(cls, home: SealedFolder, path: Path, wrap: AESGCM) -> "Writer":
        """Raises Unavailable (code "disk_full")."""
        try:
            home.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            home.check_space()
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            file = os.fdopen(handle, "wb")
            file.write(_MAGIC)
        except OSError as error:
            raise _unwritable(error) from None
        return cls(home, path, wrap, file)

    async def write(self, data: bytes) -> None:
        """More of the content. Raises Unavailable (code "disk_full")."""
        self._waiting += data
        if len(self._waiting) > CHUNK:
            await asyncio.to_thread(self._put_full)

    async def finish(self) -> bytes:
        """Sealed to the end and synced; returns the wrapped key."""
        await asyncio.to_thread(self._end)
        return self._wrapped

    async def abandon(self) -> None:
        """Away with it. Idempotent."""
        await asyncio.to_thread(self._drop)

    def _put_full(self) -> None:
        """All whole chunks but the last: that one is sealed as such."""
        try:
            at = 0
            while len(self._waiting) - at > CHUNK:
                self._put(bytes(self._waiting[at : at + CHUNK]), last=False)
                at += CHUNK
            del self._waiting[:at]
        except OSError as error:
            raise _unwritable(error) from None

    def _put(self, plain: bytes, *, last: bool) -> None:
        if self._count % _LOOK_EVERY == 0:
            self._home.check_space()
        self._file.write(self._cipher.encrypt(_nonce(self._count, last=last), plain, _MAGIC))
        self._count += 1

    def _end(self) -> None:
        self._put_full()
        try:
            self._put(bytes(self._waiting), last=True)
            self._waiting.clear()
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
        except OSError as error:
            raise _unwritable(error) from None

    def _drop(self) -> None:
        self._waiting.clear()
        try:
            self._file.close()
        except OSError:  # what could not be written is unwanted anyhow
            pass
        finally:
            self._path.unlink(missing_ok=True)


class _Reader(io.RawIOBase):
    """The content of a sealed file, one opened chunk in memory."""

    def __init__(self, file: BinaryIO, cipher: AESGCM) -> None:
        self._file, self._cipher = file, cipher
        sealed = file.seek(0, 2) - len(_MAGIC)
        whole, rest = divmod(sealed, _SEALED)
        self._chunks = whole + (rest > 0)
        file.seek(0)
        if file.read(len(_MAGIC)) != _MAGIC or sealed < _TAG or 0 < rest < _TAG:
            raise SealBroken("a sealed file is cut off or none of ours")
        self._size = sealed - _TAG * self._chunks
        self._at = 0
        self._open_chunk = (-1, b"")
        self._chunk(self._chunks - 1)  # the end is where it should be

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        base = (0, self._at, self._size)[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: "bytearray | memoryview") -> int:  # type: ignore[override]
        if self._at >= self._size:
            return 0
        number, start = divmod(self._at, CHUNK)
        piece = self._chunk(number)[start : start + len(buffer)]
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
            self._open_chunk = (-1, b"")
        super().close()

    def _chunk(self, number: int) -> bytes:
        if self._open_chunk[0] != number:
            self._file.seek(len(_MAGIC) + number * _SEALED)
            sealed = self._file.read(_SEALED)
            try:
                plain = self._cipher.decrypt(_nonce(number, last=number == self._chunks - 1), sealed, _MAGIC)
            except InvalidTag:
                raise SealBroken("a sealed file does not open: another key, altered or cut off") from None
            self._open_chunk = (number, plain)
        return self._open_chunk[1]


def _opened(path: Path, cipher: AESGCM) -> BinaryIO:
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise InvalidInput(
            "the uploaded files are no longer on this gateway; upload them again", code="file_gone"
        ) from None
    except OSError as error:
        raise Unavailable(f"a sealed file cannot be read ({error.strerror})") from None
    try:
        return io.BufferedReader(_Reader(file, cipher), CHUNK)
    except SealBroken:
        file.close()
        raise


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(_NONCE - 1, "big") + bytes([last])


def _binding(name: str) -> bytes:
    return b"facegate spool 1 " + name.encode()


def _seal(wrap: AESGCM, key: bytes, bound_to: bytes) -> bytes:
    nonce = secrets.token_bytes(_NONCE)
    return nonce + wrap.encrypt(nonce, key, bound_to)


def _unwrap(wrap: AESGCM, wrapped: bytes, name: str) -> AESGCM:
    try:
        return AESGCM(wrap.decrypt(wrapped[:_NONCE], wrapped[_NONCE:], _binding(name)))
    except (InvalidTag, ValueError):
        raise SealBroken("the key of a sealed file does not open: another site key, or altered") from None


def _unwritable(error: OSError) -> Unavailable:
    return Unavailable(f"the upload cannot be kept ({error.strerror})", code="disk_full")

"""The master key: 32 random bytes in a file only its owner can read."""

import base64
import binascii
import contextlib
import os
import secrets
import stat
from pathlib import Path
from typing import NoReturn

from gateway.domain.errors import ConfigError

LENGTH = 32
_LONGEST = 256
"""Bytes of a key file; more is something else."""


class MasterKey:
    """Wraps the per-person keys. Never shows its bytes."""

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        """``value`` has 32 bytes."""
        if len(value) != LENGTH:
            raise ValueError(f"a master key has {LENGTH} bytes")
        self._value = value

    def reveal(self) -> bytes:
        """The bytes, for the cipher alone."""
        return self._value

    def __repr__(self) -> str:
        return "MasterKey(…)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a master key is not handed to another process or written anywhere")


def read(path: Path) -> MasterKey:
    """Read an existing key. Raises ConfigError: missing, open to others, malformed."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(_LONGEST + 1)
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: the master key is missing; without it no template opens. Put it back from your backup, "
            "or enrol everyone anew in a new state folder",
            code="master_key_missing",
        ) from None
    except OSError as error:
        raise ConfigError(f"{path}: the master key cannot be read ({error.strerror})") from error
    if stat.S_IMODE(mode) & 0o077:
        raise ConfigError(
            f"{path}: others may read or change the master key (mode {stat.S_IMODE(mode):04o}); "
            f"`chmod 600 {path}`, and think about who could have copied it",
            code="master_key_exposed",
        )
    try:
        whole = text.strip() if len(text) <= _LONGEST else b""
        return MasterKey(base64.b64decode(whole, validate=True))
    except (binascii.Error, ValueError):
        raise ConfigError(
            f"{path}: not a master key; put it back from your backup", code="master_key_malformed"
        ) from None


def read_or_make(path: Path, *, in_use: bool) -> MasterKey:
    """Read the key, or make one on first start. ``in_use``: people are enrolled under one already.

    Then a missing file is an error (ConfigError), never a reason for a new key.
    """
    if not in_use and not os.path.lexists(path):
        try:
            _make(path)
        except OSError as error:
            raise ConfigError(
                f"{path}: a master key cannot be made here ({error.strerror}); the state folder must be a "
                "local folder that this user may write"
            ) from error
    return read(path)


def _make(path: Path) -> None:
    """Whole and synced, or not at all; when two processes do it at once, the first one's counts."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(base64.b64encode(secrets.token_bytes(LENGTH)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(part, path)
    finally:
        part.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)

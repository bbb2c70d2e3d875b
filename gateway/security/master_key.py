"""The master key: 32 random bytes in a file only its owner can read."""

import base64
import binascii
import os
import secrets
import stat
from pathlib import Path

from gateway.domain.errors import ConfigError

LENGTH = 32


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


def read(path: Path) -> MasterKey:
    """Read an existing key. Raises ConfigError: missing, readable by others, malformed."""
    try:
        mode = path.stat().st_mode
        text = path.read_text("ascii")
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: the master key is missing; without it no template opens. Put it back from your backup, "
            "or enrol everyone anew in a new state folder",
            code="master_key_missing",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: the master key cannot be read ({error})") from error
    if stat.S_IMODE(mode) & 0o077:
        raise ConfigError(
            f"{path}: others may read the master key (mode {stat.S_IMODE(mode):04o}); `chmod 600 {path}`, "
            "and think about who could have copied it",
            code="master_key_exposed",
        )
    try:
        return MasterKey(base64.b64decode(text.strip(), validate=True))
    except (binascii.Error, ValueError):
        raise ConfigError(f"{path}: not a master key; put it back from your backup") from None


def read_or_make(path: Path, *, in_use: bool) -> MasterKey:
    """Read the key, or make one on first start. ``in_use``: people are enrolled under one already.

    Then a missing file is an error (ConfigError), never a reason for a new key.
    """
    if path.exists() or in_use:
        return read(path)
    text = base64.b64encode(secrets.token_bytes(LENGTH)) + b"\n"
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.link(part, path)  # fails if another process was first: then that one's key counts
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except FileExistsError:
        pass
    finally:
        part.unlink(missing_ok=True)
    return read(path)

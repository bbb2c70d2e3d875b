"""Writing a file of keys: whole and synced, or not at all; for its owner alone."""

import contextlib
import os
import secrets
from pathlib import Path

from gateway.domain.errors import ConfigError


def put(path: Path, text: bytes, *, replace: bool) -> None:
    """Write a file. Without ``replace`` the first one to write it counts; raises ConfigError.

    A file that is replaced keeps its owner: root may change the keys of a gateway that runs as another user.
    """
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        owner = path.stat() if replace else None
        try:
            _write(part, text, owner)
            if replace:
                part.replace(path)
            else:
                with contextlib.suppress(FileExistsError):
                    os.link(part, path)
        finally:
            part.unlink(missing_ok=True)
        _sync_folder(path.parent)
    except OSError as error:
        raise ConfigError(
            f"{path}: a master key cannot be {'changed' if replace else 'made'} here ({error.strerror}); it "
            "must be in a local folder that this user may write"
        ) from error


def _write(part: Path, text: bytes, owner: os.stat_result | None) -> None:
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        if owner is not None and (owner.st_uid, owner.st_gid) != (os.geteuid(), os.getegid()):
            os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

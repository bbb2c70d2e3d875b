"""Writing a file whole and synced, or not at all; for its owner alone."""

import contextlib
import os
import re
import secrets
from pathlib import Path


def put(path: Path, content: bytes, *, replace: bool) -> None:
    """Write a file. Without ``replace`` the first one to write it counts. Raises OSError.

    A file that is replaced keeps its owner: root may change what a gateway wrote that runs as another user.
    A killed process leaves a part behind; see ``sweep``.
    """
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    owner = path.stat() if replace and path.exists() else None
    try:
        _write(part, content, owner)
        if replace:
            part.replace(path)
        else:
            with contextlib.suppress(FileExistsError):
                os.link(part, path)
    finally:
        part.unlink(missing_ok=True)
    _sync_folder(path.parent)


def remove(path: Path) -> None:
    """Take a file away, and its parts. Raises OSError. Idempotent."""
    path.unlink(missing_ok=True)
    sweep(path)
    _sync_folder(path.parent)


def sweep(path: Path) -> None:
    """Take away the parts of killed writers; nobody may be writing now. Raises OSError."""
    part = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{8}}")
    for other in path.parent.iterdir():
        if part.fullmatch(other.name):
            other.unlink(missing_ok=True)


def _write(part: Path, content: bytes, owner: os.stat_result | None) -> None:
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        if owner is not None and (owner.st_uid, owner.st_gid) != (os.geteuid(), os.getegid()):
            os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

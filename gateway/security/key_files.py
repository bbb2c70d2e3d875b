"""The file of keys on disk: read only where nobody else may; written whole and synced, or not at all."""

import contextlib
import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from gateway.domain.errors import ConfigError
from gateway.security import whole_files

Stamp = tuple[int, ...]
"""Another one when the file was changed or replaced."""


def stamp(path: Path) -> Stamp:
    """Of the file as it is now. Raises ConfigError."""
    try:
        return _stamp(path.stat())
    except OSError as error:
        raise _unreadable(path, error) from None


def read(path: Path, longest: int, *, group: bool) -> tuple[bytes, Stamp]:
    """Up to ``longest`` bytes and one more. ``group``: its group may read it.

    Raises FileNotFoundError; ConfigError (codes "master_key_unreadable", "master_key_exposed").
    """
    try:
        # Without waiting: a pipe with nobody at its other end would hold up the start for ever.
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            found = os.fstat(handle)
            text = os.read(handle, longest + 1) if stat.S_ISREG(found.st_mode) else None
        finally:
            os.close(handle)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _unreadable(path, error) from None
    if text is None:
        raise ConfigError(f"{path}: the master key must be in a plain file", code="master_key_unreadable")
    mode = stat.S_IMODE(found.st_mode)
    if mode & (0o037 if group else 0o077):
        raise ConfigError(
            f"{path}: others may read or change the master key (mode {mode:04o}); "
            f"`chmod 600 {path}`, and think about who could have copied it",
            code="master_key_exposed",
        )
    return text, _stamp(found)


@contextlib.contextmanager
def alone(path: Path) -> Iterator[Path]:
    """The file behind ``path``, for one process at a time. Raises ConfigError.

    A link is followed: replacing the link itself would leave the old keys where they are.
    """
    real = Path(os.path.realpath(path))
    try:
        folder = os.open(real.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
        except OSError:
            os.close(folder)
            raise
    except OSError as error:
        raise _unwritable(real, error) from error
    try:
        yield real
    finally:
        os.close(folder)


def put(path: Path, text: bytes, *, replace: bool) -> None:
    """Write a file, inside ``alone``. Without ``replace`` the first one counts; raises ConfigError.

    A file that is replaced keeps its owner: root may change the keys of a gateway that runs as another user.
    What a killed process left half done is removed: it holds keys.
    """
    try:
        whole_files.sweep(path)
        whole_files.put(path, text, replace=replace)
    except OSError as error:
        raise _unwritable(path, error) from error


def _stamp(found: os.stat_result) -> Stamp:
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size


def _unreadable(path: Path, error: OSError) -> ConfigError:
    return ConfigError(
        f"{path}: the master key cannot be read ({error.strerror}); the user that runs Facegate must own "
        "the file and be able to reach it",
        code="master_key_unreadable",
    )


def _unwritable(path: Path, error: OSError) -> ConfigError:
    return ConfigError(
        f"{path}: a master key cannot be made or changed here ({error.strerror}); it must be in a local "
        "folder that this user may write",
        code="master_key_unwritable",
    )

"""Writing a file of keys: whole and synced, or not at all; for its owner alone."""

from pathlib import Path

from gateway.domain.errors import ConfigError
from gateway.security import whole_files


def put(path: Path, text: bytes, *, replace: bool) -> None:
    """Write a file. Without ``replace`` the first one to write it counts; raises ConfigError."""
    try:
        whole_files.put(path, text, replace=replace)
    except OSError as error:
        raise ConfigError(
            f"{path}: a master key cannot be {'changed' if replace else 'made'} here ({error.strerror}); it "
            "must be in a local folder that this user may write"
        ) from error

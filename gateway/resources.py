"""Where the data files that ship with Facegate are: config/ and schemas/."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def data(relative: str) -> Path:
    """Path of a shipped data file or folder, such as ``schemas/sql``.

    In a wheel they lie in ``gateway/_data``, in a checkout beside the package. Raises FileNotFoundError.
    """
    for root in (_PACKAGE / "_data", _PACKAGE.parent):
        found = root / relative
        if found.exists():
            return found
    msg = f"{relative} is missing from this installation; install facegate again"
    raise FileNotFoundError(msg)

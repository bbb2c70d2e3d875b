"""What a thief of disks and dumps would look for, and where it is found."""

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gateway.storage.pool import Database

DIMENSIONS = 128
_NOT_ZERO = 1e-4

_MAGIC = {
    "JPEG": re.compile(rb"\xff\xd8\xff(?:\xe0\x00\x10JFIF|\xe1..Exif|\xdb\x00[\x43\x84])", re.DOTALL),
    "PNG": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "WebP": re.compile(rb"RIFF.{4}WEBPVP8", re.DOTALL),
    "picture in base64": re.compile(rb"/9j/4AAQSkZJRg|/9j/2wBD|iVBORw0KGgo|UklGR.{6}XRUJQVlA4"),
    "picture in hex": re.compile(rb"ffd8ffe000104a464946|ffd8ffdb0043|89504e470d0a1a0a", re.IGNORECASE),
}
_NUMBERS = re.compile(rb"(?:[-+]?\d*\.\d{2,}(?:e[-+]?\d+)?[\s,;\[\]]+){24,}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Secret:
    """Something that must not be found, in every spelling that it could be found in."""

    what: str
    spellings: tuple[bytes, ...]
    personal: bool = False
    """A name or the like: the people table is where it belongs."""


def secret(what: str, raw: bytes) -> Secret:
    """Bytes: as they are, in hex, in base64 wherever they begin."""
    return Secret(what, tuple(_spelt(raw)))


def word(what: str, text: str) -> Secret:
    """A text that nobody may read anywhere: a token, a card's number."""
    return Secret(what, (*_spelt(text.encode()), text.encode("utf-16-le")))


def personal(what: str, text: str) -> Secret:
    """A text that is about somebody."""
    return Secret(what, word(what, text).spellings, personal=True)


def template(what: str, embedding: np.ndarray) -> Secret:
    """Any four components in a row of a vector, in either width and byte order."""
    spellings: list[bytes] = []
    for kind in ("<f4", "<f8", ">f4", ">f8"):
        raw = embedding.astype(kind).tobytes()
        part = 4 * np.dtype(kind).itemsize
        spellings += [raw[at : at + part] for at in range(0, len(raw) - part + 1, part)]
        spellings += _spelt(raw[: 3 * part])
    spellings += [", ".join(f"{x:.5f}" for x in embedding[:4]).encode()]
    spellings += [", ".join(repr(float(x)) for x in embedding[:4]).encode()]
    return Secret(what, tuple(spellings))


def picture(what: str, data: bytes) -> Secret:
    """Pieces out of the middle of a picture's file: its head may have been written anew."""
    places = [len(data) * k // 8 for k in range(1, 8)]
    return Secret(what, tuple(s for at in places for s in _spelt(data[at : at + 24])))


def _spelt(raw: bytes) -> Iterator[bytes]:
    yield raw
    yield raw.hex().encode()
    yield raw.hex().upper().encode()
    for lead in range(3):
        text = base64.b64encode(bytes(lead) + raw)
        whole = text[(0, 2, 3)[lead] : len(text) - (4 if (lead + len(raw)) % 3 else 0)]
        yield whole
        yield whole.translate(bytes.maketrans(b"+/", b"-_"))


@dataclass(frozen=True, slots=True)
class Found:
    """What was found where."""

    what: str
    place: str


def found(content: bytes, place: str, secrets: Iterable[Secret]) -> Iterator[Found]:
    """Which of the secrets are in it, and whatever else looks like a face or a picture."""
    for one in secrets:
        if any(spelling in content for spelling in one.spellings):
            yield Found(one.what, place)
    for kind, pattern in _MAGIC.items():
        if pattern.search(content):
            yield Found(kind, place)
    if _NUMBERS.search(content):
        yield Found("a row of numbers", place)
    if any(has_vector(content, kind) for kind in ("<f4", "<f8")):
        yield Found("a vector of unit length", place)


def has_vector(content: bytes, kind: str) -> bool:
    """Whether some 128 numbers in a row look like a template: of unit length, and none of them empty."""
    size = np.dtype(kind).itemsize
    for start in range(size if len(content) >= DIMENSIONS * size else 0):
        end = start + (len(content) - start) // size * size
        with np.errstate(all="ignore"):  # most of what is read is no number
            values = np.frombuffer(content[start:end], kind).astype(np.float64)
        sound = np.abs(values) <= 1.0  # nor is what is not a number at all
        values = np.where(sound, values, 0.0)
        square = _windows(np.where(sound, np.square(values), 100.0))
        filled = _windows((np.abs(values) > _NOT_ZERO).astype(np.float64))
        if ((np.abs(square - 1.0) < 0.02) & (filled > DIMENSIONS * 3 // 4)).any():
            return True
    return False


def _windows(values: np.ndarray) -> np.ndarray:
    sums = np.concatenate(([0.0], np.cumsum(values)))
    return sums[DIMENSIONS:] - sums[:-DIMENSIONS]


Row = tuple[str, Mapping[str, object]]
"""A table and one of its rows."""


async def rows(database: Database) -> list[Row]:
    """Every row of every table there is, whoever added it."""
    async with database.connection() as db:
        tables = await db.fetch(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1"
        )
        return [
            (table["table_name"], dict(row))
            for table in tables
            for row in await db.fetch(f'SELECT * FROM "{table["table_name"]}"')  # noqa: S608
        ]


def flat(row: Mapping[str, object]) -> bytes:
    """A row's values one after the other, bytes as they are."""
    return b"\n".join(v if isinstance(v, bytes) else str(v).encode() for v in row.values())


def files(folder: Path) -> dict[Path, bytes]:
    """Everything below a folder, without the empty ends of files that were made larger than needed."""
    return {path: path.read_bytes().rstrip(b"\0") for path in sorted(folder.rglob("*")) if path.is_file()}

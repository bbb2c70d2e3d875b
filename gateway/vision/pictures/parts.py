"""What the three formats share: limits, refusals, orientation."""

import struct
from dataclasses import dataclass
from enum import StrEnum

from gateway.domain.errors import InvalidInput

MOST_BYTES = 20_000_000
MOST_PIXELS = 50_000_000
MOST_DECODED = 160_000_000
"""Bytes a decoder may fill: 50 megapixels in three colours, fewer where the coding needs more a pixel."""
LONGEST_SIDE = 16_384
MOST_PARTS = 10_000
"""Chunks or segments of one file."""
UPRIGHT = 1
_ORIENTATION = 0x0112
_SHORT, _LONG = 3, 4
_MOST_ENTRIES = 512
_PADDING = b"\0\xff\r\n \t"


class Kind(StrEnum):
    """Media types that are taken."""

    JPEG = "image/jpeg"
    PNG = "image/png"
    WEBP = "image/webp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """A file that is whole as far as its structure tells."""

    kind: Kind
    width: int
    height: int
    """In pixels as stored, before it is turned upright."""
    orientation: int
    """EXIF 2.3, table 6: 1 (upright) to 8."""
    alpha: bool
    bytes_a_pixel: int
    """What a decoder needs for each."""
    clean: bytes
    """The picture alone: the parts that code its pixels, and its orientation."""


def refused(code: str, message: str) -> InvalidInput:
    """The one error of these modules."""
    return InvalidInput(message, code=code)


def damaged(what: str = "the picture is damaged or cut off") -> InvalidInput:
    """The file ends early, or contradicts itself."""
    return refused("damaged", f"{what}; copy it again from where it came from")


def too_complex() -> InvalidInput:
    """More parts than any camera or program writes."""
    return refused("too_complex", "the file is made of far too many parts; save it again as JPEG")


def unsupported(what: str) -> InvalidInput:
    """A coding that no camera uses."""
    return refused("unsupported_coding", f"{what} is not taken; save it again as JPEG")


def animated() -> InvalidInput:
    """More than one picture in the file."""
    return refused("animated", "the picture moves; give one that stands still")


def check_end(rest: bytes) -> None:
    """Nothing but padding may stand behind a picture: what does is another file, hidden behind this one."""
    if rest.strip(_PADDING):
        raise refused(
            "appended_data",
            "something else is appended to the picture (a film, an archive, a document); save it again as a "
            "picture alone",
        )


def orientation(tiff: bytes) -> int:
    """The orientation an EXIF block names; upright where it names none, or nothing that makes sense.

    TIFF 6.0: byte order, 42, offset of the first directory; entries of tag, type, count, value.
    """
    tiff = tiff.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None or len(tiff) < 10:
        return UPRIGHT
    (at,) = struct.unpack_from(f"{order}I", tiff, 4)
    if at + 2 > len(tiff):
        return UPRIGHT
    (entries,) = struct.unpack_from(f"{order}H", tiff, at)
    for i in range(min(entries, _MOST_ENTRIES)):
        place = at + 2 + 12 * i
        if place + 12 > len(tiff):
            break
        tag, kind, count = struct.unpack_from(f"{order}HHI", tiff, place)
        if tag == _ORIENTATION and count == 1 and kind in {_SHORT, _LONG}:
            (value,) = struct.unpack_from(order + ("H" if kind == _SHORT else "I"), tiff, place + 8)
            return value if 1 <= value <= 8 else UPRIGHT
    return UPRIGHT


def exif(turned: int) -> bytes:
    """The smallest EXIF block that names an orientation."""
    return b"II*\0\x08\0\0\0" + struct.pack("<HHHIHHI", 1, _ORIENTATION, _SHORT, 1, turned, 0, 0)

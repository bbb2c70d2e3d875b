"""JPEG (ITU-T T.81): a walk over all segments and scans."""

import re
import struct
from dataclasses import dataclass, field

from gateway.vision.pictures.parts import (
    MOST_PARTS,
    UPRIGHT,
    Examined,
    Kind,
    check_end,
    damaged,
    exif,
    orientation,
    refused,
    too_complex,
    unsupported,
)

MOST_SCANS = 40
"""Common progressive files have ten; each scan passes over the whole picture once more."""
_SOI, _EOI, _SOS, _DQT, _DHT, _DRI = 0xD8, 0xD9, 0xDA, 0xDB, 0xC4, 0xDD
_APP0, _APP1, _APP2, _APP14 = 0xE0, 0xE1, 0xE2, 0xEE
_FRAMES = {0xC0, 0xC1, 0xC2}
"""Start of frame: baseline, extended sequential, progressive; Huffman coding all."""
_PROGRESSIVE = 0xC2
_STRANGE = frozenset(range(0xC0, 0xD0)) - _FRAMES - {_DHT} | {0xDC, 0xDE, 0xDF}
"""Lossless, hierarchical and arithmetic coding, and a height that is told only later."""
_BARE = frozenset((0x01, *range(0xD0, 0xD8)))
_JFIF = b"\xff\xe0\x00\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0"
_AFTER_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")


@dataclass(slots=True)
class _Walk:
    """What has been met so far."""

    width: int = 0
    height: int = 0
    colours: int = 0
    progressive: bool = False
    scans: int = 0
    jfif: bool = False
    turned: int = UPRIGHT
    several: bool = False
    """The file says that further pictures follow this one (CIPA DC-007)."""
    kept: list[bytes] = field(default_factory=list)


def examine(data: bytes) -> Examined:
    """Walk a JPEG to its end. Raises InvalidInput."""
    walk, at = _Walk(), 2
    for _ in range(MOST_PARTS):
        marker, at = _marker(data, at)
        if marker == _EOI:
            return _finished(walk, data[at:])
        if marker not in _BARE:
            at = _segment(walk, data, marker, at)
    raise too_complex()


def _marker(data: bytes, at: int) -> tuple[int, int]:
    """The next marker and where what belongs to it begins."""
    if at >= len(data) or data[at] != 0xFF:
        raise damaged()
    while at < len(data) and data[at] == 0xFF:
        at += 1
    if at >= len(data) or data[at] == 0:
        raise damaged()
    return data[at], at + 1


def _segment(walk: _Walk, data: bytes, marker: int, at: int) -> int:
    """Take one segment in; returns where the next marker is looked for."""
    end = at + int.from_bytes(data[at : at + 2], "big")
    if end < at + 2 or end > len(data) or marker == _SOI:
        raise damaged()
    if marker in _STRANGE:
        raise unsupported("this rare kind of JPEG")
    body = data[at + 2 : end]
    if marker in _FRAMES:
        _frame(walk, marker, body)
    elif marker == _APP1 and body.startswith(b"Exif\0\0"):
        walk.turned = orientation(body)
    elif marker == _APP2 and body.startswith(b"MPF\0"):
        walk.several = True
    elif marker == _SOS:
        end = _scan(walk, data, end)
    elif marker == _APP0 and body.startswith(b"JFIF\0"):
        walk.jfif = True
    if marker in _FRAMES | {_DQT, _DHT, _DRI, _SOS} or (marker == _APP14 and body.startswith(b"Adobe")):
        walk.kept.append(b"\xff" + bytes([marker]) + data[at:end])
    return end


def _frame(walk: _Walk, marker: int, body: bytes) -> None:
    if walk.colours or len(body) < 6:
        raise damaged()
    bits, walk.height, walk.width, walk.colours = struct.unpack(">BHHB", body[:6])
    walk.progressive = marker == _PROGRESSIVE
    if not walk.width or not walk.height or len(body) != 6 + 3 * walk.colours:
        raise damaged()
    if bits != 8 or walk.colours not in {1, 3, 4}:
        raise unsupported(f"a JPEG of {walk.colours} colours with {bits} bits")


def _scan(walk: _Walk, data: bytes, at: int) -> int:
    """Where the coded pixels of a scan end."""
    walk.scans += 1
    if not walk.colours:
        raise damaged()
    if walk.scans > MOST_SCANS:
        raise too_complex()
    found = _AFTER_SCAN.search(data, at)
    if found is None:
        raise damaged()
    return found.start()


def _finished(walk: _Walk, rest: bytes) -> Examined:
    if not walk.scans:
        raise damaged()
    if not (walk.several and rest.startswith(b"\xff\xd8\xff")):
        check_end(rest)
    app1 = b"Exif\0\0" + exif(walk.turned)
    head = _JFIF if walk.jfif else b""
    if walk.turned != UPRIGHT:
        head += b"\xff\xe1" + struct.pack(">H", 2 + len(app1)) + app1
    if walk.scans > 4 * walk.colours and not walk.progressive:
        raise refused("damaged", "the picture's parts contradict each other; save it again as JPEG")
    return Examined(
        kind=Kind.JPEG,
        width=walk.width,
        height=walk.height,
        orientation=walk.turned,
        alpha=False,
        # A progressive picture is decoded through its coefficients, two bytes for each of its values.
        bytes_a_pixel=max(3, walk.colours) * (3 if walk.progressive else 1),
        clean=b"".join((b"\xff\xd8", head, *walk.kept, b"\xff\xd9")),
    )

"""WebP (RFC 9649): a walk over all chunks; the size is the coded picture's own."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from gateway.vision.pictures.parts import (
    MOST_PARTS,
    UPRIGHT,
    Examined,
    Kind,
    animated,
    check_end,
    damaged,
    exif,
    orientation,
    too_complex,
)

_ANIMATION, _EXIF, _ALPHA = 0x02, 0x08, 0x10


@dataclass(slots=True)
class _Walk:
    """Chunks that code the picture."""

    canvas: tuple[int, int] | None = None
    picture: tuple[bytes, bytes] | None = None
    transparency: bytes | None = None
    turned: int = UPRIGHT


def examine(data: bytes) -> Examined:
    """Walk a WebP to its end. Raises InvalidInput."""
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data) or end < 20:
        raise damaged()
    check_end(data[end:])
    walk = _Walk()
    for i, (kind, body) in enumerate(_chunks(data, end)):
        _take(walk, kind, body, first=i == 0)
    if walk.picture is None:
        raise damaged()
    width, height, alpha = _coded_size(*walk.picture)
    if walk.canvas not in {None, (width, height)}:
        raise damaged()
    return _finished(walk, walk.picture, (width, height), alpha=alpha or walk.transparency is not None)


def _chunks(data: bytes, end: int) -> Iterator[tuple[bytes, bytes]]:
    at = 12
    for _ in range(MOST_PARTS):
        if at == end:
            return
        if at + 8 > end:
            raise damaged()
        kind, length = struct.unpack_from("<4sI", data, at)
        if at + 8 + length > end:
            raise damaged()
        yield kind, data[at + 8 : at + 8 + length]
        at = min(end, at + 8 + length + length % 2)
    raise too_complex()


def _take(walk: _Walk, kind: bytes, body: bytes, *, first: bool) -> None:
    if kind in {b"ANIM", b"ANMF"}:
        raise animated()
    if kind == b"VP8X":
        if not first or len(body) < 10:
            raise damaged()
        if body[0] & _ANIMATION:
            raise animated()
        walk.canvas = 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
    elif kind in {b"VP8 ", b"VP8L"}:
        if walk.picture is not None:
            raise damaged()
        walk.picture = kind, body
    elif first:
        raise damaged()
    elif kind == b"ALPH" and walk.picture is None:
        walk.transparency = body
    elif kind == b"EXIF":
        walk.turned = orientation(body)


def _coded_size(kind: bytes, body: bytes) -> tuple[int, int, bool]:
    """Width, height and transparency from the coded picture's own header."""
    if kind == b"VP8L" and len(body) >= 5 and body[0] == 0x2F:
        bits = int.from_bytes(body[1:5], "little")
        if bits >> 29 == 0:
            return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF), bool(bits >> 28 & 1)
    # RFC 6386, section 9.1: a key frame, its start code, two sizes of 14 bits.
    if kind == b"VP8 " and len(body) >= 10 and not body[0] & 1 and body[3:6] == b"\x9d\x01\x2a":
        width, height = (value & 0x3FFF for value in struct.unpack_from("<HH", body, 6))
        if width and height:
            return width, height, False
    raise damaged()


def _finished(walk: _Walk, picture: tuple[bytes, bytes], size: tuple[int, int], *, alpha: bool) -> Examined:
    width, height = size
    parts = [_chunk(*picture)]
    # Transparency in a chunk of its own goes with the lossy coding only.
    separate = walk.transparency if picture[0] == b"VP8 " else None
    if separate is not None or walk.turned != UPRIGHT:
        flags = (_ALPHA if alpha else 0) | (_EXIF if walk.turned != UPRIGHT else 0)
        canvas = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
        before = [_chunk(b"VP8X", bytes([flags, 0, 0, 0]) + canvas)]
        if separate is not None:
            before.append(_chunk(b"ALPH", separate))
        parts = before + parts
    if walk.turned != UPRIGHT:
        parts.append(_chunk(b"EXIF", exif(walk.turned)))
    body = b"WEBP" + b"".join(parts)
    return Examined(
        kind=Kind.WEBP,
        width=width,
        height=height,
        orientation=walk.turned,
        alpha=alpha,
        bytes_a_pixel=4 if alpha else 3,
        clean=b"RIFF" + struct.pack("<I", len(body)) + body,
    )


def _chunk(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)

"""PNG (ISO/IEC 15948, third edition): a walk over all chunks, and the pixels' data measured."""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from gateway.vision.pictures.parts import (
    LONGEST_SIDE,
    MOST_DECODED,
    MOST_PARTS,
    MOST_PIXELS,
    UPRIGHT,
    Examined,
    Kind,
    animated,
    check_end,
    damaged,
    exif,
    orientation,
    refused,
    too_complex,
    unsupported,
)

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Samples a pixel by colour type."""
_DEPTHS = {0: {1, 2, 4, 8, 16}, 2: {8, 16}, 3: {1, 2, 4, 8}, 4: {8, 16}, 6: {8, 16}}
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""Adam7: first column, first row, step across, step down."""
_STEP_IN, _STEP_OUT = 1 << 16, 1 << 20


@dataclass(frozen=True, slots=True)
class _Head:
    """IHDR."""

    width: int
    height: int
    depth: int
    colour: int
    interlaced: bool

    def raw_bytes(self) -> int:
        """What the pixels' data unpacks to: each row of each pass with one byte before it."""
        bits = self.depth * _SAMPLES[self.colour]
        total = 0
        for x, y, dx, dy in _PASSES if self.interlaced else ((0, 0, 1, 1),):
            columns, rows = -(-(self.width - x) // dx), -(-(self.height - y) // dy)
            if columns > 0 and rows > 0:
                total += rows * (1 + -(-columns * bits // 8))
        return total


@dataclass(slots=True)
class _Walk:
    """Chunks that code the picture."""

    palette: bytes = b""
    clear: bytes | None = None
    turned: int = UPRIGHT
    pixels: list[bytes] = field(default_factory=list)
    closed: bool = False
    """Another chunk came after the pixels' ones."""


def examine(data: bytes) -> Examined:
    """Walk a PNG to its end. Raises InvalidInput."""
    head: _Head | None = None
    walk, end = _Walk(), len(SIGNATURE)
    for kind, body, place in _chunks(data):
        end = place
        if head is None:
            head = _header(kind, body)
        elif kind == b"IEND":
            break
        else:
            _take(walk, kind, body)
    else:
        raise damaged()
    if head is None or not walk.pixels or (head.colour == 3 and not walk.palette):
        raise damaged()
    check_end(data[end:])
    packed = b"".join(walk.pixels)
    walk.pixels.clear()
    _measure(packed, head.raw_bytes())
    return _finished(head, walk, packed)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes, int]]:
    """Type, content and end of each chunk, its checksum checked."""
    at = len(SIGNATURE)
    for _ in range(MOST_PARTS):
        if at + 12 > len(data):
            raise damaged()
        length, kind = struct.unpack_from(">I4s", data, at)
        if at + 12 + length > len(data) or not kind.isalpha():
            raise damaged()
        body = data[at + 8 : at + 8 + length]
        (checksum,) = struct.unpack_from(">I", data, at + 8 + length)
        if zlib.crc32(body, zlib.crc32(kind)) != checksum:
            raise damaged()
        at += 12 + length
        yield kind, body, at
    raise too_complex()


def _header(kind: bytes, body: bytes) -> _Head:
    if kind != b"IHDR" or len(body) != 13:
        raise damaged()
    width, height, depth, colour, packing, filtering, interlaced = struct.unpack(">IIBBBBB", body)
    if not width or not height or depth not in _DEPTHS.get(colour, ()) or packing or filtering:
        raise damaged()
    if interlaced not in {0, 1}:
        raise damaged()
    head = _Head(width, height, depth, colour, bool(interlaced))
    # Before the pixels' data is unpacked to be measured.
    large = width * height > MOST_PIXELS or max(width, height) > LONGEST_SIDE
    if large or head.raw_bytes() > 2 * MOST_DECODED:
        raise refused(
            "picture_too_large",
            f"the picture is {width}x{height}; give one under {MOST_PIXELS // 10**6} megapixels",
        )
    return head


def _take(walk: _Walk, kind: bytes, body: bytes) -> None:
    if kind == b"IDAT":
        if walk.closed:
            raise damaged()
        walk.pixels.append(body)
        return
    walk.closed = bool(walk.pixels)
    if kind in {b"acTL", b"fcTL", b"fdAT"}:
        raise animated()
    if kind == b"PLTE":
        if walk.palette or not body or len(body) % 3 or len(body) > 768 or walk.closed:
            raise damaged()
        walk.palette = body
    elif kind == b"tRNS":
        walk.clear = body
    elif kind == b"eXIf":
        walk.turned = orientation(body)
    elif kind[:1].isupper():
        raise unsupported("a PNG with parts of its own kind")


def _measure(packed: bytes, expected: int) -> None:
    """The data unpacks to exactly what the header says: no less, and no bomb behind it."""
    unpack, got = zlib.decompressobj(), 0
    try:
        for at in range(0, len(packed), _STEP_IN):
            part = packed[at : at + _STEP_IN]
            while part and not unpack.eof:
                got += len(unpack.decompress(part, _STEP_OUT))
                part = unpack.unconsumed_tail
                if got > expected:
                    raise refused(
                        "too_complex", "the picture unpacks to more than its size; save it again as JPEG"
                    )
    except zlib.error:
        raise damaged() from None
    if got != expected or not unpack.eof:
        raise damaged()


def _finished(head: _Head, walk: _Walk, packed: bytes) -> Examined:
    alpha = head.colour in {4, 6} or walk.clear is not None
    start = struct.pack(
        ">IIBBBBB", head.width, head.height, head.depth, head.colour, 0, 0, int(head.interlaced)
    )
    parts = [SIGNATURE, _chunk(b"IHDR", start)]
    if walk.palette and head.colour == 3:
        parts.append(_chunk(b"PLTE", walk.palette))
    if walk.clear is not None:
        parts.append(_chunk(b"tRNS", walk.clear))
    if walk.turned != UPRIGHT:
        parts.append(_chunk(b"eXIf", exif(walk.turned)))
    wide = 2 if head.depth == 16 else 1
    return Examined(
        kind=Kind.PNG,
        width=head.width,
        height=head.height,
        orientation=walk.turned,
        alpha=alpha,
        bytes_a_pixel=4 * wide if alpha else 3,
        clean=b"".join((*parts, _chunk(b"IDAT", packed), _chunk(b"IEND", b""))),
    )


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(body, zlib.crc32(kind)))

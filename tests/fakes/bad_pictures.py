"""Pictures that somebody careless or hostile might upload, each with the code it must be refused with."""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from gateway.vision.pictures import MOST_BYTES

SIGNATURE = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Bad:
    """One file."""

    name: str
    code: str
    data: bytes

    def __repr__(self) -> str:
        return self.name


@cache
def good(kind: str, *how: int) -> bytes:
    """A picture of 96x128 pixels with something in it."""
    noise = np.random.default_rng(7).integers(0, 255, (16, 12, 3), dtype=np.uint8)
    picture = cv2.resize(noise, (96, 128), interpolation=cv2.INTER_LINEAR)
    return cv2.imencode(kind, picture, [*how])[1].tobytes()


def jpeg(*, progressive: bool = False) -> bytes:
    return good(".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, int(progressive))


def png() -> bytes:
    return good(".png")


def webp(*, lossless: bool = False) -> bytes:
    return good(".webp", cv2.IMWRITE_WEBP_QUALITY, 101 if lossless else 80)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def head(width: int, height: int, depth: int = 8, colour: int = 2, interlaced: int = 0) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced))


def png_of(*chunks: bytes) -> bytes:
    return SIGNATURE + b"".join(chunks)


END = chunk(b"IEND", b"")


def rows(width: int, height: int, pixel: int = 3) -> bytes:
    return zlib.compress(b"\0" * (height * (1 + width * pixel)), 9)


def plain_png(width: int = 8, height: int = 8, *more: bytes) -> bytes:
    return png_of(head(width, height), *more, chunk(b"IDAT", rows(width, height)), END)


def segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def frame_at(data: bytes) -> int:
    """Where the start of frame stands in ``jpeg()``."""
    at = 2
    while data[at + 1] not in {0xC0, 0xC1, 0xC2}:
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return at


def scan_at(data: bytes) -> int:
    return data.index(b"\xff\xda")


def patched(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"WEBP" + b"".join(k + struct.pack("<I", len(b)) + b + b"\0" * (len(b) % 2) for k, b in chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def canvas(flags: int, width: int, height: int) -> tuple[bytes, bytes]:
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"VP8X", bytes([flags, 0, 0, 0]) + size


def coded(data: bytes) -> tuple[bytes, bytes]:
    """The picture's chunk of a simple WebP."""
    return data[12:16], data[20 : 20 + int.from_bytes(data[16:20], "little")]


def lossless_head(width: int, height: int, version: int = 0) -> bytes:
    bits = (width - 1) | (height - 1) << 14 | version << 29
    return b"\x2f" + bits.to_bytes(4, "little") + b"\0" * 20


def lossy_head(width: int, height: int) -> bytes:
    return b"\x10\0\0\x9d\x01\x2a" + struct.pack("<HH", width, height) + b"\0" * 20


ZIP = b"PK\x03\x04" + b"\0" * 26 + b"payload.sh" + b"#!/bin/sh\nexit 1\n"
APPENDED = {
    "zip": ZIP,
    "html": b"<script>alert(1)</script>",
    "php": b"<?php system($_GET['c']); ?>",
    "pdf": b"%PDF-1.7\n1 0 obj\n",
    "elf": b"\x7fELF\x02\x01\x01" + b"\0" * 60,
    "mp4": b"\0\0\0\x18ftypmp42" + b"\0" * 40,
    "jar": ZIP * 3,
    "noise": bytes(range(256)) * 8,
}
FOREIGN = {
    "empty": b"",
    "one-byte": b"\0",
    "text": b"hello, I am a picture\n",
    "gif": b"GIF89a" + struct.pack("<HH", 64, 64) + b"\0" * 60,
    "animated-gif": b"GIF89a\x40\0\x40\0\xf0\0\0\x21\xff\x0bNETSCAPE2.0\x03\x01\0\0\0" + b"\0" * 40,
    "bmp": b"BM" + b"\0" * 60,
    "tiff": b"II*\0" + b"\0" * 60,
    "big-tiff": b"MM\0*" + b"\0" * 60,
    "pdf": b"%PDF-1.7\n" + b"\0" * 60,
    "zip": ZIP,
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>',
    "svg-entity": b'<?xml version="1.0"?><!DOCTYPE s [<!ENTITY x SYSTEM "file:///etc/passwd">]><svg>&x;</svg>',
    "html": b"<!doctype html><img src=x>",
    "heic": b"\0\0\0\x18ftypheic" + b"\0" * 60,
    "avif": b"\0\0\0\x1cftypavif" + b"\0" * 60,
    "mp4": b"\0\0\0\x18ftypmp42" + b"\0" * 60,
    "elf": b"\x7fELF" + b"\0" * 60,
    "exe": b"MZ" + b"\0" * 60,
    "gzip": zlib.compress(b"x" * 99)[:0] + b"\x1f\x8b\x08" + b"\0" * 60,
    "jpeg2000": b"\0\0\0\x0cjP  \r\n\x87\n" + b"\0" * 60,
    "psd": b"8BPS\0\x01" + b"\0" * 60,
    "exr": b"\x76\x2f\x31\x01" + b"\0" * 60,
    "hdr": b"#?RADIANCE\n" + b"\0" * 60,
    "pnm": b"P6 99999 99999 255\n",
    "ico": b"\0\0\x01\0\x01\0" + b"\0" * 60,
    "riff-wave": b"RIFF\x24\0\0\0WAVEfmt " + b"\0" * 40,
    "imagemagick": b"push graphic-context\nimage over 0,0 0,0 'https://x/'\n",
    "jpeg-after-a-byte": b"\0" + jpeg(),
    "png-through-text-mode": SIGNATURE.replace(b"\r\n", b"\n") + png()[8:],
}


def corpus() -> Iterator[Bad]:
    """Every one of them."""
    for name, data in FOREIGN.items():
        yield Bad(f"foreign-{name}", "not_a_picture", data)
    for name, whole in (
        ("jpeg", jpeg()),
        ("progressive", jpeg(progressive=True)),
        ("png", png()),
        ("webp", webp()),
        ("lossless", webp(lossless=True)),
    ):
        for share in (0.03, 0.2, 0.5, 0.8, 0.97):
            yield Bad(f"cut-{name}-{share}", "damaged", whole[: max(13, int(len(whole) * share))])
        yield Bad(f"cut-{name}-last-byte", "damaged", whole[:-1])
        for what, rest in APPENDED.items():
            yield Bad(f"appended-{name}-{what}", "appended_data", whole + rest)
    yield from _jpegs()
    yield from _pngs()
    yield from _webps()
    yield Bad("large", "file_too_large", jpeg() + b"\0" * MOST_BYTES)
    yield Bad("large-nothing", "file_too_large", b"\0" * (MOST_BYTES + 1))


def _jpegs() -> Iterator[Bad]:
    whole = jpeg()
    frame, scan = frame_at(whole), scan_at(whole)
    before, body = whole[:frame], whole[scan:]
    for name, code, data in (
        ("bare-start", "damaged", b"\xff\xd8\xff"),
        ("start-and-end", "damaged", b"\xff\xd8\xff\xd9"),
        ("no-frame", "damaged", before + body),
        ("no-scan", "damaged", whole[:scan] + b"\xff\xd9"),
        ("two-frames", "damaged", whole[:scan] + whole[frame:scan] + body),
        ("no-height", "damaged", patched(whole, frame + 5, b"\0\0")),
        ("no-width", "damaged", patched(whole, frame + 7, b"\0\0")),
        ("bomb", "picture_too_large", patched(whole, frame + 5, b"\xff\xff\xff\xff")),
        ("bomb-under-64k", "picture_too_large", patched(whole, frame + 5, struct.pack(">HH", 20000, 3000))),
        ("sliver", "picture_shape", patched(whole, frame + 5, struct.pack(">HH", 1, 4096))),
        ("twelve-bits", "unsupported_coding", patched(whole, frame + 4, b"\x0c")),
        ("lossless", "unsupported_coding", patched(whole, frame, b"\xff\xc3")),
        ("arithmetic", "unsupported_coding", patched(whole, frame, b"\xff\xc9")),
        ("arithmetic-progressive", "unsupported_coding", patched(whole, frame, b"\xff\xca")),
        ("hierarchical", "unsupported_coding", patched(whole, frame, b"\xff\xc5")),
        ("height-told-later", "unsupported_coding", whole[:frame] + segment(0xDC, b"\0\1") + whole[frame:]),
        ("two-colours", "damaged", patched(whole, frame + 9, b"\x02")),
        ("no-colours", "damaged", patched(whole, frame + 9, b"\0")),
        ("segment-of-one-byte", "damaged", whole[:2] + b"\xff\xe1\0\1" + whole[2:]),
        ("segment-past-the-end", "damaged", whole[:2] + b"\xff\xe1\xff\xff" + whole[2:60]),
        ("start-inside", "damaged", whole[:2] + b"\xff\xd8\0\4ab" + whole[2:]),
        ("many-segments", "too_complex", whole[:2] + segment(0xFE, b"") * 12_000 + whole[2:]),
        ("many-empty-scans", "too_complex", whole[:scan] + body[:-2] * 60 + b"\xff\xd9"),
        ("only-fill-bytes", "damaged", b"\xff\xd8" + b"\xff" * 100_000),
    ):
        yield Bad(f"jpeg-{name}", code, data)
    many = jpeg(progressive=True)
    first = scan_at(many)
    one = many[first : many.index(b"\xff\xda", first + 2)]
    yield Bad("progressive-many-scans", "too_complex", many[:first] + one * 500 + b"\xff\xd9")
    large = patched(many, frame_at(many) + 5, struct.pack(">HH", 6000, 6000))
    yield Bad("progressive-bomb", "picture_too_large", large)


def _pngs() -> Iterator[Bad]:
    whole, data = png(), chunk(b"IDAT", rows(8, 8))
    bomb = zlib.compress(b"\0" * 60_000_000, 9)
    for name, code, content in (
        ("signature-alone", "damaged", SIGNATURE),
        ("no-head", "damaged", png_of(data, END)),
        ("no-pixels", "damaged", png_of(head(8, 8), END)),
        ("no-end", "damaged", png_of(head(8, 8), data)),
        ("bomb", "picture_too_large", png_of(head(30_000, 30_000), data, END)),
        ("bomb-of-ones", "picture_too_large", png_of(head(2**31 - 1, 2**31 - 1), data, END)),
        ("bomb-16-bit", "picture_too_large", png_of(head(7000, 7000, 16, 6), data, END)),
        ("honest-bomb", "picture_too_large", png_of(head(16_000, 4000), chunk(b"IDAT", bomb), END)),
        ("hidden-bomb", "too_complex", png_of(head(8, 8), chunk(b"IDAT", bomb), END)),
        ("one-row-too-many", "too_complex", png_of(head(8, 8), chunk(b"IDAT", rows(8, 9)), END)),
        ("one-row-too-few", "damaged", png_of(head(8, 8), chunk(b"IDAT", rows(8, 7)), END)),
        ("interlaced-too-little", "damaged", png_of(head(8, 8, interlaced=1), data, END)),
        ("unknown-interlacing", "damaged", png_of(head(8, 8, interlaced=7), data, END)),
        ("packed-junk", "damaged", png_of(head(8, 8), chunk(b"IDAT", b"\x78\x9c" + b"\xaa" * 90), END)),
        ("wrong-checksum", "damaged", patched(whole, 29, b"\0\0\0\0")),
        ("flipped-pixel-byte", "damaged", patched(whole, 200, bytes([whole[200] ^ 1]))),
        ("no-width", "damaged", png_of(head(0, 8), data, END)),
        ("no-height", "damaged", png_of(head(8, 0), data, END)),
        ("three-bits", "damaged", png_of(head(8, 8, 3), data, END)),
        ("colour-type-5", "damaged", png_of(head(8, 8, 8, 5), data, END)),
        ("short-head", "damaged", png_of(chunk(b"IHDR", b"\0" * 12), data, END)),
        ("no-palette", "damaged", png_of(head(8, 8, 8, 3), chunk(b"IDAT", rows(8, 8, 1)), END)),
        ("long-palette", "damaged", plain_png(8, 8, chunk(b"PLTE", b"\0" * 771))),
        ("odd-palette", "damaged", plain_png(8, 8, chunk(b"PLTE", b"\0" * 4))),
        ("two-palettes", "damaged", plain_png(8, 8, *[chunk(b"PLTE", b"\0" * 3)] * 2)),
        ("split-pixels", "damaged", png_of(head(8, 8), data, chunk(b"tEXt", b"a\0b"), data, END)),
        ("animated", "animated", plain_png(8, 8, chunk(b"acTL", struct.pack(">II", 900, 0)))),
        ("animated-frames", "animated", plain_png(8, 8, chunk(b"fcTL", b"\0" * 26))),
        ("own-part", "unsupported_coding", plain_png(8, 8, chunk(b"ABCD", b"x"))),
        ("many-parts", "too_complex", plain_png(8, 8, *[chunk(b"tEXt", b"a\0b")] * 12_000)),
        ("length-past-the-end", "damaged", SIGNATURE + b"\x7f\xff\xff\xffIHDR" + b"\0" * 30),
        ("no-letters", "damaged", plain_png(8, 8, chunk(b"\0\0\0\0", b""))),
        ("sliver", "picture_shape", plain_png(4096, 1)),
        ("thread", "picture_shape", plain_png(1, 16_000)),
        ("long", "picture_too_large", plain_png(40_000, 1)),
    ):
        yield Bad(f"png-{name}", code, content)


def _webps() -> Iterator[Bad]:
    lossy, lossless = coded(webp()), coded(webp(lossless=True))
    for name, code, data in (
        ("head-alone", "damaged", b"RIFF\x04\0\0\0WEBP"),
        ("no-picture", "damaged", riff(canvas(0, 96, 128), (b"EXIF", b"\0" * 20))),
        ("animated", "animated", riff(canvas(0x02, 96, 128), (b"ANIM", b"\0" * 6), lossy)),
        ("animated-unsaid", "animated", riff(canvas(0, 96, 128), (b"ANMF", b"\0" * 24), lossy)),
        ("bomb", "picture_too_large", riff((b"VP8L", lossless_head(16_383, 16_383)))),
        ("lossy-bomb", "picture_too_large", riff((b"VP8 ", lossy_head(16_383, 16_383)))),
        ("sliver", "picture_shape", riff((b"VP8L", lossless_head(16_000, 2)))),
        ("two-pictures", "damaged", riff(lossy, lossy)),
        ("canvas-differs", "damaged", riff(canvas(0, 9000, 9000), lossy)),
        ("canvas-late", "damaged", riff(lossy, canvas(0, 96, 128))),
        ("canvas-short", "damaged", riff((b"VP8X", b"\0" * 4), lossy)),
        ("unknown-first", "damaged", riff((b"XYZW", b"\0" * 8), lossy)),
        ("no-key-frame", "damaged", riff((b"VP8 ", b"\x11" + lossy[1][1:]))),
        ("no-start-code", "damaged", riff((b"VP8 ", lossy[1][:3] + b"\0\0\0" + lossy[1][6:]))),
        ("no-width", "damaged", riff((b"VP8 ", lossy_head(0, 100)))),
        ("lossless-signature", "damaged", riff((b"VP8L", b"\x2e" + lossless[1][1:]))),
        ("lossless-version", "damaged", riff((b"VP8L", lossless_head(96, 128, version=3)))),
        ("pixels-missing", "damaged", riff((b"VP8L", lossless_head(4000, 4000)))),
        ("lossy-pixels-missing", "damaged", riff((b"VP8 ", lossy_head(4000, 4000)))),
        ("many-parts", "too_complex", riff(lossy, *[(b"XMP ", b"")] * 12_000)),
        ("part-past-the-end", "damaged", b"RIFF\x1c\0\0\0WEBPVP8 \xff\xff\xff\x7f" + b"\0" * 16),
        ("size-of-everything", "damaged", b"RIFF\xff\xff\xff\xffWEBPVP8L" + b"\0" * 40),
    ):
        yield Bad(f"webp-{name}", code, data)

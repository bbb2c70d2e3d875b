"""Picture files as they come from outside: looked through byte by byte before anything decodes them.

What a decoder gets is rebuilt from the parts that make the picture. Metadata (place, time, device,
thumbnails), colour profiles, comments and whatever else a file carries never reach it, and are not kept.
"""

from gateway.vision.pictures import jpeg, png, webp
from gateway.vision.pictures.parts import (
    LONGEST_SIDE,
    MOST_BYTES,
    MOST_DECODED,
    MOST_PIXELS,
    Examined,
    Kind,
    refused,
)

__all__ = ["MOST_BYTES", "MOST_PIXELS", "Examined", "Kind", "examine"]

MOST_SLENDER = 8
"""No portrait is so many times longer than wide, and a border around one that is would fill the memory."""
_FOREIGN = (
    (b"GIF8", "a GIF"),
    (b"%PDF", "a PDF"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"II*\0", "a TIFF"),
    (b"MM\0*", "a TIFF"),
    (b"BM", "a BMP"),
    (b"<", "a text file"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"\x1f\x8b", "a compressed file"),
)


def examine(data: bytes) -> Examined:
    """Look a file through and say what a decoder would meet. Raises InvalidInput, and nothing else.

    Codes: file_too_large, not_a_picture, damaged, appended_data, animated, unsupported_coding, too_complex,
    picture_too_large, picture_shape.
    """
    if len(data) > MOST_BYTES:
        raise refused(
            "file_too_large",
            f"the file has {len(data) / 1e6:.0f} MB; give one under {MOST_BYTES / 1e6:.0f} MB",
        )
    found = _by_kind(data)
    _check_size(found)
    return found


def _by_kind(data: bytes) -> Examined:
    if data[:8] == png.SIGNATURE:
        return png.examine(data)
    if data[:3] == b"\xff\xd8\xff":
        return jpeg.examine(data)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return webp.examine(data)
    raise refused("not_a_picture", f"this is {_foreign(data)}, not a JPEG, PNG or WebP; save it as JPEG")


def _foreign(data: bytes) -> str:
    if not data:
        return "an empty file"
    if data[4:8] == b"ftyp":
        return "a video" if data[8:11] in {b"mp4", b"iso", b"qt "} else "a HEIC or AVIF picture"
    return next((name for start, name in _FOREIGN if data.startswith(start)), "something else")


def _check_size(found: Examined) -> None:
    width, height = found.width, found.height
    if width * height > MOST_PIXELS:
        raise refused(
            "picture_too_large",
            f"the picture is {width}x{height}; give one under {MOST_PIXELS // 10**6} megapixels",
        )
    if width * height * found.bytes_a_pixel > MOST_DECODED:
        raise refused(
            "picture_too_large",
            f"a {width}x{height} picture in this coding needs too much memory; save it as a plain JPEG",
        )
    long, short = max(width, height), min(width, height)
    if long > LONGEST_SIDE or (long > MOST_SLENDER * short and long > MOST_SLENDER):
        raise refused(
            "picture_shape",
            f"the picture is {width}x{height}, no portrait's shape; cut out the head and shoulders",
        )

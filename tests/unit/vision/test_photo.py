import struct
import zlib

import cv2
import numpy as np
import pytest

from gateway.domain.errors import InvalidInput
from gateway.vision import photo
from gateway.vision.photo import decode
from gateway.vision.pictures import examine

RNG = np.random.default_rng(4)
PICTURE = RNG.integers(0, 255, (48, 64, 3), dtype=np.uint8)
KINDS = [".jpg", ".png", ".webp"]


def encoded(kind, picture=PICTURE):
    return cv2.imencode(kind, picture)[1].tobytes()


def size(data):
    found = examine(data)
    return found.width, found.height


def png_claiming(width, height):
    """A small PNG whose header claims any size."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = b"".join(
        struct.pack(">I", len(d)) + kind + d + struct.pack(">I", zlib.crc32(kind + d))
        for kind, d in ((b"IHDR", head), (b"IDAT", zlib.compress(b"\0" * 1000)), (b"IEND", b""))
    )
    return b"\x89PNG\r\n\x1a\n" + body


def turned(jpeg, orientation):
    """A JPEG with an EXIF orientation put in."""
    tiff = b"II*\0\x08\0\0\0" + struct.pack("<HHHIHHI", 1, 0x0112, 3, 1, orientation, 0, 0)
    app1 = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(app1) + 2) + app1 + jpeg[2:]


@pytest.mark.parametrize("kind", KINDS)
def test_the_kinds_taken(kind):
    assert decode(encoded(kind)).shape == PICTURE.shape
    assert size(encoded(kind)) == (64, 48)


@pytest.mark.parametrize("quality", [101, 80])
def test_both_codings_of_webp_tell_their_size(quality):
    data = cv2.imencode(".webp", PICTURE, [cv2.IMWRITE_WEBP_QUALITY, quality])[1].tobytes()
    assert size(data) == (64, 48)


def test_a_grey_picture_becomes_three_channels():
    assert decode(encoded(".png", PICTURE[:, :, 0])).shape == PICTURE.shape


@pytest.mark.parametrize(("orientation", "turns"), [(3, 2), (6, 3), (8, 1)])
def test_exif_orientation_is_applied(orientation, turns):
    smooth = cv2.resize(PICTURE[:6, :8], (64, 48), interpolation=cv2.INTER_LINEAR)
    got = decode(turned(encoded(".jpg", smooth), orientation))
    np.testing.assert_allclose(got.astype(int), np.rot90(smooth, turns), atol=40)
    assert np.abs(got.astype(int) - np.rot90(smooth, turns)).mean() < 6


def test_a_bomb_is_refused_before_it_is_decoded(monkeypatch):
    def never(*_):
        pytest.fail("a picture of that size must not be decoded")

    monkeypatch.setattr(photo.cv2, "imdecode", never)
    with pytest.raises(InvalidInput, match=r"30000x30000.*megapixels"):
        decode(png_claiming(30000, 30000))
    with pytest.raises(InvalidInput, match="20 MB"):
        decode(b"\xff\xd8\xff" + b"\0" * 20_000_001)


def test_a_webp_bomb_is_refused():
    """The size is the coded picture's: what its canvas claims is not believed."""
    coded = b"\x2f" + (16382 | 16382 << 14).to_bytes(4, "little") + b"\0" * 9
    vp8l = b"VP8L" + struct.pack("<I", len(coded)) + coded
    with pytest.raises(InvalidInput, match="megapixels"):
        decode(b"RIFF" + struct.pack("<I", len(vp8l) + 4) + b"WEBP" + vp8l)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_truncated_picture_is_refused_at_any_length(kind, share):
    data = encoded(kind)
    with pytest.raises(InvalidInput):
        decode(data[: int(len(data) * share)])


@pytest.mark.parametrize(
    "data",
    [b"", b"\0", b"GIF89a" + b"\0" * 50, b"%PDF-1.7", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF" * 9],
)
def test_what_is_no_picture_is_refused_with_what_to_do(data):
    with pytest.raises(InvalidInput, match=r"JPEG|damaged"):
        decode(data)


def test_no_junk_breaks_it():
    heads = [encoded(k)[:40] for k in KINDS]
    for i in range(300):
        junk = bytearray(heads[i % 3] + RNG.bytes(60))
        junk[int(RNG.integers(4, len(junk)))] = int(RNG.integers(256))
        with pytest.raises(InvalidInput):
            decode(bytes(junk))

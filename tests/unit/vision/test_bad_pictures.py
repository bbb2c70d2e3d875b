"""Files that are no pictures, or worse: each refused for what it is, with memory flat."""

import gc
import struct
import tracemalloc
from io import BytesIO

import cv2
import numpy as np
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.errors import InvalidInput
from gateway.vision.photo import WORKING_SIDE, decode
from gateway.vision.pictures import MOST_BYTES, Kind, examine
from gateway.vision.pictures.parts import UPRIGHT, exif, orientation
from tests.fakes import bad_pictures as bad

CORPUS = list(bad.corpus())
WHOLE = {
    "jpeg": bad.jpeg(),
    "progressive": bad.jpeg(progressive=True),
    "png": bad.png(),
    "webp": bad.webp(),
    "lossless": bad.webp(lossless=True),
}


def code_of(work, data: bytes) -> str:
    """What a file is refused with; nothing when it is taken."""
    try:
        work(data)
    except InvalidInput as refused:
        return refused.code
    return ""


def test_there_are_enough_of_them_and_none_twice():
    assert len({one.name for one in CORPUS}) == len(CORPUS) >= 120
    assert len({one.data for one in CORPUS}) == len(CORPUS)


@pytest.mark.parametrize("one", CORPUS, ids=str)
def test_each_is_refused_for_what_it_is(one: bad.Bad):
    with pytest.raises(InvalidInput) as refused:
        decode(one.data)
    assert refused.value.code == one.code
    assert 20 < len(str(refused.value)) < 200


def test_memory_stays_flat_over_all_of_them():
    process = psutil.Process()

    def all_of_them():
        for one in CORPUS:
            with pytest.raises(InvalidInput):
                decode(one.data)
        gc.collect()
        return process.memory_info().rss

    first = all_of_them()
    for _ in range(4):
        last = all_of_them()
    assert last - first < 30_000_000


def test_no_refusal_needs_more_memory_than_a_few_copies_of_the_file():
    """But for the one that is honest about its size, whose pixels are decoded before the end is missed."""
    for one in CORPUS:
        tracemalloc.start()
        assert code_of(decode, one.data)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 5 * len(one.data) + 8_000_000, one


@pytest.mark.parametrize("name", WHOLE)
def test_padding_behind_a_picture_does_no_harm_and_is_not_kept(name: str):
    whole = WHOLE[name]
    assert examine(whole + b"\0" * 3000).clean == examine(whole).clean


def test_what_is_kept_decodes_to_the_same_pixels():
    for name, whole in WHOLE.items():
        np.testing.assert_array_equal(decode(examine(whole).clean), decode(whole), err_msg=name)


def test_metadata_is_not_kept():
    secret = b"52.5200 N 13.4050 E, Jane Doe's telephone"
    app1 = b"Exif\0\0" + exif(6) + secret
    whole = bad.jpeg()
    jpeg = whole[:2] + bad.segment(0xE1, app1) + bad.segment(0xFE, secret) + whole[2:]
    png = bad.plain_png(8, 8, bad.chunk(b"tEXt", b"Comment\0" + secret), bad.chunk(b"eXIf", exif(6) + secret))
    kind, body = bad.coded(bad.webp())
    webp = bad.riff(bad.canvas(0x08, 96, 128), (kind, body), (b"EXIF", exif(6) + secret), (b"XMP ", secret))
    for data in (jpeg, png, webp):
        found = examine(data)
        assert found.orientation == 6
        assert secret not in found.clean
        assert examine(found.clean).orientation == 6


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
@pytest.mark.parametrize("turned", range(1, 9))
def test_every_orientation_is_applied_in_every_format(kind: str, turned: int):
    """Beside what OpenCV itself makes of the same orientation in a JPEG."""
    whole = bad.jpeg()
    reference = whole[:2] + bad.segment(0xE1, b"Exif\0\0" + exif(turned)) + whole[2:]
    expected = cv2.imdecode(np.frombuffer(reference, np.uint8), cv2.IMREAD_COLOR)
    upright = cv2.imdecode(np.frombuffer(whole, np.uint8), cv2.IMREAD_COLOR)
    if kind == "png":
        plain = cv2.imencode(".png", upright)[1].tobytes()
        data = plain[:33] + bad.chunk(b"eXIf", exif(turned)) + plain[33:]
    elif kind == "webp":
        plain = cv2.imencode(".webp", upright, [cv2.IMWRITE_WEBP_QUALITY, 101])[1].tobytes()
        data = bad.riff(bad.canvas(0x08, 96, 128), bad.coded(plain), (b"EXIF", exif(turned)))
    else:
        data = reference
    np.testing.assert_array_equal(decode(data), expected)


def big_endian(turned: int) -> bytes:
    return b"MM\0*\0\0\0\x08" + struct.pack(">HHHIHHI", 1, 0x0112, 3, 1, turned, 0, 0)


@pytest.mark.parametrize("block", [exif(8), b"Exif\0\0" + exif(8), big_endian(8)])
def test_orientation_is_read_in_either_byte_order(block: bytes):
    assert orientation(block) == 8


@given(
    junk=st.binary(max_size=80), start=st.sampled_from([b"", b"II*\0", b"MM\0*", b"Exif\0\0II*\0\x08\0\0\0"])
)
def test_no_exif_junk_breaks_anything(junk: bytes, start: bytes):
    assert 1 <= orientation(start + junk) <= 8
    assert orientation(b"II*\0\xff\xff\xff\xff") == UPRIGHT


@given(
    whole=st.sampled_from(sorted(WHOLE)),
    changes=st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), min_size=1, max_size=6),
    cut=st.none() | st.integers(0, 1 << 20),
)
@settings(max_examples=400, deadline=None)
def test_a_damaged_picture_is_a_picture_or_refused_and_nothing_else(whole, changes, cut):
    data = bytearray(WHOLE[whole])
    for at, value in changes:
        data[at % len(data)] = value
    given_data = bytes(data if cut is None else data[: cut % len(data)])
    looked, decoded = code_of(examine, given_data), code_of(decode, given_data)
    assert InvalidInput.code not in {looked, decoded}
    assert decoded == (looked or decoded)
    assert looked or decoded in {"", "damaged"}


@given(
    start=st.sampled_from([b"\xff\xd8\xff", bad.SIGNATURE, b"RIFF\x40\0\0\0WEBP"]),
    junk=st.binary(max_size=400),
)
@settings(max_examples=400, deadline=None)
def test_junk_behind_a_signature_raises_nothing_but_a_refusal(start: bytes, junk: bytes):
    assert code_of(examine, start + junk) != InvalidInput.code


class TestTakenCorrectly:
    """Rare, but pictures."""

    def test_sixteen_bits(self):
        wide = np.full((20, 30, 3), 0x8040, np.uint16)
        got = decode(cv2.imencode(".png", wide)[1].tobytes())
        assert got.dtype == np.uint8
        assert abs(int(got[5, 5, 0]) - 0x80) <= 1

    def test_sixteen_bits_with_transparency(self):
        wide = np.zeros((20, 30, 4), np.uint16)
        got = decode(cv2.imencode(".png", wide)[1].tobytes())
        assert (got == 255).all()

    def test_transparent_is_paper_and_half_transparent_half_of_it(self):
        picture = np.zeros((20, 30, 4), np.uint8)
        picture[:, :10, 3], picture[:, 10:20, 3] = 255, 128
        for kind, how in ((".png", []), (".webp", [cv2.IMWRITE_WEBP_QUALITY, 101])):
            got = decode(cv2.imencode(kind, picture, how)[1].tobytes())
            assert got[5, 5].tolist() == [0, 0, 0]
            assert got[5, 15].tolist() == [127, 127, 127]
            assert got[5, 25].tolist() == [255, 255, 255]

    def test_lossy_webp_with_transparency_keeps_it(self):
        picture = np.zeros((20, 30, 4), np.uint8)
        data = cv2.imencode(".webp", picture, [cv2.IMWRITE_WEBP_QUALITY, 80])[1].tobytes()
        assert (decode(data) == 255).all()
        assert (decode(examine(data).clean) == 255).all()

    @pytest.mark.parametrize("mode", ["L", "1", "P", "LA", "I;16", "RGBA", "RGB"])
    def test_every_kind_of_png(self, mode: str):
        pillow = pytest.importorskip("PIL.Image", reason="Pillow writes the rare kinds")
        out = BytesIO()
        pillow.new(mode, (40, 30)).save(out, "PNG")
        assert decode(out.getvalue()).shape == (30, 40, 3)

    def test_a_palette_with_a_clear_colour(self):
        palette = bad.chunk(b"PLTE", bytes([10, 20, 30, 200, 100, 50]))
        pixels = bad.chunk(b"IDAT", bad.zlib.compress((b"\0" + b"\0\1" * 4) * 8))
        data = bad.png_of(bad.head(8, 8, 8, 3), palette, bad.chunk(b"tRNS", b"\0"), pixels, bad.END)
        got = decode(data)
        assert got[3, 0].tolist() == [255, 255, 255]
        assert got[3, 1].tolist() == [50, 100, 200]

    def test_interlaced(self):
        rows = b"".join(
            b"\0" + b"\x50" * 3 * columns
            for columns, count in ((1, 1), (1, 1), (2, 1), (2, 2), (4, 2), (4, 4), (8, 4))
            for _ in range(count)
        )
        pixels = bad.chunk(b"IDAT", bad.zlib.compress(rows))
        got = decode(bad.png_of(bad.head(8, 8, interlaced=1), pixels, bad.END))
        assert (got == 0x50).all()

    @pytest.mark.parametrize("mode", ["CMYK", "L", "RGB"])
    @pytest.mark.parametrize("progressive", [False, True])
    def test_every_kind_of_jpeg(self, mode: str, progressive: bool):
        pillow = pytest.importorskip("PIL.Image", reason="Pillow writes the rare kinds")
        white = {"CMYK": (0, 0, 0, 0), "L": 255, "RGB": (255, 255, 255)}[mode]
        out = BytesIO()
        pillow.new(mode, (40, 30), white).save(out, "JPEG", progressive=progressive)
        got = decode(out.getvalue())
        assert got.shape == (30, 40, 3)
        assert got.min() > 250

    def test_a_second_picture_of_a_telephone_is_cut_off(self):
        """CIPA DC-007: a smaller copy, or a map of depths, follows the picture and is announced in it."""
        whole = bad.jpeg()
        announced = whole[:2] + bad.segment(0xE2, b"MPF\0" + b"\0" * 40) + whole[2:]
        assert examine(announced + bad.jpeg(progressive=True)).clean == examine(whole).clean
        with pytest.raises(InvalidInput):
            examine(whole + bad.jpeg(progressive=True))

    @pytest.mark.parametrize(
        ("kind", "size"), [(".jpg", (6000, 8000)), (".png", (6000, 4500)), (".webp", (6000, 4500))]
    )
    def test_a_large_photograph_is_reduced(self, kind: str, size: tuple[int, int]):
        flat = np.full((size[1], size[0], 3), 120, np.uint8)
        got = decode(cv2.imencode(kind, flat)[1].tobytes())
        assert max(got.shape) <= WORKING_SIDE
        assert got.shape[1] / got.shape[0] == pytest.approx(size[0] / size[1], rel=0.01)

    def test_a_file_of_just_the_size_allowed(self):
        whole = bad.jpeg()
        assert examine(whole + b"\0" * (MOST_BYTES - len(whole))).kind is Kind.JPEG

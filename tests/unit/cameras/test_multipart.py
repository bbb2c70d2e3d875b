from itertools import pairwise

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.cameras.multipart import MAX_HEAD, BrokenStream, Parts, announced_boundary, jpeg_size

A, B, C = b"\xff\xd8first\r\n--\r\nbytes\xff\xd9", b"\xff\xd8second\xff\xd9", b"\xff\xd8third\n\n\xff\xd9"


def part(body: bytes, mark: bytes = b"--b", *, length: bool = True, kind: bytes = b"image/jpeg") -> bytes:
    head = mark + b"\r\nContent-Type: " + kind + b"\r\n"
    if length:
        head += b"Content-Length: %d\r\n" % len(body)
    return head + b"\r\n" + body + b"\r\n"


def all_of(stream: bytes, announced: bytes = b"b") -> list[bytes]:
    parts, found = Parts(announced), []
    parts.feed(stream)
    while (body := parts.next()) is not None:
        found.append(body)
    return found


@pytest.mark.parametrize(
    ("header", "boundary"),
    [
        ("multipart/x-mixed-replace; boundary=frame", b"frame"),
        ('multipart/x-mixed-replace;boundary="my frame"', b"my frame"),
        ("Multipart/X-Mixed-Replace; Boundary=--frame", b"frame"),
        ("multipart/x-mixed-replace", b""),
        ("image/jpeg", None),
        ("text/html; boundary=x", None),
        ("", None),
    ],
)
def test_boundary_of_a_content_type(header: str, boundary: bytes | None) -> None:
    assert announced_boundary(header) == boundary


def test_parts_with_their_length() -> None:
    assert all_of(part(A) + part(B) + part(C)) == [A, B, C]


def test_parts_without_a_length_end_where_the_next_begins() -> None:
    stream = part(A, length=False) + part(B, length=False) + part(C, length=False)
    assert all_of(stream) == [A, B], "the third may not be whole yet"
    assert all_of(stream + b"--b--\r\n") == [A, B, C]


def test_a_boundary_other_than_the_announced_one() -> None:
    stream = part(A, b"--other", length=False) + part(B, b"--other", length=False) + b"--other\r\n"
    assert all_of(stream, b"announced") == [A, B]


def test_a_boundary_announced_with_its_dashes() -> None:
    boundary = announced_boundary("multipart/x-mixed-replace; boundary=--b")
    assert boundary is not None
    assert all_of(part(A, length=False) + part(B, length=False) + b"--b\r\n", boundary) == [A, B]


def test_a_boundary_used_without_dashes() -> None:
    assert all_of(part(A, b"b", length=False) + part(B, b"b", length=False) + b"b\r\n") == [A, B]


def test_a_first_part_without_a_boundary() -> None:
    assert all_of(part(A, b"")[2:] + part(B)) == [A, B]


def test_bare_newlines_and_blank_lines_before_parts() -> None:
    stream = b"\r\n\r\n" + part(A).replace(b"\r\nContent", b"\nContent") + b"\n\n" + part(B)
    assert all_of(stream) == [A, B]


def test_parts_that_are_no_picture_are_passed_over() -> None:
    assert all_of(part(b"alive", kind=b"text/plain") + part(A)) == [A]


def test_the_closing_boundary_ends_it() -> None:
    parts = Parts(b"b")
    parts.feed(part(A) + b"--b--\r\n")
    assert (parts.next(), parts.next(), parts.ended) == (A, None, True)


@pytest.mark.parametrize(
    "stream",
    [
        b"--b\r\nContent-Length: 99999999999\r\n\r\n",
        b"x" * (MAX_HEAD + 1),
        b"--b\r\nX: " + b"y" * MAX_HEAD + b"\r\n\r\n",
    ],
)
def test_what_has_no_end_is_refused(stream: bytes) -> None:
    parts = Parts(b"b")
    parts.feed(stream)
    with pytest.raises(BrokenStream):
        parts.next()


def test_an_endless_picture_is_refused() -> None:
    parts = Parts(b"b")
    parts.feed(b"--b\r\n\r\n")
    for _ in range(16):
        parts.feed(b"z" * 1_000_000)
        assert parts.next() is None
    parts.feed(b"z" * 1_000_000)
    with pytest.raises(BrokenStream, match="more than"):
        parts.next()


@given(cuts=st.lists(st.integers(0, 300), max_size=12), length=st.booleans())
def test_how_the_network_cuts_it_does_not_matter(cuts: list[int], length: bool) -> None:
    stream = part(A, length=length) + part(B, length=length) + part(C, length=length) + b"--b\r\n"
    parts, found = Parts(b"b"), []
    for start, end in pairwise([0, *sorted(min(c, len(stream)) for c in cuts), len(stream)]):
        parts.feed(stream[start:end])
        while (body := parts.next()) is not None:
            found.append(body)
    assert found == [A, B, C]


@given(st.binary(max_size=400))
def test_noise_never_does_worse_than_a_broken_stream(noise: bytes) -> None:
    parts = Parts(b"b")
    parts.feed(noise)
    try:
        while parts.next() is not None:
            pass
    except BrokenStream:
        pass
    jpeg_size(noise)


def test_size_of_a_jpeg() -> None:
    for flags in ([], [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]):
        data = cv2.imencode(".jpg", np.zeros((48, 64, 3), np.uint8), flags)[1].tobytes()
        assert jpeg_size(data) == (64, 48)
    assert jpeg_size(b"GIF89a") is None
    assert jpeg_size(b"\xff\xd8\xff\xe0\x00\x10") is None

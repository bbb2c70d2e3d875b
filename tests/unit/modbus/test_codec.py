"""Requests and replies as bytes, and frames of a line among stray bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.modbus.codec import Content, decode, encode
from drivers.modbus.frames import ReadBits, ReadWords, Request, WriteCoil, WriteWord, WriteWords
from drivers.modbus.rtu import Found, crc, find_reply
from tests.fakes.rtu_line import frame


@pytest.mark.parametrize(
    ("request_", "data"),
    [
        (ReadBits(1, 1, 0x13, 37), "00130025"),
        (ReadBits(1, 2, 0xFFFF, 1), "ffff0001"),
        (ReadWords(1, 3, 0x6B, 3), "006b0003"),
        (ReadWords(1, 4, 8, 125), "0008007d"),
        (WriteCoil(1, 0xAC, 0xFF00), "00acff00"),
        (WriteWord(1, 1, 3), "00010003"),
        (WriteWords(1, 1, (10, 258)), "0001000204000a0102"),
    ],
)
def test_requests_of_the_specification(request_: Request, data: str) -> None:
    """Modbus Application Protocol V1.1b3, section 6."""
    assert encode(request_).hex() == data


@pytest.mark.parametrize(
    "request_",
    [
        ReadBits(1, 1, 0, 0),
        ReadBits(1, 1, 0, 2001),
        ReadBits(1, 1, 0xFFFF, 2),
        ReadWords(1, 3, 0, 126),
        WriteCoil(1, 0x10000, 0),
        WriteWord(1, 0, -1),
        WriteWords(1, 0, ()),
        WriteWords(1, 0, (0,) * 124),
        WriteWords(1, 0xFFFF, (0, 0)),
    ],
)
def test_what_fits_no_frame_is_refused(request_: Request) -> None:
    with pytest.raises(ValueError, match=r"."):
        encode(request_)


@pytest.mark.parametrize(
    ("function", "data", "content"),
    [
        (1, "01cd", Content(bits=(True, False, True, True, False, False, True, True))),
        (3, "04022b0064", Content(words=(555, 100))),
        (4, "02000a", Content(words=(10,))),
        (5, "00acff00", Content(echo=(0xAC, 0xFF00))),
        (6, "00010003", Content(echo=(1, 3))),
        (16, "00010002", Content(echo=(1, 2))),
        (1, "", Content()),
        (1, "02cd", Content()),
        (1, "01cd00", Content()),
        (3, "03022b00", Content()),
        (3, "04022b00", Content()),
        (3, "04022b006400", Content()),
        (5, "00acff", Content()),
        (6, "0001000300", Content()),
        (16, "", Content()),
        (22, "0000", Content()),
    ],
)
def test_a_reply_is_believed_only_when_its_length_is_right(
    function: int, data: str, content: Content
) -> None:
    assert decode(function, bytes.fromhex(data)) == content


@given(st.integers(0, 255), st.binary(max_size=260))
def test_no_bytes_from_outside_raise(function: int, data: bytes) -> None:
    content = decode(function, data)
    assert len(content.words) * 2 <= len(data)


def test_the_checksum_is_the_specification_s() -> None:
    """Modbus over Serial Line V1.02, appendix B: 02 07 gives 41 12 on the wire."""
    assert crc(b"\x02\x07").to_bytes(2, "little") == b"\x41\x12"
    assert crc(bytes.fromhex("01060001 0603 9bab")) == 0  # a frame of an R421A08 board


_REPLIES = st.sampled_from(
    [
        frame(3, b"\x01\x01\x07"),
        frame(3, b"\x03\x04\x00\x01\x00\x02"),
        frame(3, b"\x05\x00\x01\xff\x00"),
        frame(3, b"\x10\x00\x01\x00\x02"),
        frame(3, b"\x85\x06"),
    ]
)


@given(st.lists(st.integers(0, 255).filter(lambda b: b != 3), max_size=20).map(bytes), _REPLIES)
def test_a_reply_is_found_behind_any_stray_bytes(stray: bytes, reply: bytes) -> None:
    found, _ = find_reply(stray + reply + b"\0", 3)
    assert found == Found(3, reply[1] & 0x7F, len(stray), len(stray) + len(reply))


@given(_REPLIES, st.data())
def test_a_reply_that_is_still_coming_is_not_thrown_away(reply: bytes, data: st.DataObject) -> None:
    cut = data.draw(st.integers(1, len(reply) - 1))
    stray = b"\xff\x00"
    found, useless = find_reply(stray + reply[:cut], 3)
    assert found is None
    assert useless <= len(stray)


@given(st.binary(max_size=300))
def test_stray_bytes_are_no_reply_and_end_nowhere(data: bytes) -> None:
    found, useless = find_reply(data, None)
    assert 0 <= useless <= len(data)
    if found is not None:
        assert crc(data[found.start : found.end]) == 0


def test_a_reply_of_another_unit_is_passed_over() -> None:
    late, right = frame(4, b"\x01\x01\x01"), frame(3, b"\x01\x01\x00")
    found, _ = find_reply(late + right, 3)
    assert found is not None
    assert (found.start, found.end) == (len(late), len(late) + len(right))

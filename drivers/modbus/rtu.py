"""Frames of the serial line: no header, no number, a checksum at the end."""

from dataclasses import dataclass

from drivers.modbus.codec import ECHOES, KNOWN

_SHORTEST = 5
_LONGEST = 256


@dataclass(frozen=True, slots=True)
class Found:
    """A whole reply within received bytes."""

    unit: int
    function: int
    """Without the exception bit."""
    start: int
    end: int


def _table() -> tuple[int, ...]:
    rows = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0xA001 if value & 1 else 0)  # noqa: PLW2901  # eight shifts of one byte
        rows.append(value)
    return tuple(rows)


_TABLE = _table()


def crc(data: bytes) -> int:
    """CRC-16/MODBUS. On the wire its low byte comes first; over a frame with its checksum it is 0."""
    value = 0xFFFF
    for byte in data:
        value = value >> 8 ^ _TABLE[(value ^ byte) & 0xFF]
    return value


def find_reply(data: bytes, unit: int | None) -> tuple[Found | None, int]:
    """The first whole reply of ``unit`` (None: of anybody) with a right checksum, whatever stands before it.

    A line that turns round leaves stray bytes, and a late reply of one unit may run before another's. The
    number is how many bytes cannot be the beginning of a reply that is still to come.
    """
    useless = None
    for at in range(len(data)):
        if unit is not None and data[at] != unit:
            continue
        end = _end(data, at)
        if end is None or end > len(data):
            useless = at if useless is None else useless
        elif end > at and crc(data[at:end]) == 0:
            return Found(unit=data[at], function=data[at + 1] & 0x7F, start=at, end=end), at
    return None, len(data) if useless is None else useless


def _end(data: bytes, at: int) -> int | None:
    """Where a reply that begins here ends, by its header. ``at`` for no reply, None for too few bytes."""
    if at + 1 >= len(data):
        return None
    function = data[at + 1]
    if function & 0x80:
        return at + (_SHORTEST if function & 0x7F in KNOWN else 0)
    if function in ECHOES:
        return at + 8
    if function not in KNOWN:
        return at
    if at + 2 >= len(data):
        return None
    length = data[at + 2] + _SHORTEST
    return at + (length if length <= _LONGEST else 0)

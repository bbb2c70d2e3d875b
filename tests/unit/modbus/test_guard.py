"""Frames that must never leave, do not."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.modbus.guard import Forbidden, Guard
from drivers.modbus.planning import interim_guard
from tests.fakes.modbus_rig import profile

GUARD = interim_guard(profile())


def coil(address: int, value: int) -> bytes:
    return struct.pack(">HH", address, value)


@pytest.mark.parametrize("value", [5, 30, 300])
@pytest.mark.parametrize("address", [0x0200, 0x021D])
def test_pulses_a_door_may_ask_for_pass(address: int, value: int) -> None:
    GUARD.check(1, 5, coil(address, value))


@pytest.mark.parametrize("function", [1, 2, 3, 4])
def test_reads_pass(function: int) -> None:
    GUARD.check(247, function, coil(0, 8))


def test_off_passes() -> None:
    GUARD.check(1, 5, coil(0, 0))
    GUARD.check(1, 15, struct.pack(">HHBB", 0, 8, 1, 0))


@pytest.mark.parametrize(
    ("unit", "function", "data", "why"),
    [
        (0, 5, coil(0, 0), "broadcast"),
        (0, 1, coil(0, 8), "broadcast"),
        (248, 5, coil(0, 0), "reserved"),
        (1, 5, coil(0, 0x5500), "toggles"),
        (1, 5, coil(0x0200, 0x5500), "toggles"),
        (1, 5, coil(0x00FF, 0), "other doors"),
        (1, 5, coil(0x00FF, 0xFF00), "other doors"),
        (1, 5, coil(0x01FF, 0), "other doors"),
        (1, 5, coil(0, 0xFF00), "neither OFF nor a pulse"),
        (1, 5, coil(0x0200, 0), "no length"),
        (1, 5, coil(0x0200, 4), "neither OFF nor a pulse"),
        (1, 5, coil(0x0200, 301), "neither OFF nor a pulse"),
        (1, 5, coil(0x021E, 30), "neither OFF nor a pulse"),
        (1, 5, coil(0x0400, 30), "neither OFF nor a pulse"),
        (1, 15, struct.pack(">HHBB", 0, 8, 1, 1), "ON for good"),
        (1, 15, struct.pack(">HHBB", 0xFE, 2, 1, 0), "other doors"),
        (1, 6, coil(0x4000, 2), "only reads"),
        (1, 16, b"", "only reads"),
        (1, 0x17, b"", "only reads"),
    ],
)
def test_what_must_never_leave(unit: int, function: int, data: bytes, why: str) -> None:
    with pytest.raises(Forbidden, match=why):
        GUARD.check(unit, function, data)


def test_one_frame_never_spans_outputs_that_exclude_each_other() -> None:
    guard = Guard(exclusive=(frozenset({2, 3}),))
    guard.check(1, 15, struct.pack(">HHBB", 0, 3, 1, 0))
    with pytest.raises(Forbidden, match="never change together"):
        guard.check(1, 15, struct.pack(">HHBB", 2, 2, 1, 0))


@given(st.integers(0, 255), st.integers(0, 0xFFFF), st.integers(0, 0xFFFF))
def test_whatever_passes_cannot_leave_an_output_on(unit: int, address: int, value: int) -> None:
    try:
        GUARD.check(unit, 5, coil(address, value))
    except Forbidden:
        return
    assert unit > 0
    assert value == 0 or (0x0200 <= address < 0x0200 + 30 and 5 <= value <= 300)

"""Frames that must never leave, do not."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.modbus.codec import encode
from drivers.modbus.frames import Write, WriteCoil, WriteWord, WriteWords, function_of
from drivers.modbus.guard import Forbidden, Guard
from drivers.modbus.plan import Allow, Ban, UnitRules


def allow(function: int, first: int, last: int, low: int, high: int) -> Allow:
    return Allow(function=function, first=first, last=last, low=low, high=high)


BOARD = UnitRules(
    allowed=(allow(5, 0, 7, 0, 0), allow(5, 0x0200, 0x0207, 5, 300), allow(5, 0x00FF, 0x00FF, 0, 0)),
    banned=(Ban(address=0x00FF, why="moves every relay"), Ban(address=0x01FF, why="toggles every relay")),
    exclusive=(frozenset({2, 3}),),
)
CODED = UnitRules(
    allowed=(
        allow(6, 1, 8, 0x0601, 0x061E),
        allow(6, 1, 8, 0x0200, 0x0200),
        allow(16, 0x24, 0x24, 0, 0),
        allow(16, 0x25, 0x25, 1, 1),
        allow(16, 1, 2, 0x0200, 0x0200),
    ),
    banned=(Ban(address=0, why="all channels"),),
    exclusive=(frozenset({1, 2}),),
)
GUARD = Guard({1: BOARD, 2: CODED})


def pair(address: int, value: int) -> bytes:
    return struct.pack(">HH", address, value)


def many(address: int, *values: int) -> bytes:
    return encode(WriteWords(1, address, values))


def coils(address: int, count: int, *row: int) -> bytes:
    return struct.pack(">HHB", address, count, len(row)) + bytes(row)


@pytest.mark.parametrize(
    ("unit", "function", "data"),
    [
        *((247, function, pair(0, 8)) for function in (1, 2, 3, 4)),
        (1, 5, pair(7, 0)),
        (1, 5, pair(0x0200, 5)),
        (1, 5, pair(0x0207, 300)),
        (1, 15, coils(0, 3, 0)),
        (1, 15, coils(3, 5, 0)),
        (2, 6, pair(8, 0x061E)),
        (2, 6, pair(1, 0x0200)),
        (2, 16, many(0x24, 0, 1)),
        (2, 16, many(2, 0x0200)),
    ],
)
def test_what_the_plans_hold_passes(unit: int, function: int, data: bytes) -> None:
    GUARD.check(unit, function, data)


@pytest.mark.parametrize(
    ("unit", "function", "data", "why"),
    [
        (0, 5, pair(0, 0), "broadcast"),
        (0, 1, pair(0, 8), "broadcast"),
        (248, 5, pair(0, 0), "reserved"),
        (-1, 1, pair(0, 8), "reserved"),
        (3, 5, pair(0, 0), "nothing may be written to this unit"),
        (3, 6, pair(0, 0), "nothing may be written to this unit"),
        (1, 5, pair(0, 0x5500), "toggles"),
        (1, 5, pair(0x0200, 0x5500), "toggles"),
        (1, 5, pair(0x00FF, 0), "banned: moves every relay"),
        (1, 5, pair(0x01FF, 0xFF00), "banned: toggles every relay"),
        (1, 5, pair(0, 0xFF00), "not among the writes"),
        (1, 5, pair(8, 0), "not among the writes"),
        (1, 5, pair(0x0200, 0), "not among the writes"),
        (1, 5, pair(0x0200, 4), "not among the writes"),
        (1, 5, pair(0x0200, 301), "not among the writes"),
        (1, 5, pair(0x0208, 30), "not among the writes"),
        (1, 6, pair(0, 0), "not among the writes"),
        (2, 5, pair(1, 0), "not among the writes"),
        (2, 6, pair(1, 0x0300), "not among the writes"),
        (2, 6, pair(1, 0x0600), "not among the writes"),
        (2, 6, pair(0, 0x0800), "banned: all channels"),
        (2, 6, pair(0x24, 0), "not among the writes"),
        (1, 15, coils(0, 2, 1), "switches coils ON"),
        (1, 15, coils(2, 2, 0), "never change together"),
        (1, 15, coils(0, 4, 0), "never change together"),
        (1, 15, coils(7, 2, 0), "may not be switched OFF"),
        (1, 15, coils(0xFE, 2, 0), "may not be switched OFF|banned"),
        (1, 15, coils(0, 0), "contradict"),
        (1, 15, coils(0, 9, 0), "contradict"),
        (1, 15, coils(0xFFFF, 2, 0), "beyond|may not be"),
        (2, 16, many(0x24, 1, 1), "not among the writes"),
        (2, 16, many(0x24, 0, 1, 0), "not among the writes"),
        (2, 16, many(1, 0x0200, 0x0200), "never change together"),
        (2, 16, many(0xFFFF, 0)[:4] + b"\x02\x00", "contradict"),
        (2, 16, b"", "malformed"),
        (2, 6, b"\0", "malformed"),
        (1, 5, pair(0, 0) + b"\0", "malformed"),
        (1, 0x17, pair(0, 0), "neither a read nor a write"),
        (1, 0x16, pair(0, 0), "neither a read nor a write"),
        (1, 8, pair(0, 0), "neither a read nor a write"),
        (1, 0, b"", "neither a read nor a write"),
        (1, 0x81, b"", "neither a read nor a write"),
    ],
)
def test_what_must_never_leave(unit: int, function: int, data: bytes, why: str) -> None:
    with pytest.raises(Forbidden, match=why):
        GUARD.check(unit, function, data)


def test_an_empty_guard_lets_reads_pass_and_no_write() -> None:
    Guard().check(1, 3, pair(0, 1))
    with pytest.raises(Forbidden):
        Guard().check(1, 5, pair(0, 0))


def test_registers_with_the_numbers_of_coils_that_exclude_each_other_are_something_else() -> None:
    rules = UnitRules(allowed=(allow(5, 0, 1, 0, 0), allow(16, 0, 1, 9, 9)), exclusive=(frozenset({0, 1}),))
    Guard({1: rules}).check(1, 16, many(0, 9, 9))


_ADDRESS, _VALUE = st.integers(0, 12), st.integers(0, 12)
_ALLOWS = st.builds(
    lambda function, first, more, low, span: allow(function, first, first + more, low, low + span),
    st.sampled_from([5, 6, 16]),
    _ADDRESS,
    st.integers(0, 3),
    _VALUE,
    st.integers(0, 3),
)
_RULES = st.builds(
    lambda allowed, banned: UnitRules(
        allowed=tuple(allowed), banned=tuple(Ban(address=b, why="x") for b in banned)
    ),
    st.lists(_ALLOWS, max_size=4),
    st.lists(_ADDRESS, max_size=2),
)
_WRITES = st.one_of(
    st.builds(WriteCoil, st.integers(1, 3), _ADDRESS, _VALUE),
    st.builds(WriteWord, st.integers(1, 3), _ADDRESS, _VALUE),
    st.builds(WriteWords, st.integers(1, 3), _ADDRESS, st.lists(_VALUE, min_size=1, max_size=3).map(tuple)),
)


@given(st.dictionaries(st.integers(1, 3), _RULES), _WRITES)
def test_a_write_passes_exactly_when_the_rules_of_its_unit_name_it(
    units: dict[int, UnitRules], write: Write
) -> None:
    function = function_of(write)
    values = write.values if isinstance(write, WriteWords) else (write.value,)
    cells = list(enumerate(values, write.address))
    rules = units.get(write.unit)
    named = rules is not None and all(
        any(
            a.function == function and a.first <= address <= a.last and a.low <= value <= a.high
            for a in rules.allowed
        )
        and address not in {b.address for b in rules.banned}
        for address, value in cells
    )
    if named:
        Guard(units).check(write.unit, function, encode(write))
    else:
        with pytest.raises(Forbidden):
            Guard(units).check(write.unit, function, encode(write))


@given(st.integers(-1, 300), st.integers(0, 255), st.binary(max_size=12))
def test_nothing_outside_the_rules_passes_however_it_is_written(
    unit: int, function: int, data: bytes
) -> None:
    try:
        GUARD.check(unit, function, data)
    except Forbidden:
        return
    assert 1 <= unit <= 247
    if function in {1, 2, 3, 4}:
        return
    if function == 15:
        assert unit == 1
        assert not any(data[5:])
        return
    words = struct.unpack(f">{len(data[5:]) // 2}H", data[5:]) if function == 16 else [data[3] | data[2] << 8]
    first = data[1] | data[0] << 8
    allowed = GUARD.units[unit].allowed
    for address, value in enumerate(words, first):
        assert any(
            a.function == function and a.first <= address <= a.last and a.low <= value <= a.high
            for a in allowed
        )

"""A profile's places, settings and expectations as requests to one unit."""

from collections.abc import Collection
from typing import Final

from drivers.modbus.frames import ON as COIL_ON
from drivers.modbus.frames import (
    READ_COILS,
    READ_DISCRETE_INPUTS,
    READ_HOLDING,
    READ_INPUT,
    ReadBits,
    ReadWords,
    Write,
    WriteCoil,
    WriteWord,
    WriteWords,
)
from drivers.modbus.plan import Check, Field
from drivers.modbus.profile import Expect, Place, Setting

_FUNCTIONS: Final = {
    "coils": READ_COILS,
    "discrete_inputs": READ_DISCRETE_INPUTS,
    "holding": READ_HOLDING,
    "input": READ_INPUT,
}
_MOST_BITS: Final = 256
_MOST_WORDS: Final = 60
"""Of one request: well below what the protocol allows, because small devices hold less."""


def is_bits(place: Place | Expect) -> bool:
    """Whether it is among the coils or discrete inputs."""
    return place.space in {"coils", "discrete_inputs"}


def field_of(place: Place, unit: int, channel: int, among: Collection[int] = ()) -> Field:
    """Where the value of a channel is read.

    ``among`` are channels that are read at the same time: where their row has no gaps and is short, all of
    them have the same request. Nothing outside their row is read, because a smaller device may not have it.
    """
    function = _FUNCTIONS[place.space]
    if place.packed:
        return Field(read=ReadWords(unit, function, place.first), mask=1 << channel - 1)
    size = 1 if is_bits(place) else place.words
    lowest, highest = min({channel, *among}), max({channel, *among})
    count = (highest - lowest + 1) * size
    if place.stride != size or count > (_MOST_BITS if is_bits(place) else _MOST_WORDS):
        lowest, count = channel, size
    start, index = address_of(place, lowest), (channel - lowest) * size
    if is_bits(place):
        return Field(read=ReadBits(unit, function, start, count), index=index)
    read = ReadWords(unit, function, start, count)
    return Field(read=read, index=index, words=size, low_word_first=place.low_word_first)


def address_of(place: Place, channel: int) -> int:
    """The first address of a channel's bit or number."""
    return place.first + (channel - 1) * place.stride


def number_write(place: Place, unit: int, channel: int, value: int) -> Write:
    """Write a channel's number."""
    address = address_of(place, channel)
    if place.words == 1:
        return WriteWord(unit, address, value)
    high, low = value >> 16, value & 0xFFFF
    return WriteWords(unit, address, (low, high) if place.low_word_first else (high, low))


def setting_write(setting: Setting, unit: int) -> Write:
    """Write a setting."""
    if setting.coil is not None:
        return WriteCoil(unit, setting.coil, COIL_ON if setting.value else 0)
    address = setting.register or 0
    if setting.words:
        return WriteWords(unit, address, (setting.value, *setting.words))
    return WriteWord(unit, address, setting.value)


def check_of(expect: Expect, unit: int) -> Check:
    """What an expectation reads, and within which bounds it holds."""
    function = _FUNCTIONS[expect.space]
    if is_bits(expect):
        field = Field(read=ReadBits(unit, function, expect.address))
    else:
        field = Field(read=ReadWords(unit, function, expect.address), mask=expect.mask)
    if expect.equals is not None:
        return Check(field=field, low=expect.equals, high=expect.equals, what=expect.what)
    high = 0xFFFF if expect.high is None else expect.high
    return Check(field=field, low=expect.low or 0, high=high, what=expect.what)

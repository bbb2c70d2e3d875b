"""Few requests for many fields: what lies side by side is read at once."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from drivers.modbus.frames import Read, ReadBits
from drivers.modbus.plan import Field

_MOST_BITS: Final = 256
_MOST_WORDS: Final = 120
"""Below the protocol's 2000 and 125: small devices have small buffers."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A field and its number in the device's row of them, such as the input it belongs to."""

    number: int
    field: Field


def merged(row: Iterable[Placed]) -> dict[int, Field]:
    """The same fields by number, reading as much as possible at once.

    ``row`` holds one kind of thing, such as the inputs' states. Two of them are read together if they touch,
    or if there is exactly room between them for those that the device numbers in between.
    """
    groups: list[list[Placed]] = []
    for placed in sorted(row, key=lambda p: (*_kind(p), _begin(p), p.number)):
        if groups and _joins(groups[-1][0], groups[-1][-1], placed):
            groups[-1].append(placed)
        else:
            groups.append([placed])
    return {p.number: f for group in groups for p, f in _together(group)}


def _kind(placed: Placed) -> tuple[str, int, int]:
    read = placed.field.read
    return type(read).__name__, read.unit, read.function


def _begin(placed: Placed) -> int:
    return placed.field.read.address


def _end(placed: Placed) -> int:
    return placed.field.read.address + placed.field.read.count


def _joins(first: Placed, last: Placed, new: Placed) -> bool:
    if _kind(last) != _kind(new):
        return False
    a, b = last.field.read, new.field.read
    most = _MOST_BITS if isinstance(b, ReadBits) else _MOST_WORDS
    if _end(new) - _begin(first) > most:
        return False
    step = new.number - last.number
    return b.address <= _end(last) or (step > 0 and b.address - a.address == step * a.count == step * b.count)


def _together(group: list[Placed]) -> list[tuple[Placed, Field]]:
    first = _begin(group[0])
    count = max(_end(p) for p in group) - first
    read: Read = replace(group[0].field.read, address=first, count=count)
    return [
        (p, replace(p.field, read=read, index=p.field.index + p.field.read.address - first)) for p in group
    ]

"""A simulated device's memory and its codec: one request PDU in, one reply PDU out.

Written from the Modbus Application Protocol V1.1b3 on its own, so that the driver's codec is never on both
sides. What is not there answers exception 2, as the manual asks; nothing is read as zero.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

Space = Literal["coils", "discrete_inputs", "holding", "input"]

ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE = 1, 2, 3
_MOST_BITS, _MOST_WRITTEN_BITS, _MOST_WORDS, _MOST_WRITTEN_WORDS = 2000, 1968, 125, 123
_READS: Final[dict[int, Space]] = {1: "coils", 2: "discrete_inputs", 3: "holding", 4: "input"}
ON, OFF = 0xFF00, 0x0000


class Wrong(Exception):
    """The request is answered with this exception code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


@dataclass(slots=True)
class Cell:
    """One bit or register. ``set`` gets the raw 16-bit value and raises Wrong for one it does not take."""

    get: Callable[[], int] | None = None
    set: Callable[[int], None] | None = None


@dataclass(slots=True)
class Memory:
    """Cells by space and address."""

    cells: dict[tuple[Space, int], Cell] = field(default_factory=dict)

    def cell(self, space: Space, address: int) -> Cell:
        """The cell there, made if it is not."""
        return self.cells.setdefault((space, address), Cell())

    def keep(self, space: Space, address: int, value: int = 0) -> None:
        """A cell that remembers what is written to it. One that is there already stays."""
        if (space, address) in self.cells:
            return
        kept = [value]

        def write(raw: int) -> None:
            kept[0] = (raw != OFF) if space == "coils" else raw

        self.cells[space, address] = Cell(lambda: int(kept[0]), write)

    def value(self, space: Space, address: int) -> int:
        """What a read of this cell says. Raises Wrong."""
        cell = self.cells.get((space, address))
        if cell is None or cell.get is None:
            raise Wrong(ILLEGAL_ADDRESS)
        return int(cell.get())

    def write(self, space: Space, address: int, raw: int) -> None:
        """Write one cell. Raises Wrong."""
        cell = self.cells.get((space, address))
        if cell is None or cell.set is None:
            raise Wrong(ILLEGAL_ADDRESS)
        cell.set(raw)

    def answer(self, pdu: bytes) -> bytes:
        """Carry out a request. Never raises: what is wrong with it is in the reply."""
        function, data = pdu[0], pdu[1:]
        known = self._functions().get(function)
        if known is None:
            return exception(function, ILLEGAL_FUNCTION)
        try:
            return bytes([function]) + known(function, data)
        except Wrong as wrong:
            return exception(function, wrong.code)
        except struct.error:
            return exception(function, ILLEGAL_VALUE)

    def _functions(self) -> dict[int, Callable[[int, bytes], bytes]]:
        return {
            1: self._read_bits,
            2: self._read_bits,
            3: self._read_words,
            4: self._read_words,
            5: self._write_one,
            6: self._write_one,
            15: self._write_bits,
            16: self._write_words,
        }

    def _read_bits(self, function: int, data: bytes) -> bytes:
        address, count = struct.unpack(">HH", data)
        if not 1 <= count <= _MOST_BITS:
            raise Wrong(ILLEGAL_VALUE)
        packed = bytearray((count + 7) // 8)
        for i in range(count):
            packed[i // 8] |= bool(self.value(_READS[function], address + i)) << i % 8
        return bytes([len(packed)]) + bytes(packed)

    def _read_words(self, function: int, data: bytes) -> bytes:
        address, count = struct.unpack(">HH", data)
        if not 1 <= count <= _MOST_WORDS:
            raise Wrong(ILLEGAL_VALUE)
        words = [self.value(_READS[function], address + i) & 0xFFFF for i in range(count)]
        return struct.pack(f">B{count}H", 2 * count, *words)

    def _write_one(self, function: int, data: bytes) -> bytes:
        address, value = struct.unpack(">HH", data)
        self.write("coils" if function == 5 else "holding", address, value)
        return data

    def _write_bits(self, _function: int, data: bytes) -> bytes:
        address, count, size = struct.unpack(">HHB", data[:5])
        bits = data[5:]
        if not 1 <= count <= _MOST_WRITTEN_BITS or size != (count + 7) // 8 or len(bits) != size:
            raise Wrong(ILLEGAL_VALUE)
        for i in range(count):
            self._must_take("coils", address + i)
        for i in range(count):
            self.write("coils", address + i, ON if bits[i // 8] >> i % 8 & 1 else OFF)
        return data[:4]

    def _write_words(self, _function: int, data: bytes) -> bytes:
        address, count, size = struct.unpack(">HHB", data[:5])
        if not 1 <= count <= _MOST_WRITTEN_WORDS or size != 2 * count or len(data) != 5 + size:
            raise Wrong(ILLEGAL_VALUE)
        words = struct.unpack(f">{count}H", data[5:])
        for i in range(count):
            self._must_take("holding", address + i)
        for i, word in enumerate(words):
            self.write("holding", address + i, word)
        return data[:4]

    def _must_take(self, space: Space, address: int) -> None:
        """All or none of a long write."""
        cell = self.cells.get((space, address))
        if cell is None or cell.set is None:
            raise Wrong(ILLEGAL_ADDRESS)


def exception(function: int, code: int) -> bytes:
    """An exception reply."""
    return bytes([function | 0x80, code])

"""Waveshare's register map over simulated relays: one request PDU in, one reply PDU out."""

import struct
from collections.abc import Callable, Sequence
from typing import Final

from drivers.simulators.memory import exception
from drivers.simulators.modbus_relays import Relays

_ON, _OFF, _TOGGLE = 0xFF00, 0x0000, 0x5500
_FLASH_ON, _FLASH_OFF = 0x0200, 0x0400
_ALL, _TOGGLE_ALL = 0x00FF, 0x01FF
_UNIT_REGISTER, _VERSION_REGISTER = 0x4000, 0x8000
_VERSION: Final = 200
_MOST_BITS, _MOST_WRITTEN_BITS, _MOST_REGISTERS = 2000, 1968, 123
ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE = 1, 2, 3


class _Wrong(Exception):
    """The request is answered with this exception code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class RegisterMap:
    """FC01 02 03 05 06 0F 10. ``inputs`` are the digital inputs; ``unit`` is the device's address."""

    def __init__(self, relays: Relays, unit: int) -> None:
        self.unit = unit
        self.inputs = [False] * 8
        self._relays = relays
        self._functions: dict[int, Callable[[bytes], bytes]] = {
            1: self._read_coils,
            2: self._read_inputs,
            3: self._read_registers,
            5: self._write_coil,
            6: self._write_register,
            15: self._write_coils,
            16: self._write_registers,
        }

    def power_off(self, why: str) -> None:
        """All outputs drop, all timers are forgotten."""
        self._relays.power_off(why)

    def answer(self, pdu: bytes) -> bytes:
        """Carry out a request. Never raises: what is wrong with it is in the reply."""
        function, data = pdu[0], pdu[1:]
        known = self._functions.get(function)
        if known is None:
            return exception(function, ILLEGAL_FUNCTION)
        try:
            return bytes([function]) + known(data)
        except _Wrong as wrong:
            return exception(function, wrong.code)
        except struct.error:
            return exception(function, ILLEGAL_VALUE)

    def _read_coils(self, data: bytes) -> bytes:
        return _bits(data, [self._relays.coil(i) for i in range(self._relays.count)])

    def _read_inputs(self, data: bytes) -> bytes:
        return _bits(data, self.inputs)

    def _read_registers(self, data: bytes) -> bytes:
        address, count = struct.unpack(">HH", data)
        if not 1 <= count <= _MOST_REGISTERS + 2:
            raise _Wrong(ILLEGAL_VALUE)
        values = {_UNIT_REGISTER: self.unit, _VERSION_REGISTER: _VERSION}
        if count != 1 or address not in values:
            raise _Wrong(ILLEGAL_ADDRESS)
        return struct.pack(">BH", 2, values[address])

    def _write_coil(self, data: bytes) -> bytes:
        address, value = struct.unpack(">HH", data)
        count = self._relays.count
        if address < count:
            self._switch(address, value)
        elif _FLASH_ON <= address < _FLASH_ON + count:
            self._flash(address - _FLASH_ON, value, on=True)
        elif _FLASH_OFF <= address < _FLASH_OFF + count:
            self._flash(address - _FLASH_OFF, value, on=False)
        elif address in {_ALL, _TOGGLE_ALL}:
            for i in range(count):
                self._switch(i, _TOGGLE if address == _TOGGLE_ALL else value)
        else:
            raise _Wrong(ILLEGAL_ADDRESS)
        return data

    def _switch(self, index: int, value: int) -> None:
        if value not in {_ON, _OFF, _TOGGLE}:
            raise _Wrong(ILLEGAL_VALUE)
        on = not self._relays.coil(index) if value == _TOGGLE else value == _ON
        self._relays.write(index, on=on, why="write")

    def _flash(self, index: int, ticks: int, *, on: bool) -> None:
        if ticks == 0:
            raise _Wrong(ILLEGAL_VALUE)
        self._relays.flash(index, ticks, on=on)

    def _write_coils(self, data: bytes) -> bytes:
        address, count, size = struct.unpack(">HHB", data[:5])
        bits = data[5:]
        if not 1 <= count <= _MOST_WRITTEN_BITS or size != (count + 7) // 8 or len(bits) != size:
            raise _Wrong(ILLEGAL_VALUE)
        if address + count > self._relays.count:
            raise _Wrong(ILLEGAL_ADDRESS)
        for i in range(count):
            self._relays.write(address + i, on=bool(bits[i // 8] >> i % 8 & 1), why="write many")
        return data[:4]

    def _write_register(self, data: bytes) -> bytes:
        address, value = struct.unpack(">HH", data)
        self._set_unit(address, value)
        return data

    def _write_registers(self, data: bytes) -> bytes:
        address, count, size = struct.unpack(">HHB", data[:5])
        if not 1 <= count <= _MOST_REGISTERS or size != 2 * count or len(data) != 5 + size:
            raise _Wrong(ILLEGAL_VALUE)
        if count != 1:
            raise _Wrong(ILLEGAL_ADDRESS)
        self._set_unit(address, *struct.unpack(">H", data[5:]))
        return data[:4]

    def _set_unit(self, address: int, value: int) -> None:
        if address != _UNIT_REGISTER:
            raise _Wrong(ILLEGAL_ADDRESS)
        if not 1 <= value <= 247:
            raise _Wrong(ILLEGAL_VALUE)
        self.unit = value


def _bits(data: bytes, bits: Sequence[bool]) -> bytes:
    address, count = struct.unpack(">HH", data)
    if not 1 <= count <= _MOST_BITS:
        raise _Wrong(ILLEGAL_VALUE)
    if address + count > len(bits):
        raise _Wrong(ILLEGAL_ADDRESS)
    packed = bytearray((count + 7) // 8)
    for i in range(count):
        packed[i // 8] |= bits[address + i] << i % 8
    return bytes([len(packed)]) + bytes(packed)

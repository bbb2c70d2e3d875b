"""A board that keeps its pulses' lengths in registers and counts its relays' closings: no real device."""

import asyncio
import struct
from typing import Any

from drivers.modbus.profile import Profile
from drivers.modbus.profiles import parse_profile
from drivers.simulators.door_controller import DoorController
from drivers.simulators.modbus_map import RegisterMap
from drivers.simulators.modbus_relays import Edge, Relays

START, COUNT, ON_WIDTH, OFF_WIDTH, CYCLES = 0x10, 36, 52, 68, 96
ON_START = {"addresses": range(START, START + 8), "functions": frozenset({5})}
ON_WIDTHS = {"addresses": range(ON_WIDTH, ON_WIDTH + 8), "functions": frozenset({6})}


def preset_profile() -> Profile:
    raw: dict[str, Any] = {
        "name": "Preset board",
        "maker": "nobody",
        "models": ["1"],
        "class": "A",
        "verified": "paper",
        "sources": ["tests"],
        "installer": "nothing to set",
        "transports": ["tcp"],
        "outputs": {
            "first": 0,
            "count": 8,
            "readback": {"space": "coils", "first": 0},
            "cycles": {"space": "input", "first": CYCLES, "stride": 2, "words": 2},
            "pulse": {
                "kind": "preset",
                "start": START,
                "on_width": {"space": "holding", "first": ON_WIDTH},
                "off_width": {"space": "holding", "first": OFF_WIDTH},
                "count": {"space": "holding", "first": COUNT, "stride": 2, "words": 2},
                "unit_us": 1000,
            },
        },
    }
    return parse_profile(raw, source="test")


class PresetMap(RegisterMap):
    def __init__(self, relays: Relays, unit: int) -> None:
        super().__init__(relays, unit)
        self.registers: dict[int, int] = {}
        self.closings = [0] * 8
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._functions[4] = self._read_cycles

    def note(self, edge: Edge) -> None:
        self.closings[edge.relay - 1] += edge.on

    def _read_cycles(self, data: bytes) -> bytes:
        address, count = struct.unpack(">HH", data)
        words = [w for n in self.closings for w in (n >> 16, n & 0xFFFF)]
        part = words[address - CYCLES : address - CYCLES + count]
        return struct.pack(f">B{count}H", 2 * count, *part)

    def _write_coil(self, data: bytes) -> bytes:
        address, value = struct.unpack(">HH", data)
        index = address - START
        if not 0 <= index < 8:
            return super()._write_coil(data)
        if timer := self._timers.pop(index, None):
            timer.cancel()
        self._relays.write(index, on=bool(value), why="pulse" if value else "stop")
        if value:
            loop, length = asyncio.get_running_loop(), self.registers[ON_WIDTH + index] / 1000
            self._timers[index] = loop.call_later(
                length, lambda: self._relays.write(index, on=False, why="timer")
            )
        return data

    def _write_register(self, data: bytes) -> bytes:
        address, value = struct.unpack(">HH", data)
        self.registers[address] = value
        return data

    def _write_registers(self, data: bytes) -> bytes:
        address, count, _ = struct.unpack(">HHB", data[:5])
        for i, value in enumerate(struct.unpack(f">{count}H", data[5:])):
            self.registers[address + i] = value
        return data[:4]


class PresetBoard(DoorController):
    map: PresetMap

    def __init__(self) -> None:
        super().__init__(on_edge=self._count)
        self.map = PresetMap(self.relays, 1)
        self.devices = [self.map]

    def _count(self, edge: Edge) -> None:
        self.map.note(edge)

    def started(self) -> int:
        """Requests to start a pulse that came."""
        return self.requests.count(bytes([5, 0, START, 0xFF, 0]))

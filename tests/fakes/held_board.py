"""A board whose outputs stay ON until told otherwise, with a watchdog: registers of no real device."""

import asyncio
import struct
from typing import Any

from drivers.modbus.profile import Profile
from drivers.modbus.profiles import parse_profile
from drivers.simulators.door_controller import DoorController
from drivers.simulators.memory import exception
from drivers.simulators.modbus_map import RegisterMap
from drivers.simulators.modbus_relays import Relays

TIME, RUN, STATUS, CLEAR, POWER_ON, REBOOTED = 0x1000, 0x1003, 0x1006, 0x1007, 0x1008, 0x1009
COUNTERS = 0x20
LATCHES = 32
WATCHDOG_MS = 1000
ON_SWITCH = {"addresses": range(8), "functions": frozenset({5})}
"""For faults of frames that open or close."""

_OUTPUTS: dict[str, Any] = {
    "first": 0,
    "count": 8,
    "readback": {"space": "coils", "first": 0},
    "pulse": {"kind": "held"},
}
_WATCHDOG: dict[str, Any] = {
    "time": TIME,
    "unit_ms": 100,
    "timeout_ms": WATCHDOG_MS,
    "after": [{"register": RUN, "value": 1}],
    "running": {"space": "holding", "address": STATUS, "equals": 1, "what": "the watchdog's status"},
    "clear": [{"register": CLEAR, "value": 1}],
}


def held_profile(kind: str = "B", **watchdog: Any) -> Profile:
    """Class B with a status, or class C; ``watchdog`` replaces keys (None removes them)."""
    dog = {k: v for k, v in {**_WATCHDOG, **watchdog}.items() if v is not None}
    raw: dict[str, Any] = {
        "name": "Held board",
        "maker": "nobody",
        "models": ["1"],
        "class": kind,
        "verified": "paper",
        "sources": ["tests"],
        "installer": "nothing to set",
        "transports": ["tcp"],
        "outputs": _OUTPUTS,
        "inputs": {"count": 8, "state": {"space": "discrete_inputs", "first": 0}},
        "checks": [{"space": "holding", "address": POWER_ON, "equals": 0, "what": "the power-on value"}],
        "rebooted": {"space": "holding", "address": REBOOTED, "mask": 1, "equals": 1, "what": "reset"},
    }
    if kind == "B":
        raw["watchdog"] = dog
    return parse_profile(raw, source="test")


def counting_profile(**inputs: Any) -> Profile:
    """A class A board whose inputs have counters, or whatever ``inputs`` says."""
    raw: dict[str, Any] = {
        "name": "Counting board",
        "maker": "nobody",
        "models": ["1"],
        "class": "A",
        "verified": "paper",
        "sources": ["tests"],
        "installer": "nothing to set",
        "transports": ["tcp"],
        "outputs": {**_OUTPUTS, "pulse": {"kind": "fc05_ticks", "base": 0x200, "unit_ms": 100}},
        "inputs": {"count": 8, "state": {"space": "discrete_inputs", "first": 0}, **inputs},
    }
    return parse_profile(raw, source="test")


class HeldMap(RegisterMap):
    """The waveshare map's coils and inputs, with counters, latches and a watchdog beside them."""

    def __init__(self, relays: Relays, unit: int) -> None:
        super().__init__(relays, unit)
        self.registers: dict[int, int] = {}
        self.counters = [0] * 8
        self.latches = [False] * 16
        """High ones of inputs 1 to 8, then low ones."""
        self.fed_by_writes_only = False
        self.watchdog_works = True
        self.expired = 0
        self._timer: asyncio.TimerHandle | None = None
        self._functions[4] = self._read_counters
        self.defaults()
        self.registers[REBOOTED] = 1

    def defaults(self) -> None:
        """As delivered: watchdog off."""
        self.stop()
        self.registers.update(dict.fromkeys((TIME, RUN, STATUS, CLEAR, POWER_ON, REBOOTED), 0))

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def answer(self, pdu: bytes) -> bytes:
        if self.registers[STATUS] == 2 and pdu[0] == 5:
            return exception(5, 3)  # outputs are out of service until the alarm is cleared
        reply = super().answer(pdu)
        if self.registers[STATUS] == 1 and (pdu[0] > 4 or not self.fed_by_writes_only):
            self.feed()
        return reply

    def feed(self) -> None:
        self.stop()
        if self.watchdog_works:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self.registers[TIME] * 0.1, self._expire)

    def set_input(self, number: int, *, on: bool) -> None:
        """An input changes; the device counts and latches by itself."""
        if self.inputs[number - 1] == on:
            return
        self.inputs[number - 1] = on
        self.latches[number - 1 if on else number + 7] = True
        if on:
            self.counters[number - 1] = (self.counters[number - 1] + 1) & 0xFFFF

    def _expire(self) -> None:
        self._timer = None
        self.expired += 1
        self.registers[STATUS] = 2
        self._relays.power_off("watchdog")

    def _read_inputs(self, data: bytes) -> bytes:
        kept, self.inputs = self.inputs, [*self.inputs, *[False] * (LATCHES - 8), *self.latches]
        try:
            return super()._read_inputs(data)
        finally:
            self.inputs = kept

    def _write_coil(self, data: bytes) -> bytes:
        address, value = struct.unpack(">HH", data)
        if LATCHES <= address <= LATCHES + 1 and value:
            for i in range(8):
                self.latches[8 * (address - LATCHES) + i] = False
            return data
        return super()._write_coil(data)

    def _read_registers(self, data: bytes) -> bytes:
        address, count = struct.unpack(">HH", data)
        if any(a not in self.registers for a in range(address, address + count)):
            return super()._read_registers(data)
        values = [self.registers[a] for a in range(address, address + count)]
        if REBOOTED in range(address, address + count):
            self.registers[REBOOTED] = 0
        return struct.pack(f">B{count}H", 2 * count, *values)

    def _read_counters(self, data: bytes) -> bytes:
        address, count = struct.unpack(">HH", data)
        values = self.counters[address - COUNTERS : address - COUNTERS + count]
        return struct.pack(f">B{count}H", 2 * count, *values)

    def _set_unit(self, address: int, value: int) -> None:
        if address not in self.registers:
            super()._set_unit(address, value)
            return
        self.registers[address] = value
        if address == RUN:
            self.registers[STATUS] = value
        elif address == CLEAR and self.registers[STATUS] == 2:
            self.registers[STATUS] = 0


class HeldBoard(DoorController):
    """The simulated board with a ``HeldMap``."""

    map: HeldMap

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.map = HeldMap(self.relays, 1)
        self.devices = [self.map]

    async def __aexit__(self, *error: object) -> None:
        self.map.stop()
        await super().__aexit__(*error)

    def opened(self) -> int:
        """ON requests for relay 1 that came."""
        return self.requests.count(bytes([5, 0, 0, 0xFF, 0]))

    def reboot_behind_a_gateway(self, *, factory: bool = False) -> None:
        """Its power fails for a moment; the connection, which is the gateway's, stays."""
        self.map.stop()
        self.relays.power_off("reboot")
        if factory:
            self.map.defaults()
        else:
            self.map.registers[STATUS] = self.map.registers[RUN]
            self.map.registers[REBOOTED] = 1

"""``facegate door watch``: a door's inputs and relay, live. Nothing is written, not even OFF."""

import asyncio
from collections.abc import Callable
from datetime import datetime

from drivers.modbus.frames import Priority
from drivers.modbus.relay_line import RelayLine, Seen
from gateway.domain.readings import Readings
from gateway.doors import Doors
from gateway.settings import Site
from gateway.wiring import Relay

_LOOK_S = 0.25

Say = Callable[[str], None]


class _Board:
    """Says what changed, a line a change."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._last: dict[str, str] = {}

    def take(self, readings: Readings) -> None:
        for sensor, on in readings.on.items():
            self.show(sensor.value, "cannot be read" if on is None else "on" if on else "off")
        for way, count in readings.passages.items():
            self.show(f"passages {way.value}", "cannot be read" if count is None else str(count))

    def show(self, name: str, value: str) -> None:
        if self._last.get(name) != value:
            self._last[name] = value
            self._say(f"{datetime.now().astimezone():%H:%M:%S.%f}"[:-3] + f"  {name:<14} {value}")


async def watch_door(site: Site, door: str, say: Say) -> None:
    """Show every change until cancelled. May run beside the gateway where the device takes two clients."""
    doors = Doors.of_site(site, only={door}, read_only=True)
    board = _Board(say)
    sensors = doors.sensors[door]
    sensors.subscribe(board.take)
    relays = [r for lock, r in doors.wiring.relays.items() if lock.split(".")[0] == door]
    units = {doors.units[r.device] for r in relays}
    for unit in units:
        unit.enter()
    try:
        await doors.start(lambda _health: None)
        while True:
            for relay in relays:
                board.show(f"relay {relay.lock_id}", await _state(doors, relay))
            await asyncio.sleep(_LOOK_S)
    finally:
        await doors.aclose()
        for unit in units:
            await unit.leave()


async def _state(doors: Doors, relay: Relay) -> str:
    unit = doors.units[relay.device]
    if not unit.bus.connected:
        return unit.bus.detail
    seen = await RelayLine(unit.link, relay.normal).read(Priority.POLL)
    if isinstance(seen, Seen):
        return "ON (released)" if seen.on else "OFF (locked)"
    return f"cannot be read: {seen.why}"

"""A door on a simulated device made from a shipped profile, whatever it is."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from drivers.modbus.bus import ModbusBus
from drivers.modbus.guard import Guard
from drivers.modbus.plan import PulseClass
from drivers.modbus.planning import output_plan, unit_plan
from drivers.modbus.profile import Profile
from drivers.modbus.profiles import all_profiles
from drivers.modbus.pulses import DOOR_PULSE_MS, pulse_lengths
from drivers.modbus.relay_door import RelayDoor
from drivers.modbus.transport import Tcp
from drivers.modbus.unit import Unit
from drivers.simulators.modbus_server import ModbusServer
from drivers.simulators.profiled import ProfiledDevice
from gateway.domain.ids import AccessPointId, DoorId
from gateway.telemetry.clock import SystemClock

DEVICES = Path(__file__).parents[2] / "config" / "devices"
PROFILES = all_profiles([DEVICES])
TIMEOUT_MS = 400


def hastened(profile: Profile) -> Profile:
    """The same device with a watchdog that does not take seconds, at both ends of the wire."""
    if profile.watchdog is None:
        return profile
    unit = min(profile.watchdog.unit_ms, 100)
    dog = msgspec.structs.replace(profile.watchdog, timeout_ms=TIMEOUT_MS, unit_ms=unit, min_ticks=1)
    return msgspec.structs.replace(profile, watchdog=dog)


def shortest_ms(profile: Profile) -> int:
    """The shortest pulse that a door may have on it."""
    return pulse_lengths(profile, DOOR_PULSE_MS)[0]


@dataclass
class ProfiledRig:
    device: ProfiledDevice
    server: ModbusServer
    bus: ModbusBus
    unit: Unit
    door: RelayDoor

    @property
    def held_ms(self) -> int:
        """The longest that the output may be ON for one grant, gateway dead or alive."""
        dog = self.device.profile.watchdog
        return self.door.line.plan.pulse_ms + (dog.timeout_ms if dog else 0)


@contextlib.asynccontextmanager
async def profiled_rig(
    name: str, *, channel: int = 1, timeout_s: float = 0.3, door_id: str = "door-1"
) -> AsyncIterator[ProfiledRig]:
    """A door, not started, on the first relay; the last one is the spare."""
    profile = hastened(PROFILES[name])
    device = ProfiledDevice(profile)
    async with ModbusServer([device]) as server:
        plan = output_plan(
            profile, unit=device.unit, channel=channel, pulse_ms=shortest_ms(profile), where=name
        )
        spare = profile.outputs.count if profile.watchdog else None
        unit_of = unit_plan(profile, unit=device.unit, outputs=[plan], spare=spare, where=name)
        bus = ModbusBus(
            Tcp(server.host, server.port),
            timeout_s=timeout_s,
            guard=Guard({device.unit: unit_of.rules}),
            clock=SystemClock(),
        )
        unit = Unit(bus, unit_of)
        door = RelayDoor(
            door_id=DoorId(door_id),
            serves=frozenset({AccessPointId(door_id)}),
            unit=unit,
            plan=plan,
            unsafe_allowed=profile.pulse_class is PulseClass.C,
        )
        try:
            yield ProfiledRig(device, server, bus, unit, door)
        finally:
            await door.aclose()

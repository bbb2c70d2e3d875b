"""A site's doors: buses, profiles, and one lock for each access point."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from drivers.modbus.bus import ModbusBus
from drivers.modbus.planning import interim_guard
from drivers.modbus.profile import Profile
from drivers.modbus.profiles import load_profile
from drivers.modbus.relay_door import RelayDoor
from drivers.modbus.transport import Tcp
from gateway.domain.doors import DoorHealth
from gateway.domain.errors import ConfigError
from gateway.domain.ids import AccessPointId
from gateway.resources import data
from gateway.settings import Device, Door, Site
from gateway.telemetry.clock import SystemClock


@dataclass(slots=True)
class Doors:
    """Every lock of a site, by access point."""

    _doors: dict[str, RelayDoor] = field(default_factory=dict)
    _pulses: dict[str, int] = field(default_factory=dict)
    _listener: list[Callable[[DoorHealth], None]] = field(default_factory=list)

    @classmethod
    def of_site(cls, site: Site) -> "Doors":
        """Compose; nothing is connected yet. Raises ConfigError naming key and fix."""
        doors = cls()
        profiles = {
            d.id: load_profile((data("config/devices"),), d.profile, where=f"devices[{i}]")
            for i, d in enumerate(site.devices)
        }
        buses: dict[tuple[str, int], tuple[ModbusBus, Device]] = {}
        devices = {d.id: d for d in site.devices}
        for i, door in enumerate(site.doors):
            device = devices[door.device]
            bus = _bus(buses, device, profiles[device.id], devices)
            made = doors._door(door, device, bus, profiles[device.id], f"doors[{i}]")
            for point in site.access_points:
                if point.door == door.id:
                    made.access_point_id = AccessPointId(point.id)
                    doors._doors[point.id] = made
            doors._pulses[door.id] = door.pulse_ms * 1_000_000
        return doors

    def pulse_ns(self, door: str) -> int:
        """How long a door's lock is released for a grant."""
        return self._pulses[door]

    def of(self, access_point: str) -> RelayDoor:
        """The lock of an access point."""
        return self._doors[access_point]

    async def start(self, on_health: Callable[[DoorHealth], None]) -> None:
        """Begin connecting; returns at once."""
        self._listener.append(on_health)
        for door in self._doors.values():
            await door.start()

    async def aclose(self) -> None:
        """Every output OFF, then disconnect. Idempotent."""
        await asyncio.gather(*(door.aclose() for door in self._doors.values()))
        self._listener.clear()

    def _tell(self, health: DoorHealth) -> None:
        for listener in self._listener:
            listener(health)

    def _door(self, door: Door, device: Device, bus: ModbusBus, profile: Profile, key: str) -> RelayDoor:
        return RelayDoor(
            access_point_id=AccessPointId(door.id),
            bus=bus,
            profile=profile,
            unit=device.unit or profile.unit,
            channel=door.channel,
            pulse_ms=door.pulse_ms,
            on_health=self._tell,
            where=key,
        )


def _bus(
    buses: dict[tuple[str, int], tuple[ModbusBus, Device]],
    device: Device,
    profile: Profile,
    devices: dict[str, Device],
) -> ModbusBus:
    """One bus an endpoint: many boards take a single connection only."""
    where = (device.host or "", device.port or profile.port)
    if where not in buses:
        bus = ModbusBus(
            Tcp(*where),
            timeout_s=device.timeout_s,
            guard=interim_guard(profile),
            clock=SystemClock(),
        )
        buses[where] = (bus, device)
    bus, first = buses[where]
    if (devices[first.id].profile, first.timeout_s) != (device.profile, device.timeout_s):
        raise ConfigError(
            f"devices: {first.id} and {device.id} share {where[0]}:{where[1]} "
            "but not profile and timeout_s; give them the same"
        )
    return bus

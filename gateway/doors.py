"""A site's doors: buses, profiles, and one lock for each access point."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from drivers.modbus.bus import ModbusBus
from drivers.modbus.plan import OutputPlan
from drivers.modbus.planning import interim_guard, output_plan, unit_plan
from drivers.modbus.profile import Profile
from drivers.modbus.profiles import load_profile
from drivers.modbus.relay_door import RelayDoor
from drivers.modbus.unit import Unit
from gateway.domain.doors import DoorHealth
from gateway.domain.errors import ConfigError
from gateway.domain.ids import AccessPointId, DoorId
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
        plans = _plans(site, profiles, devices)
        units: dict[str, Unit] = {}
        for door in site.doors:
            device = devices[door.device]
            if device.id not in units:
                bus = _bus(buses, device, profiles[device.id], devices)
                used = [p for d in site.doors if d.device == device.id for p in plans[d.id]]
                units[device.id] = _unit(bus, device, profiles[device.id], used)
            serves = frozenset(AccessPointId(p.id) for p in site.access_points if p.door == door.id)
            made = doors._door(door, units[device.id], plans[door.id], profiles[device.id], serves)
            doors._doors.update(dict.fromkeys(serves, made))
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

    def _door(
        self,
        door: Door,
        unit: Unit,
        plans: tuple[OutputPlan, OutputPlan],
        profile: Profile,
        serves: frozenset[AccessPointId],
    ) -> RelayDoor:
        return RelayDoor(
            door_id=DoorId(door.id),
            serves=serves,
            unit=unit,
            plan=plans[0],
            extended=plans[1],
            facts={"profile": profile.name, "verified": profile.verified},
            on_health=self._tell,
        )


def _plans(
    site: Site, profiles: dict[str, Profile], devices: dict[str, Device]
) -> dict[str, tuple[OutputPlan, OutputPlan]]:
    """Both lengths of each door's pulse."""
    found = {}
    for i, door in enumerate(site.doors):
        device, where = devices[door.device], f"doors[{i}]"
        profile = profiles[device.id]
        unit, channel = device.unit or profile.unit, door.channel
        normal, extended = (
            output_plan(profile, unit=unit, channel=channel, pulse_ms=ms, where=where)
            for ms in (door.pulse_ms, door.extended_pulse_ms or door.pulse_ms)
        )
        found[door.id] = (normal, extended)
    return found


def _unit(bus: ModbusBus, device: Device, profile: Profile, used: list[OutputPlan]) -> Unit:
    plan = unit_plan(
        profile,
        unit=device.unit or profile.unit,
        outputs=used,
        spare=device.spare_channel,
        where=f"devices: {device.id}",
    )
    return Unit(bus, plan)


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
            host=where[0],
            port=where[1],
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

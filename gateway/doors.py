"""A site's hardware at work: a bus for each address, a unit for each device, locks and sensors."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace

from drivers.modbus.bus import ModbusBus
from drivers.modbus.guard import Guard
from drivers.modbus.plan import UnitRules
from drivers.modbus.relay_door import RelayDoor
from drivers.modbus.relay_line import Exclusive
from drivers.modbus.sensors import DoorSensors, InputRef, SensorMap
from drivers.modbus.unit import Unit
from gateway.domain.doors import DoorHealth
from gateway.domain.ids import AccessPointId, DoorId
from gateway.domain.readings import Direction, Sensor
from gateway.settings import UNSAFE_PULSE, Door, Input, Site, Turnstile
from gateway.telemetry.clock import SystemClock
from gateway.wiring import Wired, Wiring, wire


@dataclass(slots=True)
class Doors:
    """Every lock and every door's sensors. Made by ``of_site``; nothing is connected before ``start``."""

    site: Site
    wiring: Wiring
    locks: dict[str, RelayDoor] = field(default_factory=dict)
    """By lock id: a door's id, or ``turnstile.in`` and ``turnstile.out``."""
    sensors: dict[str, DoorSensors] = field(default_factory=dict)
    """By the id of the door or turnstile."""
    units: dict[str, Unit] = field(default_factory=dict)
    """By device id."""
    read_only: bool = False
    _listeners: list[Callable[[DoorHealth], None]] = field(default_factory=list)

    @classmethod
    def of_site(cls, site: Site, *, only: Collection[str] | None = None, read_only: bool = False) -> "Doors":
        """Compose all doors and turnstiles, or ``only`` these. Raises ConfigError naming key and fix.

        ``read_only`` makes sensors and no locks, and nothing can be written.
        """
        wiring = wire(site)
        if read_only:
            wiring = replace(wiring, devices={n: _reading(w) for n, w in wiring.devices.items()})
        doors = cls(site, wiring, read_only=read_only)
        buses = _buses(wiring)
        for name, wired in wiring.devices.items():
            doors.units[name] = Unit(buses[wired.transport.endpoint], wired.plan)
        for door in site.doors:
            if only is None or door.id in only:
                doors._add_door(door)
        for turnstile in site.turnstiles:
            if only is None or turnstile.id in only:
                doors._add_turnstile(turnstile)
        return doors

    def lock_of(self, door: str, direction: str) -> RelayDoor:
        """What opens a door, or a turnstile in one direction."""
        return self.locks.get(f"{door}.{direction}") or self.locks[door]

    def pulse_ns(self, door: str, direction: str) -> int:
        """How long a grant releases that lock."""
        return self.wiring.relays[self.lock_of(door, direction).door_id].normal.pulse_ms * 1_000_000

    def health(self) -> dict[DoorId, DoorHealth]:
        """Each lock."""
        return {DoorId(lock_id): lock.health() for lock_id, lock in self.locks.items()}

    @property
    def ready(self) -> bool:
        """Every lock would open."""
        return all(lock.health().ready for lock in self.locks.values())

    async def start(self, on_health: Callable[[DoorHealth], None]) -> None:
        """Begin connecting; returns at once."""
        self._listeners.append(on_health)
        for lock in self.locks.values():
            await lock.start()
        for sensors in self.sensors.values():
            await sensors.start()

    async def aclose(self) -> None:
        """Every output OFF, then disconnect. Idempotent."""
        await asyncio.gather(*(lock.aclose() for lock in self.locks.values()))
        await asyncio.gather(*(sensors.aclose() for sensors in self.sensors.values()))
        self._listeners.clear()

    def _add_door(self, door: Door) -> None:
        serves = {p.id for p in self.site.access_points if p.door == door.id}
        locks = [] if self.read_only else [self._lock(door.id, serves)]
        wires = {
            Sensor(name): getattr(door.sensors, name) for name in ("contact", "bolt", "rex", "tamper", "fire")
        }
        self._add_sensors(door.id, wires, {}, locks)

    def _add_turnstile(self, turnstile: Turnstile) -> None:
        exclusive = Exclusive()
        locks, passages = [], {}
        for way, lane in turnstile.lanes():
            points = self.site.access_points
            serves = {p.id for p in points if (p.door, p.direction) == (turnstile.id, way)}
            if not self.read_only:
                locks.append(self._lock(f"{turnstile.id}.{way}", serves, exclusive=exclusive))
            if lane.passed is not None:
                passages[Direction(way)] = lane.passed
        wires = {Sensor(name): getattr(turnstile.sensors, name) for name in ("free", "tamper", "fire")}
        self._add_sensors(turnstile.id, wires, passages, locks)

    def _lock(
        self, lock_id: str, serves: Collection[str], *, exclusive: Exclusive | None = None
    ) -> RelayDoor:
        relay = self.wiring.relays[lock_id]
        wired = self.wiring.devices[relay.device]
        lock = RelayDoor(
            door_id=DoorId(lock_id),
            serves=frozenset(AccessPointId(p) for p in serves),
            unit=self.units[relay.device],
            plan=relay.normal,
            extended=relay.extended,
            exclusive=exclusive,
            turnstile=exclusive is not None,
            unsafe_allowed=wired.device.unsafe_pulse == UNSAFE_PULSE,
            facts=_facts(wired),
            on_health=self._tell,
        )
        self.locks[lock_id] = lock
        return lock

    def _add_sensors(
        self,
        door: str,
        wires: Mapping[Sensor, Input | None],
        passages: Mapping[Direction, Input],
        locks: Collection[RelayDoor],
    ) -> None:
        wiring = SensorMap(
            sensors={sensor: self._ref(wire) for sensor, wire in wires.items() if wire is not None},
            passages={way: self._ref(wire) for way, wire in passages.items()},
        )
        lines = {lock.line: self.units[self.wiring.relays[lock.door_id].device] for lock in locks}
        self.sensors[door] = DoorSensors(DoorId(door), wiring, clock=SystemClock(), lines=lines)

    def _ref(self, wire: Input) -> InputRef:
        return InputRef(
            unit=self.units[wire.device],
            number=wire.input,
            active="high" if wire.on == "closed" else "low",
        )

    def _tell(self, health: DoorHealth) -> None:
        for listener in tuple(self._listeners):
            listener(health)


def _reading(wired: Wired) -> Wired:
    """What is left of a device's plan when nothing may be written."""
    inputs = tuple(
        replace(known, prepare=(), clear=(), latched_high=None, latched_low=None)
        for known in wired.plan.inputs
    )
    plan = replace(
        wired.plan,
        outputs=(),
        inputs=inputs,
        checks=(),
        watchdog=None,
        rebooted=None,
        rules=UnitRules(allowed=()),
    )
    return replace(wired, plan=plan)


def _facts(wired: Wired) -> dict[str, str]:
    return {"profile": wired.profile.name, "verified": wired.profile.verified, "device": wired.device.id}


def _buses(wiring: Wiring) -> dict[str, ModbusBus]:
    """One bus an endpoint: many boards take a single connection only."""
    shared: dict[str, list[Wired]] = {}
    for wired in wiring.devices.values():
        shared.setdefault(wired.transport.endpoint, []).append(wired)
    return {
        endpoint: ModbusBus(
            devices[0].transport,
            timeout_s=devices[0].device.timeout_s,
            guard=Guard({wired.plan.unit: wired.plan.rules for wired in devices}),
            clock=SystemClock(),
            min_gap_s=max(wired.plan.min_gap_s for wired in devices),
        )
        for endpoint, devices in shared.items()
    }

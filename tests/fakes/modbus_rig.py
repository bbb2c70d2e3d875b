"""A real driver on a simulated board, with the fleeting things a test needs."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

from drivers.modbus.bus import ModbusBus
from drivers.modbus.planning import interim_guard
from drivers.modbus.profile import Profile
from drivers.modbus.profiles import load_profile
from drivers.modbus.relay_door import RelayDoor
from drivers.modbus.transport import Tcp
from drivers.simulators.door_controller import PULSES, DoorController
from gateway.domain.decisions import Grant
from gateway.domain.doors import DoorHealth
from gateway.domain.ids import AccessPointId, GrantId, PersonId
from gateway.telemetry.clock import SystemClock

DEVICES = Path(__file__).parents[2] / "config" / "devices"
PULSE_MS = 500
TIMEOUT_S = 0.3
ON_UNLOCK = {"addresses": PULSES, "functions": frozenset({5})}
READS = frozenset({1})


def profile() -> Profile:
    return load_profile((DEVICES,), "waveshare-relay", where="test")


async def until(what: Callable[[], bool], timeout_s: float = 5.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not what():
            await asyncio.sleep(0.005)


@dataclass
class Rig:
    board: DoorController
    bus: ModbusBus
    doors: list[RelayDoor]
    told: list[DoorHealth] = field(default_factory=list)
    _numbers: itertools.count = field(default_factory=itertools.count)

    @property
    def door(self) -> RelayDoor:
        return self.doors[0]

    def grant(self, *, ttl_s: float = 1.5, door: int = 0, name: str | None = None) -> Grant:
        return Grant(
            grant_id=GrantId(name or f"grant-{next(self._numbers)}"),
            access_point_id=self.doors[door].access_point_id,
            person_id=PersonId("person"),
            expires_ns=time.monotonic_ns() + int(ttl_s * 1e9),
        )

    async def ready(self, timeout_s: float = 5.0) -> None:
        await until(lambda: all(d.health().ready for d in self.doors), timeout_s)

    def invariants(self, *, pulses: int) -> None:
        """What must hold for relay 1 after every fault, once its pulse is over."""
        assert self.board.pulses(1) == pulses
        assert self.longest_on_s() <= PULSE_MS / 1e3 + 0.25

    def longest_on_s(self, relay: int = 1) -> float:
        """Longest time a contact was closed; infinite while it still is."""
        began, longest = None, 0.0
        for edge in self.board.edges:
            if edge.relay != relay:
                continue
            if edge.on:
                began = edge.mono_ns
            elif began is not None:
                longest, began = max(longest, (edge.mono_ns - began) / 1e9), None
        return float("inf") if began is not None else longest


@contextlib.asynccontextmanager
async def rig(
    *,
    board: DoorController | None = None,
    doors: int = 1,
    pulse_ms: int = PULSE_MS,
    timeout_s: float = TIMEOUT_S,
    poll_s: float = 0.2,
    start: bool = True,
    listening: bool = True,
    channels: tuple[int, ...] | None = None,
) -> AsyncIterator[Rig]:
    """Doors on relays 1, 2 …, started and ready unless told otherwise; all closed at the end."""
    clock, known = SystemClock(), profile()
    async with board or DoorController() as device:
        if not listening:
            await device.refuse()
        bus = ModbusBus(
            Tcp(device.host, device.port), timeout_s=timeout_s, guard=interim_guard(known), clock=clock
        )
        told: list[DoorHealth] = []
        made = [
            RelayDoor(
                access_point_id=AccessPointId(f"door-{channel}"),
                bus=bus,
                profile=known,
                unit=1,
                channel=channel,
                pulse_ms=pulse_ms,
                on_health=told.append,
                poll_s=poll_s,
            )
            for channel in (channels or range(1, doors + 1))
        ]
        built = Rig(device, bus, made, told)
        try:
            if start:
                for door in made:
                    await door.start()
                if listening:
                    await built.ready()
            yield built
        finally:
            for door in made:
                await door.aclose()

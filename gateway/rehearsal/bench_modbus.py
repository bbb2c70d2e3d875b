"""``facegate bench modbus``: from a grant to the relay read back as ON, beside pymodbus as it comes.

The locks are the site's own (bus, unit, relay door); boards are simulated in another process over loopback.
"""

import asyncio
import contextlib
import random
import resource
import time
from collections.abc import AsyncIterator, Callable, Sequence

from gateway.domain.decisions import Grant
from gateway.domain.doors import Outcome
from gateway.domain.errors import Unavailable
from gateway.domain.ids import AccessPointId, GrantId, PersonId, uuid7
from gateway.doors import Doors
from gateway.rehearsal.bench_boards import PROFILE, boards
from gateway.rehearsal.figures import spread
from gateway.rehearsal.peer_modbus import Peer
from gateway.settings import AccessPoint, Camera, Device, Door, Input, Sensors, Site

BUSES = 32
DEVICES = 100
DEAD_UNIT = 2
_INPUTS = ("contact", "rex", "tamper")
_PEER_BEHIND_DEAD = 4
_TIMEOUT_S = 0.5
_HOST = "127.0.0.1"

Say = Callable[[str], None]


async def bench(unlocks: int, *, with_peer: bool, say: Say) -> dict[str, object]:
    """Measure all of it. Raises Unavailable."""
    found: dict[str, object] = {}
    peer: dict[str, object] = {}
    async with boards(BUSES + 1) as ports:
        say(f"One bus, idle: {unlocks} unlocks …")
        found["idle_ms"] = spread(await _ours(ports[:1], unlocks))
        say(f"{BUSES} more buses polled ten times a second …")
        found["loaded_ms"] = spread(await _ours(ports, unlocks))
        say("Behind a dead unit of the same address …")
        found["behind_dead_unit_ms"] = spread(await _ours(ports[:1], unlocks, dead=True))
        if with_peer:
            say("The peer: pymodbus with its own defaults …")
            one = Peer(_HOST, ports[0])
            peer["idle_ms"] = spread(await one.idle(unlocks))
            others = [(_HOST, port) for port in ports[1:]]
            peer["loaded_ms"] = spread(await one.loaded(others, unlocks))
            say(f"… behind a dead unit, {_PEER_BEHIND_DEAD} unlocks (it takes its time)")
            peer["behind_dead_unit_ms"] = spread(await one.behind_dead_unit(DEAD_UNIT, _PEER_BEHIND_DEAD))
    found["peer"] = peer
    say(f"{DEVICES} devices, inputs read ten times a second …")
    async with boards(DEVICES) as ports:
        found["cpu_share_100_devices"] = await _share(ports)
    return found


def _site(ports: Sequence[int], *, dead: bool) -> Site:
    """The first port's board has the door that is opened; all have a door with sensors."""
    devices = [
        Device(id=f"d{i}", profile=PROFILE, host=_HOST, port=port, timeout_s=_TIMEOUT_S)
        for i, port in enumerate(ports)
    ]
    doors = [
        Door(
            id=f"door-{i}",
            name="Bench",
            device=f"d{i}",
            channel=1,
            pulse_ms=500,
            sensors=Sensors(
                **{name: Input(device=f"d{i}", input=n) for n, name in enumerate(_INPUTS, start=1)}
            ),
        )
        for i in range(len(ports))
    ]
    if dead:
        devices.append(
            Device(
                id="dead",
                profile=PROFILE,
                host=_HOST,
                port=ports[0],
                unit=DEAD_UNIT,
                timeout_s=_TIMEOUT_S,
            )
        )
        contact = Sensors(contact=Input(device="dead", input=1))
        doors.append(Door(id="dead", name="Dead", device="dead", channel=1, pulse_ms=500, sensors=contact))
    return Site(
        name="bench",
        state_folder="",
        cameras=(Camera(id="camera", url="rtsp://127.0.0.1/none"),),
        devices=tuple(devices),
        doors=tuple(doors),
        access_points=(AccessPoint(id="point", name="Point", camera="camera", door="door-0"),),
    )


@contextlib.asynccontextmanager
async def _running(site: Site) -> AsyncIterator[Doors]:
    doors = Doors.of_site(site)
    await doors.start(lambda _health: None)
    try:
        async with asyncio.timeout(30):
            while not all(lock.health().ready for name, lock in doors.locks.items() if name != "dead"):
                await asyncio.sleep(0.02)
        yield doors
    except TimeoutError:
        raise Unavailable("the simulated boards did not become ready in 30 s") from None
    finally:
        await doors.aclose()


async def _ours(ports: Sequence[int], unlocks: int, *, dead: bool = False) -> list[float]:
    """Milliseconds from the grant to the relay read back as ON, one an unlock."""
    async with _running(_site(ports, dead=dead)) as doors:
        await asyncio.sleep(1.0)
        lock, times = doors.locks["door-0"], []
        for _ in range(unlocks):
            await asyncio.sleep(random.uniform(0.005, 0.03))  # noqa: S311  # at any moment of the polls
            while not lock.health().ready:
                await asyncio.sleep(0.01)
            began = time.perf_counter()
            actuation = await lock.unlock(_grant())
            times.append((time.perf_counter() - began) * 1e3)
            if actuation.outcome is not Outcome.CONFIRMED:
                raise Unavailable(f"an unlock was {actuation.outcome.value}: {actuation.evidence}")
            await lock.lock()
        return times


def _grant() -> Grant:
    return Grant(
        grant_id=GrantId(uuid7(time.time_ns() // 1_000_000)),
        access_point_id=AccessPointId("point"),
        person_id=PersonId("bench"),
        expires_ns=time.monotonic_ns() + 1_500_000_000,
    )


async def _share(ports: Sequence[int], seconds: float = 10.0) -> float:
    """Share of one core that watching all these devices takes."""
    async with _running(_site(ports, dead=False)):
        await asyncio.sleep(2.0)
        before, began = _cpu_s(), time.perf_counter()
        await asyncio.sleep(seconds)
        return round((_cpu_s() - before) / (time.perf_counter() - began), 3)


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime

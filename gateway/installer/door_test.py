"""``facegate door test``: one pulse, and what the relay and the sensors said of it."""

import asyncio
import contextlib
import getpass
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from gateway import foundation
from gateway.domain.doors import Actuation, DoorHealth, Lease, Outcome
from gateway.domain.errors import InvalidInput, Unavailable
from gateway.domain.events import EventDraft, EventKind, Json
from gateway.domain.ids import GatewayId, GrantId, uuid7
from gateway.domain.readings import Readings, Sensor
from gateway.doors import Doors
from gateway.ports import Clock, Door, Journal, Sensors
from gateway.settings import Site
from gateway.storage.journal import SqliteJournal
from gateway.telemetry.clock import SystemClock
from gateway.walkup.door_actor import settle_open_grants

_READY_S = 30.0
_TTL_NS = 1_500_000_000
_AFTER_S = 5.0

Say = Callable[[str], None]


@dataclass(slots=True)
class Seen:
    """What changed while the test ran, each with seconds since the frame left."""

    clock: Clock
    began_ns: int = 0
    changes: list[tuple[float, str]] = field(default_factory=list)
    _last: dict[str, object] = field(default_factory=dict)

    def take(self, readings: Readings) -> None:
        """Note what differs from the look before."""
        now: dict[str, object] = {f"{s.value}": on for s, on in readings.on.items()}
        now |= {f"passed {way.value}": count for way, count in readings.passages.items()}
        now["relay"] = readings.output_on
        for name, value in now.items():
            if name in self._last and self._last[name] != value and self.began_ns:
                after = (self.clock.monotonic_ns() - self.began_ns) / 1e9
                self.changes.append((after, f"{name}: {_words(name, value)}"))
        self._last = now


def _words(name: str, value: object) -> str:
    if value is None:
        return "cannot be read"
    if name == Sensor.CONTACT:
        return "open" if value else "shut"
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How it went; ``good`` when the pulse is proven and nothing contradicts it."""

    health: DoorHealth
    before: Readings
    actuation: Actuation
    changes: tuple[tuple[float, str], ...]
    locked: bool

    @property
    def good(self) -> bool:
        """The relay did what it was told, and is OFF again."""
        return self.actuation.outcome is Outcome.CONFIRMED and self.locked


async def test_door(site: Site, door: str, direction: str, *, extended: bool, say: Say) -> Report:
    """Open once, for a person who said so. Raises InvalidInput, Unavailable, JournalUnavailable.

    Recorded like every unlock, before the frame leaves; the journal's owner must not be running.
    """
    site.opening(door)
    clock = SystemClock()
    doors = Doors.of_site(site, only={door})
    if f"{door}.{direction}" not in doors.locks and door not in doors.locks:
        raise InvalidInput(f'turnstile {door} has no direction "{direction}"')
    state: Path = await asyncio.to_thread(foundation.state_folder, site)
    async with contextlib.AsyncExitStack() as stack:
        journal = await SqliteJournal.open(state / "journal.db", GatewayId(site.gateway_id))
        stack.push_async_callback(journal.close)
        await settle_open_grants(journal, clock)
        seen = Seen(clock)
        doors.sensors[door].subscribe(seen.take)
        stack.push_async_callback(doors.aclose)
        await doors.start(lambda _health: None)
        lock, sensors = doors.lock_of(door, direction), doors.sensors[door]
        await _until_ready(lock)
        return await _pulse(lock, sensors, journal, seen, extended=extended, say=say)


async def _until_ready(lock: Door) -> None:
    try:
        async with asyncio.timeout(_READY_S):
            while not lock.health().ready:
                await asyncio.sleep(0.05)
    except TimeoutError:
        health = lock.health()
        raise Unavailable(f"{lock.door_id} is not ready: {health.link.value}: {health.detail}") from None


async def _pulse(
    lock: Door, sensors: Sensors, journal: Journal, seen: Seen, *, extended: bool, say: Say
) -> Report:
    clock = seen.clock
    now = clock.now()
    lease = Lease(
        grant_id=GrantId(uuid7(int(now.timestamp() * 1000))),
        expires_ns=clock.monotonic_ns() + _TTL_NS,
        extended=extended,
    )
    before, health = sensors.latest(), lock.health()
    facts: dict[str, Json] = {"door": lock.door_id, "order": "test", "by": getpass.getuser()}
    await journal.append(_order(clock, lease, facts))
    say("The pulse is being sent …")
    seen.began_ns = clock.monotonic_ns()
    actuation = await lock.unlock(lease)
    pulse_s = float(health.facts.get("pulse_ms", "3000")) / 1e3
    await asyncio.sleep(pulse_s + _AFTER_S)
    locked = await lock.lock()
    await journal.append(
        _order(clock, lease, {**facts, "outcome": actuation.outcome.value, "evidence": actuation.evidence})
    )
    return Report(
        health=health, before=before, actuation=actuation, changes=tuple(seen.changes), locked=locked
    )


def _order(clock: Clock, lease: Lease, facts: dict[str, Json]) -> EventDraft:
    return EventDraft(
        kind=EventKind.DOOR_ORDER,
        at=clock.now(),
        mono_ns=clock.monotonic_ns(),
        grant_id=lease.grant_id,
        data=facts,
    )

"""A bus of its own for a test, and jobs for it."""

import contextlib
import time
from collections.abc import AsyncIterator

from drivers.modbus.bus import ModbusBus
from drivers.modbus.frames import ON, Job, Priority, ReadBits, ReadWords, Request, WriteCoil
from drivers.modbus.guard import Guard
from drivers.modbus.plan import Allow, UnitRules
from drivers.modbus.transport import Transport
from gateway.telemetry.clock import SystemClock

TIMEOUT_S = 0.15


def lenient(*units: int) -> Guard:
    """Any coil or register write to these units."""
    every = tuple(Allow(function=f, first=0, last=0xFFFF, low=0, high=0xFFFF) for f in (5, 6, 16))
    return Guard(dict.fromkeys(units, UnitRules(allowed=every)))


@contextlib.asynccontextmanager
async def running(
    transport: Transport,
    *units: int,
    timeout_s: float = TIMEOUT_S,
    min_gap_s: float = 0.0,
    connected: bool = True,
) -> AsyncIterator[ModbusBus]:
    bus = ModbusBus(
        transport, timeout_s=timeout_s, guard=lenient(*units), clock=SystemClock(), min_gap_s=min_gap_s
    )

    def listener() -> None: ...

    bus.attach(listener)
    try:
        if connected:
            assert await bus.wait_connected(5), bus.detail
        yield bus
    finally:
        await bus.detach(listener)


def job(
    request: Request, priority: Priority = Priority.POLL, *, opens: bool = False, ttl_s: float = 2.0
) -> Job:
    return Job(request, priority, time.monotonic_ns() + int(ttl_s * 1e9), opens=opens)


def coil(unit: int, address: int = 0, count: int = 1) -> Job:
    return job(ReadBits(unit, 1, address, count))


def words(unit: int, address: int = 0, count: int = 1, function: int = 3) -> Job:
    return job(ReadWords(unit, function, address, count))


def pulse(unit: int, address: int = 0) -> Job:
    return job(WriteCoil(unit, address, ON), Priority.UNLOCK, opens=True)


def off(unit: int, address: int = 0) -> Job:
    return job(WriteCoil(unit, address, 0), Priority.LOCK)

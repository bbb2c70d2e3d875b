"""``facegate door scan``: which profile a device answers like."""

from collections.abc import Sequence
from pathlib import Path

from drivers.modbus.bus import ModbusBus
from drivers.modbus.guard import Guard
from drivers.modbus.profiles import all_profiles
from drivers.modbus.scan import Answer, scan
from drivers.modbus.transport import RtuOverTcp, Tcp
from gateway.domain.errors import Unavailable
from gateway.resources import data
from gateway.telemetry.clock import SystemClock

_TIMEOUT_S = 1.0
_CONNECT_S = 3.0
_RTU_PORT = 4196


async def scan_host(
    host: str, port: int | None, units: Sequence[int], *, rtu: bool, folder: Path | None
) -> tuple[Answer, ...]:
    """Reads only: the guard knows no unit that may be written to. Raises Unavailable."""
    folders = (*((folder,) if folder else ()), data("config/devices"))
    way = RtuOverTcp(host, port or _RTU_PORT) if rtu else Tcp(host, port or 502)
    bus = ModbusBus(way, timeout_s=_TIMEOUT_S, guard=Guard({}), clock=SystemClock())
    bus.attach(_nothing)
    try:
        if not await bus.wait_connected(_CONNECT_S):
            raise Unavailable(f"{bus.endpoint} cannot be reached: {bus.detail}")
        return await scan(bus, units, all_profiles(folders))
    finally:
        await bus.detach(_nothing)


def _nothing() -> None:
    """The link came or went; the scan sees that by its answers."""

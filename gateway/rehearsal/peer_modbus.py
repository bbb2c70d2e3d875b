"""pymodbus with its own defaults, as its examples use it: the peer of ``facegate bench modbus``.

One client a connection, three retries, three seconds to answer, first come first served.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException

POLL_S = 0.1
INPUTS = 8


@dataclass(frozen=True, slots=True)
class Peer:
    """Unlocks by a write and a read back, on one board."""

    host: str
    port: int
    coil: int = 0

    async def unlocks(self, client: AsyncModbusTcpClient, count: int, gap_s: float) -> list[float]:
        """Milliseconds from the call to the state read back, one an unlock."""
        times = []
        for _ in range(count):
            await asyncio.sleep(gap_s * random.uniform(0.5, 1.5))  # noqa: S311  # load, not a secret
            began = time.perf_counter()
            await client.write_coil(self.coil, value=True, device_id=1)
            await client.read_coils(self.coil, count=1, device_id=1)
            times.append((time.perf_counter() - began) * 1e3)
            await client.write_coil(self.coil, value=False, device_id=1)
        return times

    async def idle(self, count: int) -> list[float]:
        """Nothing else happens on the link."""
        async with _client(self.host, self.port) as client:
            return await self.unlocks(client, count, 0.01)

    async def loaded(self, others: Sequence[tuple[str, int]], count: int) -> list[float]:
        """Other boards' inputs are read ten times a second by the same process."""
        async with contextlib.AsyncExitStack() as stack:
            client = await stack.enter_async_context(_client(self.host, self.port))
            for host, port in others:
                other = await stack.enter_async_context(_client(host, port))
                await stack.enter_async_context(_polled(other, 1))
            return await self.unlocks(client, count, 0.02)

    async def behind_dead_unit(self, unit: int, count: int) -> list[float]:
        """A unit on the same link is read ten times a second and never answers."""
        async with _client(self.host, self.port) as client, _polled(client, unit):
            return await self.unlocks(client, count, 0.2)


@contextlib.asynccontextmanager
async def _client(host: str, port: int) -> AsyncIterator[AsyncModbusTcpClient]:
    client = AsyncModbusTcpClient(host, port=port)
    await client.connect()
    try:
        yield client
    finally:
        client.close()


@contextlib.asynccontextmanager
async def _polled(client: AsyncModbusTcpClient, unit: int) -> AsyncIterator[None]:
    async def poll() -> None:
        while True:
            with contextlib.suppress(ModbusException):
                await client.read_discrete_inputs(0, count=INPUTS, device_id=unit)
            await asyncio.sleep(POLL_S)

    task = asyncio.create_task(poll(), name=f"peer poll {unit}")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

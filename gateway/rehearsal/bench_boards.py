"""Simulated boards in a process of their own, for ``facegate bench modbus``: their work must not be ours.

``python -m gateway.rehearsal.bench_boards N`` serves N boards and prints their ports as one JSON line.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from drivers.modbus.profiles import load_profile
from drivers.simulators.modbus_server import ModbusServer
from drivers.simulators.profiled import ProfiledDevice
from gateway.domain.errors import Unavailable
from gateway.resources import data

PROFILE = "waveshare-relay-di"
"""Relays with a pulse timer, and eight inputs."""
_READY_S = 20.0


async def serve(count: int) -> None:
    """Serve until standard input ends."""
    profile = load_profile((data("config/devices"),), PROFILE, where="bench")
    async with AsyncExitStack() as stack:
        ports = []
        for _ in range(count):
            server = await stack.enter_async_context(ModbusServer([ProfiledDevice(profile)]))
            ports.append(server.port)
        sys.stdout.write(json.dumps(ports) + "\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)


@asynccontextmanager
async def boards(count: int) -> AsyncIterator[list[int]]:
    """So many boards, by port. Raises Unavailable when they do not come up."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gateway.rehearsal.bench_boards",
        str(count),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    if process.stdin is None or process.stdout is None:
        raise Unavailable("the simulated boards have no pipes")
    try:
        async with asyncio.timeout(_READY_S):
            line = await process.stdout.readline()
        if not line:
            raise Unavailable("the simulated boards did not start")
        yield json.loads(line)
    finally:
        process.stdin.close()
        await process.wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))

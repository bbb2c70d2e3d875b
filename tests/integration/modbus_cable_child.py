"""Run in a network namespace of its own: pulls the cable (loopback) while an unlock frame is under way.

``unshare -rn python -m tests.integration.modbus_cable_child`` prints as JSON what reached each board after
the cable was back. As ``... gateway PORT`` it is one of the gateways: READY, waits for a line, unlocks.
"""

import asyncio
import contextlib
import fcntl
import json
import signal
import socket
import struct
import sys

from drivers.simulators.door_controller import DoorController
from tests.fakes.modbus_rig import DEVICES, rig

_GET_FLAGS, _SET_FLAGS, _UP = 0x8913, 0x8914, 0x1
_PULLED_S, _AFTER_S = 1.0, 3.0
"""The kernel tries a frame again about 1.4 to 1.8 s after it was sent, and once more 3 to 4 s after."""
_FATES = {"gives up": None, "killed": signal.SIGKILL, "stopped": signal.SIGSTOP}


def cable(*, plugged: bool) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sH22x", b"lo", 0)
        flags = struct.unpack("16sH22x", fcntl.ioctl(any_socket, _GET_FLAGS, request))[1]
        flags = flags | _UP if plugged else flags & ~_UP
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sH22x", b"lo", flags))


class Elsewhere(DoorController):
    """A board that another process serves; only its address is known here."""

    def __init__(self, port: int) -> None:
        self.host, self.port = "127.0.0.1", port

    async def __aenter__(self) -> DoorController:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Not ours to switch off."""


async def gateway(port: int) -> None:
    async with rig(board=Elsewhere(port)) as setup:
        say("READY")
        await asyncio.to_thread(sys.stdin.readline)
        unlock = asyncio.create_task(setup.door.unlock(setup.grant(ttl_s=0.5)))
        await asyncio.sleep(0.05)  # the frame has left for the kernel
        say("SENT")
        await unlock
        await asyncio.to_thread(sys.stdin.readline)


def say(word: str) -> None:
    sys.stdout.write(word + "\n")
    sys.stdout.flush()


async def start(port: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.integration.modbus_cable_child",
        "gateway",
        str(port),
        cwd=DEVICES.parents[1],
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )


async def heard(process: asyncio.subprocess.Process, word: str) -> None:
    assert process.stdout is not None
    async with asyncio.timeout(20):
        while line := await process.stdout.readline():
            if line.strip() == word.encode():
                return
    raise EOFError(word)


async def play() -> dict[str, object]:
    cable(plugged=True)
    async with contextlib.AsyncExitStack() as stack:
        boards = {fate: await stack.enter_async_context(DoorController()) for fate in _FATES}
        plain = await stack.enter_async_context(DoorController())
        gateways = {fate: await start(board.port) for fate, board in boards.items()}
        try:
            for process in gateways.values():
                await heard(process, "READY")
            careless = socket.create_connection((plain.host, plain.port))
            await asyncio.sleep(0.1)
            cable(plugged=False)
            await unlock(gateways, careless)
            cable(plugged=True)
            await asyncio.sleep(_AFTER_S)
            return {
                "a socket merely closed": plain.pulses(1),
                **{fate: board.unlock_frames() + board.pulses(1) for fate, board in boards.items()},
            }
        finally:
            for process in gateways.values():
                if process.returncode is None:
                    process.kill()
                await process.wait()


async def unlock(gateways: dict[str, asyncio.subprocess.Process], careless: socket.socket) -> None:
    """A frame into the pulled cable from each, and then its fate."""
    careless.sendall(bytes.fromhex("000100000006010502000005"))
    careless.close()
    for fate, process in gateways.items():
        assert process.stdin is not None
        process.stdin.write(b"\n")
        await heard(process, "SENT")
        sent = _FATES[fate]
        if sent is not None:
            process.send_signal(sent)
    await asyncio.sleep(_PULLED_S)


if __name__ == "__main__":
    if sys.argv[1:2] == ["gateway"]:
        asyncio.run(gateway(int(sys.argv[2])))
    else:
        say(json.dumps(asyncio.run(asyncio.wait_for(play(), 45))))  # ends its gateways also when it hangs

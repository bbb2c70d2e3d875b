"""A frame that waits in the kernel for a cable to be plugged in again must never arrive."""

import asyncio
import json
import subprocess
import sys

import pytest

from drivers.modbus.bus import ModbusBus
from drivers.modbus.frames import READ_COILS, Job, Priority, ReadBits
from drivers.modbus.guard import Guard
from drivers.modbus.transport import Tcp
from drivers.simulators.door_controller import Fault, FaultKind
from gateway.telemetry.clock import SystemClock
from tests.fakes.modbus_rig import DEVICES, rig, until


def _own_network() -> bool:
    try:
        return subprocess.run(["unshare", "-rn", "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


async def test_fault_2_an_unlock_stuck_in_a_pulled_cable_is_dead_when_it_is_plugged_in_again() -> None:
    if not await asyncio.to_thread(_own_network):
        pytest.skip("needs `unshare -rn` (Debian package util-linux) and leave to make namespaces")
    child = await asyncio.create_subprocess_exec(
        "unshare",
        "-rn",
        sys.executable,
        "-m",
        "tests.integration.modbus_cable_child",
        cwd=DEVICES.parents[1],
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(60):
            out, _ = await child.communicate()
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    reached = json.loads(out.splitlines()[-1])
    assert reached.pop("a socket merely closed") == 1, "the kernel did not try again: this test shows nothing"
    assert reached == {"gives up": 0, "killed": 0, "stopped": 0}


class _Ears:
    """A device that takes requests, answers what it is told to, and notes how the link ends."""

    def __init__(self, reply: bytes | None) -> None:
        self.reply, self.end = reply, ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while request := await reader.read(256):
                if self.reply is not None:
                    writer.write(request[:2] + self.reply)
            self.end = self.end or "FIN"
        except ConnectionResetError:
            self.end = self.end or "RST"
        writer.close()


@pytest.mark.parametrize(("reply", "end"), [(None, "RST"), (bytes.fromhex("00000004010101") + b"\0", "FIN")])
async def test_a_link_with_a_frame_under_way_ends_hard_and_an_idle_one_in_order(
    reply: bytes | None, end: str
) -> None:
    ears = _Ears(reply)
    server = await asyncio.start_server(ears.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    clock = SystemClock()
    bus = ModbusBus(Tcp("127.0.0.1", port), timeout_s=0.2, guard=Guard(), clock=clock)

    def listener() -> None: ...

    bus.attach(listener)
    try:
        assert await bus.wait_connected(5)
        await bus.carry_out(Job(ReadBits(1, READ_COILS, 0), Priority.POLL, clock.monotonic_ns() + 10**9))
    finally:
        await bus.detach(listener)
        await until(lambda: bool(ears.end))
        server.close()
        await server.wait_closed()
    assert ears.end == end


async def test_a_stopping_gateway_with_a_pulse_under_way_ends_the_link_hard() -> None:
    async with rig() as setup:
        setup.board.faults.always(Fault(kind=FaultKind.SILENT))
        unlock = asyncio.create_task(setup.door.unlock(setup.grant()))
        await until(lambda: setup.board.unlock_frames() == 1)
        await setup.door.aclose()
        outcome = await unlock
        assert outcome.outcome == "ambiguous"
        assert setup.board.pulses(1) == 0
        await until(lambda: setup.board.clients == 0)

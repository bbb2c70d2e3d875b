"""Our two ends against other people's: mbpoll reads our board, our driver drives pyModbusTCP's server."""

import asyncio
import contextlib
import json
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pyModbusTCP.server import DataBank, ModbusServer

from drivers.modbus.bus import ModbusBus
from drivers.modbus.frames import (
    ON,
    Echoed,
    Job,
    Priority,
    ReadBits,
    ReadWords,
    Refused,
    WriteCoil,
    WriteWord,
    WriteWords,
)
from drivers.modbus.guard import Guard
from drivers.modbus.planning import output_plan
from drivers.modbus.transport import Tcp
from drivers.simulators.door_controller import DoorController
from gateway.telemetry.clock import SystemClock
from tests.fakes.modbus_bus import coil, job, running, words
from tests.fakes.modbus_rig import profile

MBPOLL = shutil.which("mbpoll")
needs_mbpoll = pytest.mark.skipif(MBPOLL is None, reason="needs the Debian package mbpoll")


async def run(*command: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    async with asyncio.timeout(20):
        output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


async def mbpoll(board: DoorController, *arguments: str) -> tuple[int, str]:
    assert MBPOLL is not None
    return await run(MBPOLL, "-0", "-1", "-q", "-m", "tcp", "-p", str(board.port), *arguments)


@needs_mbpoll
async def test_mbpoll_writes_a_coil_of_our_board_and_reads_it() -> None:
    async with DoorController() as board:
        code, output = await mbpoll(board, "-a", "1", "-t", "0", "-r", "2", "127.0.0.1", "1")
        assert code == 0, output
        assert board.is_on(3)
        code, output = await mbpoll(board, "-a", "1", "-t", "0", "-r", "0", "-c", "4", "127.0.0.1")
        assert code == 0, output
        states = [line.split("]:")[1].strip() for line in output.splitlines() if line.startswith("[")]
        assert states == ["0", "0", "1", "0"]
        code, output = await mbpoll(board, "-a", "1", "-t", "0", "-r", "2", "127.0.0.1", "0")
        assert not board.is_on(3)


@needs_mbpoll
async def test_mbpoll_writes_many_and_reads_inputs_and_the_version() -> None:
    async with DoorController() as board:
        code, output = await mbpoll(
            board, "-a", "1", "-t", "0", "-r", "0", "127.0.0.1", *["1", "0", "1", "1"]
        )
        assert code == 0, output
        assert [board.is_on(r) for r in range(1, 5)] == [True, False, True, True]
        board.map.inputs[1] = True
        _, output = await mbpoll(board, "-a", "1", "-t", "1", "-r", "0", "-c", "2", "127.0.0.1")
        assert [line.split("]:")[1].strip() for line in output.splitlines() if line.startswith("[")] == [
            "0",
            "1",
        ]
        _, output = await mbpoll(board, "-a", "1", "-t", "4", "-r", "32768", "-c", "1", "127.0.0.1")
        assert "200" in output


@needs_mbpoll
async def test_mbpoll_sees_the_board_s_exception_and_its_silence() -> None:
    async with DoorController() as board:
        code, output = await mbpoll(board, "-a", "1", "-t", "0", "-r", "20", "127.0.0.1", "1")
        assert code != 0
        assert "Illegal data address" in output
        code, output = await mbpoll(board, "-a", "9", "-o", "0.3", "-t", "0", "-r", "0", "127.0.0.1")
        assert "timed out" in output
        assert board.edges == []


async def test_our_driver_reads_and_switches_off_coils_of_an_independent_server() -> None:
    bank = DataBank(coils_size=8)
    plan = output_plan(profile(), unit=1, channel=3, pulse_ms=500, where="test")
    async with independent(bank) as port, running(Tcp("127.0.0.1", port), 1, timeout_s=2) as bus:
        bank.set_coils(0, [True] * 8)
        before = await bus.carry_out(job(plan.state.read))
        assert isinstance(before, Echoed)
        assert before.bits == (True,)
        assert isinstance(await bus.carry_out(job(plan.off[0])), Echoed)
        after = await bus.carry_out(coil(1, 0, 8))
        assert isinstance(after, Echoed)
        assert after.bits == (True, True, False) + (True,) * 5
        assert bank.get_coils(0, 8) == list(after.bits)
        assert isinstance(await bus.carry_out(coil(1, 6, 5)), Refused)  # exception 2: beyond its coils


async def test_registers_of_an_independent_server_are_read_and_written() -> None:
    """FC03, FC04, FC06 and FC16 against pyModbusTCP's own codec; FC01 and FC02 over more than a byte."""
    bank = DataBank(coils_size=40, d_inputs_size=40, h_regs_size=130, i_regs_size=130)
    async with independent(bank) as port, running(Tcp("127.0.0.1", port), 1, timeout_s=2) as bus:
        bank.set_coils(0, [n % 3 == 0 for n in range(40)])
        bank.set_discrete_inputs(0, [n % 5 == 0 for n in range(40)])
        bank.set_input_registers(0, list(range(65535, 65535 - 130, -1)))
        for function, step in ((1, 3), (2, 5)):
            bits = await bus.carry_out(job(ReadBits(1, function, 1, 37)))
            assert isinstance(bits, Echoed)
            assert bits.bits == tuple(n % step == 0 for n in range(1, 38))
        assert isinstance(await bus.carry_out(job(WriteWord(1, 3, 0xBEEF))), Echoed)
        assert isinstance(await bus.carry_out(job(WriteWords(1, 4, tuple(range(1, 124))))), Echoed)
        assert bank.get_holding_registers(3, 124) == [0xBEEF, *range(1, 124)]
        held = await bus.carry_out(words(1, 3, 124))
        assert isinstance(held, Echoed)
        assert held.words == (0xBEEF, *range(1, 124))
        whole = await bus.carry_out(words(1, 0, 125, function=4))
        assert isinstance(whole, Echoed)
        assert whole.words == tuple(range(65535, 65535 - 125, -1))
        for request in (ReadWords(1, 3, 129, 2), WriteWord(1, 130, 0), WriteWords(1, 129, (0, 0))):
            assert isinstance(await bus.carry_out(job(request)), Refused)


@contextlib.asynccontextmanager
async def independent(bank: DataBank) -> AsyncIterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = ModbusServer("127.0.0.1", port, no_block=True, data_bank=bank)
    await asyncio.to_thread(server.start)
    try:
        yield port
    finally:
        await asyncio.to_thread(server.stop)


async def test_our_driver_needs_no_banned_frame_to_be_understood() -> None:
    """The guard is what keeps a plain ON from leaving, not the other end."""
    async with DoorController() as board:
        bus = ModbusBus(Tcp(board.host, board.port), timeout_s=1, guard=Guard(), clock=SystemClock())

        def listener() -> None: ...

        bus.attach(listener)
        try:
            assert await bus.wait_connected(5)
            with pytest.raises(Exception, match="nothing may be written"):
                await bus.carry_out(Job(WriteCoil(1, 0, ON), Priority.UNLOCK, 2**62))
            assert board.requests == []
        finally:
            await bus.detach(listener)


async def test_the_board_as_a_process_of_its_own(tmp_path: Path) -> None:
    record = tmp_path / "edges.jsonl"
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "drivers.simulators.door_controller",
        "--port",
        "0",
        "--edges",
        str(record),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(20):
            port = json.loads(await process.stdout.readline())["port"]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        flash = bytes.fromhex("000100000006010502030003")
        writer.write(flash)
        async with asyncio.timeout(5):
            assert await reader.readexactly(12) == flash
            while len(lines := record.read_text("utf-8").splitlines()) < 2:  # a test's file
                await asyncio.sleep(0.05)
        writer.close()
        edges = [json.loads(line) for line in lines]
        assert [(e["relay"], e["on"], e["why"]) for e in edges] == [
            (4, True, "flash on 3"),
            (4, False, "timer"),
        ]
        assert 0.29 < (edges[1]["mono_ns"] - edges[0]["mono_ns"]) / 1e9 < 1.0
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(5):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()

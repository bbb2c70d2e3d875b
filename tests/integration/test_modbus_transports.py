"""Dead units beside a living one, floods, and hundreds of connections: what one link costs the others."""

import asyncio
import contextlib
import gc
import struct
import time
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from drivers.modbus.frames import Ambiguous, Echoed, NotSent, Priority, ReadBits, ReadWords
from drivers.modbus.transport import RtuOverTcp, Serial, Tcp
from tests.fakes.modbus_bus import coil, job, off, pulse, running, words
from tests.fakes.modbus_rig import until
from tests.fakes.modbus_units import Unit
from tests.fakes.rtu_line import Act, adapter, device_server

HEALTHY, DEAD = 1, tuple(range(2, 10))
FRAME_S = 0.05
"""What a noisy machine may take for one frame here."""


async def test_fault_11_eight_dead_units_delay_no_unlock_beyond_a_time_out_and_a_frame() -> None:
    timeout_s = 0.1
    async with device_server(HEALTHY, *DEAD) as server:
        for unit in DEAD:
            server.line.always[unit] = Act(deaf=True)
        to = RtuOverTcp("127.0.0.1", server.port)
        async with running(to, HEALTHY, *DEAD, timeout_s=timeout_s) as bus:
            assert isinstance(await bus.carry_out(coil(HEALTHY)), Echoed)

            async def supervise(unit: int) -> None:
                while True:
                    await bus.carry_out(off(unit) if len(server.line.of(unit)) % 3 == 0 else coil(unit))
                    await asyncio.sleep(0.02)

            async with _background([supervise(unit) for unit in (*DEAD, HEALTHY)]):
                took = []
                for _ in range(50):
                    await asyncio.sleep(0.03)
                    began = time.monotonic()
                    result = await bus.carry_out(pulse(HEALTHY))
                    assert isinstance(result, Echoed), result
                    assert isinstance(await bus.carry_out(off(HEALTHY)), Echoed)
                    took.append(result.done_ns / 1e9 - began)
            assert sorted(took)[49 * 99 // 100] < timeout_s + FRAME_S
            assert server.connections == 1  # none of them ever answered: their silence is nothing new
            assert bus.meter_of(HEALTHY).failures == 0
            assert all(bus.meter_of(unit).failures > 0 for unit in DEAD)


async def test_fault_11_polls_of_a_silent_unit_are_held_back_and_an_unlock_never_is(tmp_path: Path) -> None:
    async with adapter(tmp_path, 1, 2) as end, running(Serial(str(end.path), 115200), 1, 2) as bus:
        assert isinstance(await bus.carry_out(coil(1)), Echoed)
        end.line.always[2] = Act(deaf=True)
        for request in (coil(2), off(2)):
            assert isinstance(await bus.carry_out(request), Ambiguous)
        asked = len(end.line.of(2))
        held = await bus.carry_out(coil(2))
        assert isinstance(held, NotSent)
        assert "unit 2 is silent; next try in" in held.why
        assert len(end.line.of(2)) == asked
        await asyncio.sleep(1.05)  # until no late echo can be taken for this one's
        end.line.always.clear()
        assert isinstance(await bus.carry_out(pulse(2)), Echoed)
        assert isinstance(await bus.carry_out(coil(2)), Echoed)


async def test_fault_11_polls_that_wait_already_are_dropped_when_their_unit_falls_silent() -> None:
    async with device_server(1, 2) as server, running(RtuOverTcp("127.0.0.1", server.port), 1, 2) as bus:
        assert isinstance(await bus.carry_out(coil(1)), Echoed)
        server.line.always[2] = Act(deaf=True)
        began = time.monotonic()
        kinds = [coil(2), words(2), words(2, function=4), coil(2), words(2), words(2, function=4)]
        results = await asyncio.gather(*(bus.carry_out(kind) for kind in kinds))
        assert [type(r) for r in results] == [Ambiguous] * 2 + [NotSent] * 4
        assert time.monotonic() - began < 4 * bus.timeout_s


async def test_fault_11_a_read_back_does_not_queue_behind_the_proofs_of_dead_units() -> None:
    """A pulse is over in half a second: a read-back behind eight time-outs would prove nothing."""
    async with device_server(HEALTHY, *DEAD) as server:
        to = RtuOverTcp("127.0.0.1", server.port)
        async with running(to, HEALTHY, *DEAD) as bus:
            assert isinstance(await bus.carry_out(coil(HEALTHY)), Echoed)
            for unit in DEAD:
                server.line.always[unit] = Act(deaf=True)
                await bus.carry_out(off(unit))
            others = [
                asyncio.create_task(bus.carry_out(job(ReadWords(unit, 3, 0), Priority.LOCK))) for unit in DEAD
            ]
            await until(lambda: bool(server.line.of(DEAD[0], 3)))
            began = time.monotonic()
            seen = await bus.carry_out(job(ReadBits(HEALTHY, 1, 0), Priority.LOCK))
            assert isinstance(seen, Echoed)
            assert time.monotonic() - began < bus.timeout_s + FRAME_S
            await asyncio.gather(*others)


@contextlib.asynccontextmanager
async def _background(work: list) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(one) for one in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Hostile:
    """A Modbus TCP peer that answers rightly, and besides sends whatever it likes."""

    def __init__(self) -> None:
        self.unit = Unit()
        self.flood: bytes | None = None
        self.bend = lambda frame: frame
        self.connections = 0
        self.ends: list[str] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            if self.flood is not None:
                while True:
                    writer.write(self.flood)
                    await writer.drain()
            while True:
                head = await reader.readexactly(7)
                pdu = await reader.readexactly(struct.unpack(">HHHB", head)[2] - 1)
                reply = self.unit.answer(pdu)
                writer.write(self.bend(head[:4] + struct.pack(">HB", len(reply) + 1, head[6]) + reply))
        except asyncio.IncompleteReadError:
            self.ends.append("FIN")
        except ConnectionError:
            self.ends.append("RST")
        except asyncio.CancelledError:
            """The test is over."""
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def drop(self) -> None:
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def hostile() -> AsyncIterator[tuple[Hostile, Tcp]]:
    peer = Hostile()
    server = await asyncio.start_server(peer.serve, "127.0.0.1", 0)
    try:
        yield peer, Tcp("127.0.0.1", server.sockets[0].getsockname()[1])
    finally:
        server.close()
        await peer.drop()
        await server.wait_closed()


def _open_files() -> int:
    return psutil.Process().num_fds()


@pytest.mark.parametrize(
    "flood",
    [
        bytes.fromhex("00000007000301010055") * 50,  # another protocol
        bytes.fromhex("000100000003016301") * 50,  # a function that does not exist
        b"\x01\x03\xfa" * 200,
    ],
    ids=["protocol", "function", "half frames"],
)
async def test_fault_35_a_flood_ends_the_link_and_costs_next_to_nothing(flood: bytes) -> None:
    async with hostile() as (peer, to):
        peer.flood = flood
        process = psutil.Process()
        async with running(to, 1, connected=False) as bus:
            await until(lambda: peer.connections >= 2)
            files, cpu = _open_files(), sum(process.cpu_times()[:2])
            await asyncio.sleep(0.5)
            assert sum(process.cpu_times()[:2]) - cpu < 0.3
            assert _open_files() <= files + 2
            assert isinstance(await bus.carry_out(pulse(1)), NotSent | Ambiguous)
            peer.flood = None
            await until(lambda: bus.connected)
            assert isinstance(await bus.carry_out(pulse(1)), Echoed)


async def test_fault_35_three_hundred_connections_leave_no_file_and_no_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("drivers.modbus.bus.FIRST_WAIT_S", 0.002)

    async def again(times: int) -> None:
        for _ in range(times):
            epoch = bus.epoch
            assert isinstance(await bus.carry_out(coil(1)), Echoed)
            await peer.drop()
            await until(lambda e=epoch: bus.epoch > e and bus.connected)

    async with hostile() as (peer, to), running(to, 1) as bus:
        await again(30)
        gc.collect()
        files = _open_files()
        tracemalloc.start()
        try:
            await again(20)
            gc.collect()
            before = tracemalloc.get_traced_memory()[0]
            await again(250)
            gc.collect()
            grown = tracemalloc.get_traced_memory()[0] - before
        finally:
            tracemalloc.stop()
        assert _open_files() <= files
        assert grown < 250 * 400, f"{grown} bytes more after 250 connections"
        assert peer.connections == 301
        assert sum(t.get_name().startswith("modbus ") for t in asyncio.all_tasks()) == 1


@pytest.mark.parametrize("field", [0, 2, 6], ids=["transaction", "protocol", "unit"])
async def test_fault_8_a_header_with_a_wrong_field_answers_nothing_in_bounded_time(field: int) -> None:
    async with hostile() as (peer, to), running(to, 1) as bus:
        assert isinstance(await bus.carry_out(coil(1)), Echoed)
        peer.bend = lambda frame: frame[:field] + bytes([frame[field] ^ 0x40]) + frame[field + 1 :]
        began = time.monotonic()
        assert isinstance(await bus.carry_out(pulse(1)), Ambiguous)
        assert time.monotonic() - began < 1
        peer.bend = lambda frame: frame
        assert await bus.wait_connected(5)
        assert isinstance(await bus.carry_out(coil(1)), Echoed)


@pytest.mark.parametrize(
    "bend",
    [
        lambda f: f[:5] + bytes([f[5] + 1]) + f[6:] + b"\0",
        lambda f: f[:5] + bytes([f[5] - 1]) + f[6:-1],
        lambda f: f[:5] + b"\x02" + f[6:8],
        lambda f: b"\0\0" + f[2:],
    ],
    ids=["a byte more", "a byte less", "no data", "transaction 0"],
)
async def test_fault_7_an_echo_of_the_wrong_length_or_transaction_is_no_proof(bend) -> None:
    async with hostile() as (peer, to), running(to, 1) as bus:
        peer.bend = bend
        result = await bus.carry_out(pulse(1))
        assert isinstance(result, Ambiguous)
        assert not bus.connected


async def test_fault_34_one_connection_at_a_time_ended_in_order_and_none_to_try() -> None:
    async with hostile() as (peer, to):
        for count in (1, 2):
            async with running(to, 1) as bus:
                await asyncio.gather(*(bus.carry_out(coil(1)) for _ in range(20)))
                assert peer.connections == count
            await until(lambda c=count: peer.ends == ["FIN"] * c)

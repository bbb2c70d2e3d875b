"""What the bus relies on inside pymodbus. A failure here after an upgrade says which promise has gone."""

import asyncio
import contextlib
import importlib.metadata
import struct
from collections.abc import AsyncIterator, Callable

import pytest
from pymodbus.exceptions import ConnectionException, ModbusIOException
from pymodbus.pdu import DecodePDU

from drivers.modbus.frames import ON, ReadBits, Reply, WriteCoil
from drivers.modbus.link import Broken, Link
from drivers.simulators.door_controller import DoorController, Fault, FaultKind
from tests.fakes.modbus_rig import until

READ, PULSE = ReadBits(1, 1, 0), WriteCoil(1, 0x0200, 7)


class Owner:
    """Lets everything pass and writes down what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def passes(self, unit: int, function: int, data: bytes) -> None:
        self.told.append(f"passes {unit} {function} {data.hex()}")
        asyncio.get_running_loop().call_soon(self.told.append, "loop")

    def heard(self, count: int) -> bool:
        self.told.append(f"heard {count}")
        return True

    def received(self, data: bytes, take: Callable[[bytes], int]) -> int:
        return take(data)

    def ended(self, error: Exception | None) -> None:
        self.told.append(f"ended {error}")

    def abort(self, why: str) -> None:
        self.told.append(f"abort {why}")


@contextlib.asynccontextmanager
async def linked(board: DoorController, owner: Owner, *, timeout_s: float = 0.25) -> AsyncIterator[Link]:
    link = Link(owner, numbered=True, timeout_s=timeout_s)
    await asyncio.get_running_loop().create_connection(lambda: link, board.host, board.port)
    try:
        yield link
    finally:
        if link.transport is not None:
            link.transport.abort()  # type: ignore[attr-defined]
        await asyncio.sleep(0)


def test_the_version_is_the_one_that_was_read() -> None:
    major, minor, *_ = importlib.metadata.version("pymodbus").split(".")
    assert (major, minor) == ("3", "16"), "read the library anew before widening the pin in pyproject.toml"


async def test_the_transport_can_be_aborted_and_the_end_is_told_and_nothing_connects_again() -> None:
    owner = Owner()
    async with DoorController() as board, linked(board, owner) as link:
        assert isinstance(link.transport, asyncio.Transport), "transport is no longer the transport"
        link.transport.abort()
        await until(lambda: owner.told == ["ended None"])
        assert link.transport is None
        await until(lambda: board.clients == 0)
        await asyncio.sleep(0.3)
        assert board.connections == 1, "reconnect_delay=0 no longer means: do not reconnect"
        with pytest.raises(Broken, match="only the bus connects"):
            await link.ask(READ)
        assert board.connections == 1


async def test_who_waits_for_a_reply_can_be_let_go() -> None:
    async with DoorController() as board, linked(board, Owner()) as link:
        board.faults.always(Fault(kind=FaultKind.SILENT))
        call = asyncio.create_task(link.ask(READ))
        await until(lambda: len(board.requests) == 1)
        link.break_off("told at once")
        with pytest.raises(Broken, match="told at once"):
            await call


async def test_the_hook_is_on_the_send_path_and_can_withhold_a_frame() -> None:
    class Withheld(Exception): ...

    class No(Owner):
        def passes(self, unit: int, function: int, data: bytes) -> None:
            raise Withheld(f"{unit} {function}")

    async with DoorController() as board, linked(board, No()) as link:
        for _ in range(2):  # and the library's lock is free again
            with pytest.raises(Withheld, match="1 1"):
                await link.ask(READ)
        await asyncio.sleep(0.05)
        assert board.requests == []


async def test_nothing_is_awaited_between_the_hook_and_the_transport() -> None:
    owner = Owner()
    async with DoorController() as board, linked(board, owner) as link:
        write = link.transport.write  # type: ignore[attr-defined]

        class Noting(asyncio.Transport):
            def write(self, data: bytes) -> None:  # type: ignore[override]
                owner.told.append("write")
                write(data)

        real, link.transport = link.transport, Noting()
        await link.ask(READ)
        link.transport = real
        assert owner.told[:3] == ["passes 1 1 00000001", "write", "loop"], (
            "the check is no longer the last thing"
        )


async def test_a_value_is_sent_and_its_echo_comes_back_whole() -> None:
    owner = Owner()
    async with DoorController() as board, linked(board, owner) as link:
        transaction, reply = await link.ask(PULSE)
        assert reply == Reply(transaction=transaction, unit=1, function=5, echo=(0x0200, 7))
        assert transaction == 1
        assert board.requests == [struct.pack(">BHH", 5, 0x0200, 7)]
        assert owner.told[0] == "passes 1 5 02000007"
        table = DecodePDU(is_server=False)
        assert "Write" in (table.lookupPduClass(b"\x01\x05") or type).__name__, "register is global now"


async def test_an_exception_comes_back_with_its_code() -> None:
    async with DoorController() as board, linked(board, Owner()) as link:
        board.faults.once(Fault(kind=FaultKind.EXCEPTION, code=0x42))
        transaction, reply = await link.ask(WriteCoil(1, 0, ON))
        assert reply == Reply(transaction=transaction, unit=1, function=5, exception=0x42)


async def test_one_request_is_one_frame_even_without_a_reply() -> None:
    async with DoorController() as board, linked(board, Owner(), timeout_s=0.1) as link:
        board.faults.always(Fault(kind=FaultKind.SILENT))
        with pytest.raises(Broken) as caught:
            await link.ask(PULSE)
        assert isinstance(caught.value.__cause__, ModbusIOException)
        assert len(board.requests) == 1, "retries=0 no longer means: one frame"


async def test_a_reply_nobody_can_read_is_told_to_the_owner_and_not_to_the_loop() -> None:
    owner = Owner()
    async with DoorController() as board, linked(board, owner, timeout_s=0.1) as link:
        board.faults.once(Fault(kind=FaultKind.GARBAGE))
        with pytest.raises(Broken):
            await link.ask(READ)
        assert any(line.startswith("abort a reply that cannot be read") for line in owner.told)


async def test_the_library_cannot_be_made_to_connect() -> None:
    with pytest.raises(ConnectionException):
        await Link(Owner(), numbered=False, timeout_s=1).connect()

"""What the bus relies on inside pymodbus. A failure here after an upgrade says which promise has gone."""

import asyncio
import importlib.metadata
import struct

import pytest
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ConnectionException, ModbusIOException
from pymodbus.pdu import ModbusPDU
from pymodbus.pdu.bit_message import ReadCoilsRequest

from drivers.modbus.bus import _CoilWord
from drivers.simulators.door_controller import DoorController, Fault, FaultKind
from tests.fakes.modbus_rig import until


def client(board: DoorController, **more: object) -> AsyncModbusTcpClient:
    return AsyncModbusTcpClient(
        board.host, port=board.port, retries=0, reconnect_delay=0, timeout=0.5, **more
    )


def test_the_version_is_the_one_that_was_read() -> None:
    major, minor, *_ = importlib.metadata.version("pymodbus").split(".")
    assert (major, minor) == ("3", "16"), "read the library anew before widening the pin in pyproject.toml"


async def test_the_transport_can_be_aborted_and_is_told_of_through_trace_connect() -> None:
    told: list[bool] = []
    async with DoorController() as board:
        one = client(board, trace_connect=told.append)
        assert await one.connect()
        assert isinstance(one.ctx.transport, asyncio.Transport), "ctx.transport is no longer the transport"
        one.ctx.transport.abort()
        await until(lambda: told == [True, False])
        assert one.ctx.transport is None
        await until(lambda: board.clients == 0)
        await asyncio.sleep(0.3)
        assert board.connections == 1, "reconnect_delay=0 no longer means: do not reconnect"


async def test_the_reply_is_waited_for_in_ctx_response_future() -> None:
    async with DoorController() as board:
        board.faults.always(Fault(kind=FaultKind.SILENT))
        one = client(board)
        await one.connect()
        call = asyncio.create_task(one.execute(False, ReadCoilsRequest(address=0, count=1, dev_id=1)))
        await until(lambda: len(board.requests) == 1)
        assert isinstance(one.ctx.response_future, asyncio.Future), "ctx.response_future has gone"
        one.ctx.response_future.set_exception(ConnectionException("told at once"))
        with pytest.raises(ConnectionException, match="told at once"):
            await call
        one.ctx.transport.abort()
        await asyncio.sleep(0)


async def test_trace_pdu_is_on_the_send_path_and_can_withhold_a_frame() -> None:
    class Withheld(Exception): ...

    def refuse(sending: bool, pdu: ModbusPDU) -> ModbusPDU:
        raise Withheld(f"{sending} {pdu.function_code}")

    async with DoorController() as board:
        one = client(board, trace_pdu=refuse)
        await one.connect()
        for _ in range(2):  # and the library's lock is free again
            with pytest.raises(Withheld, match="True 1"):
                await one.execute(False, ReadCoilsRequest(address=0, count=1, dev_id=1))
        await asyncio.sleep(0.05)
        assert board.requests == []
        one.ctx.transport.abort()
        await asyncio.sleep(0)


async def test_nothing_is_awaited_between_the_hook_and_the_transport() -> None:
    order: list[str] = []

    def note(_sending: bool, pdu: ModbusPDU) -> ModbusPDU:
        order.append("hook")
        asyncio.get_running_loop().call_soon(order.append, "loop")
        return pdu

    def wrote(sending: bool, data: bytes) -> bytes:
        if sending:
            order.append("write")
        return data

    async with DoorController() as board:
        one = client(board, trace_pdu=note, trace_packet=wrote)
        await one.connect()
        await one.execute(False, ReadCoilsRequest(address=0, count=1, dev_id=1))
        assert order[:3] == ["hook", "write", "loop"], "the expiry check is no longer the last thing"
        one.ctx.transport.abort()
        await asyncio.sleep(0)


async def test_the_pulse_length_is_sent_and_its_echo_decoded_whole() -> None:
    async with DoorController() as board:
        one = client(board)
        one.register(_CoilWord)
        await one.connect()
        echo = await one.execute(False, _CoilWord(dev_id=1, address=0x0200, value=7))
        assert isinstance(echo, _CoilWord)
        assert (echo.address, echo.value, echo.dev_id) == (0x0200, 7, 1)
        assert echo.transaction_id == 1
        assert board.requests == [struct.pack(">BHH", 5, 0x0200, 7)]
        other = client(board)
        assert other.ctx.framer.decoder.lookupPduClass(b"\x01\x05") is not _CoilWord, "register is global now"
        one.ctx.transport.abort()
        await asyncio.sleep(0)


async def test_one_execute_is_one_frame_even_without_a_reply() -> None:
    async with DoorController() as board:
        board.faults.always(Fault(kind=FaultKind.SILENT))
        one = client(board)
        await one.connect()
        with pytest.raises(ModbusIOException):
            await one.execute(False, _CoilWord(dev_id=1, address=0, value=0))
        assert len(board.requests) == 1, "retries=0 no longer means: one frame"
        one.ctx.transport.abort()
        await asyncio.sleep(0)

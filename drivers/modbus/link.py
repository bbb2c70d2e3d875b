"""What is used of pymodbus: its frames, its serial transport, its matching of transaction ids. No more.

The only file that imports it. It sends a write again after a lost reply, reconnects by itself, and takes any
reply with the right transaction id for the answer: none of that is left here. ``Wire`` decides what may leave
and what a reply proves.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final, Protocol

from pymodbus.exceptions import ConnectionException, ModbusException
from pymodbus.framer import FramerRTU, FramerSocket
from pymodbus.pdu import DecodePDU, ExceptionResponse, ModbusPDU
from pymodbus.transaction import TransactionManager
from pymodbus.transport import CommParams, CommType
from pymodbus.transport.serialtransport import SerialTransport

from drivers.modbus.codec import ECHOES, KNOWN, Content, decode, encode
from drivers.modbus.frames import Reply, Request, function_of
from drivers.modbus.guard import Forbidden
from drivers.modbus.transport import Serial


class Broken(Exception):
    """The exchange ended without a reply, and not by time."""


class Owner(Protocol):
    """Who decides about a link, called by it."""

    def passes(self, unit: int, function: int, data: bytes) -> None:
        """A frame is about to leave, with nothing awaited in between; raise to keep it here."""

    def heard(self, count: int) -> bool:
        """So many bytes came; False to ignore them."""

    def received(self, data: bytes, take: Callable[[bytes], int]) -> int:
        """All bytes that are not done with; give ``take`` what is a frame, return how many are done with."""

    def ended(self, error: Exception | None) -> None:
        """The link has ended, not by us."""

    def abort(self, why: str) -> None:
        """Cut the link."""


class _Pdu(ModbusPDU):
    """A request or a reply as bytes, whole. The library's own classes know a coil as ON or OFF only."""

    def __init__(self, dev_id: int = 0, transaction_id: int = 0, data: bytes = b"") -> None:
        super().__init__(dev_id=dev_id, transaction_id=transaction_id)
        self.data = data

    def encode(self) -> bytes:
        """What follows the function code."""
        return self.data

    def decode(self, data: bytes) -> None:
        """Take it as it is; ``codec`` looks at it."""
        self.data = bytes(data)


def _pdu_class(function: int) -> type[_Pdu]:
    size = {"rtu_frame_size": 8} if function in ECHOES else {"rtu_byte_count_pos": 2}
    return type(f"_Pdu{function}", (_Pdu,), {"function_code": function, **size})


_PDUS: Final = {function: _pdu_class(function) for function in KNOWN}


class Link(TransactionManager):
    """The library's end of one connection. ``numbered``: frames carry transaction ids (Modbus TCP, TLS)."""

    def __init__(self, owner: Owner, *, numbered: bool, timeout_s: float) -> None:
        decoder = DecodePDU(is_server=False)
        for pdu in _PDUS.values():
            decoder.register(pdu)
        super().__init__(
            # No reconnecting by the library; its time-out is a backstop, the deadline is ours.
            CommParams(comm_type=CommType.TCP, reconnect_delay=0, timeout_connect=2 * timeout_s),
            (FramerSocket if numbered else FramerRTU)(decoder),
            retries=0,
            is_server=False,
            trace_packet=None,
            trace_pdu=self._hook,
            trace_connect=None,
        )
        self._owner = owner

    async def ask(self, request: Request) -> tuple[int, Reply]:
        """Send one frame and wait; returns the transaction id and the reply as it came.

        Raises Broken, Forbidden for a request that fits no frame, and what the owner raised to keep it here.
        """
        try:
            pdu = _PDUS[function_of(request)](dev_id=request.unit, data=encode(request))
        except (ValueError, KeyError) as error:
            raise Forbidden(f"Modbus request to unit {request.unit} that fits no frame: {error}") from error
        try:
            reply = await self.execute(False, pdu)  # noqa: FBT003  # positional in the library
        except ModbusException as error:
            raise Broken(error.string) from error
        return pdu.transaction_id, _reply(reply)

    def break_off(self, why: str) -> None:
        """Let go of who waits for a reply."""
        if not self.response_future.done():
            self.response_future.set_exception(ConnectionException(why))

    async def connect(self) -> bool:
        """The library would, when it is asked to send on a dead link."""
        raise ConnectionException("only the bus connects")

    def data_received(self, data: bytes) -> None:
        """From the transport."""
        if self._owner.heard(len(data)):
            super().data_received(data)

    def callback_data(self, data: bytes, addr: tuple[Any, ...] | None = None) -> int:  # noqa: ARG002
        """From the library, with everything that is not done with."""
        try:
            return self._owner.received(data, super().callback_data)
        except Exception as error:  # noqa: BLE001  # bytes from outside: this link ends, and says why
            self._owner.abort(f"a reply that cannot be read: {error}")
            return len(data)

    def callback_disconnected(self, exc: Exception | None) -> None:
        """From the library."""
        self._owner.ended(exc)

    def _hook(self, sending: bool, pdu: ModbusPDU) -> ModbusPDU:  # noqa: FBT001  # the library's signature
        if sending:
            self._owner.passes(pdu.dev_id, pdu.function_code, pdu.encode())
        return pdu


def open_serial(to: Serial, link: Link) -> asyncio.Transport:
    """Open a serial line for this program alone. Raises OSError."""
    line = SerialTransport(asyncio.get_running_loop(), link, to.path, to.baud, 8, to.parity, to.stop_bits, 0)
    line.setup()
    link.transport = line
    return line


def _reply(pdu: ModbusPDU) -> Reply:
    content = decode(pdu.function_code, pdu.data) if isinstance(pdu, _Pdu) else Content()
    return Reply(
        transaction=pdu.transaction_id,
        unit=pdu.dev_id,
        function=pdu.function_code & 0x7F,
        exception=pdu.exception_code if isinstance(pdu, ExceptionResponse) else None,
        bits=content.bits,
        words=content.words,
        echo=content.echo,
    )

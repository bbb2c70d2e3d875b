"""A simulated Modbus endpoint: one or several devices, and faults on command.

Written on asyncio alone, so that its codec is never the driver's.
"""

import asyncio
import socket
import ssl
import struct
import time
from collections.abc import Sequence
from typing import Final, Protocol, Self

from drivers.simulators.memory import exception
from drivers.simulators.modbus_faults import Fault, FaultKind, FaultScript
from drivers.simulators.modbus_wire import Asked, Framing, Mbap, Rtu, Wire

_WRITES: Final = frozenset({5, 6, 15, 16})
_LINGER_NOT: Final = struct.pack("ii", 1, 0)


class Answers(Protocol):
    """A device at one unit address."""

    unit: int

    def answer(self, pdu: bytes) -> bytes:
        """Carry out a request. Never raises."""
        ...

    def power_off(self, why: str) -> None:
        """Outputs drop, timers are forgotten."""
        ...


class ModbusServer:
    """``async with ModbusServer(devices) as server``: serves from entry to exit, on loopback by default.

    ``port`` 0 takes a free one; other unit addresses get silence, as on a line without such a unit.
    ``max_clients`` is how many connections it keeps; further ones are closed. ``tls`` makes it Modbus/TCP
    Security, ``framing`` "rtu" a transparent device server.
    """

    def __init__(
        self,
        devices: Sequence[Answers],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        max_clients: int | None = None,
        framing: Framing = "tcp",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.host, self.port = host, port
        self.devices = list(devices)
        self.faults = FaultScript()
        self.max_clients = max_clients
        self.connections = 0
        """Connections accepted so far."""
        self.requests: list[bytes] = []
        """Request PDUs in the order they came, carried out or not."""
        self.carried_out: list[tuple[int, int, bytes]] = []
        """Writes that were carried out: monotonic time, unit, PDU."""
        self._framing, self._tls = framing, tls
        self._clients: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._server: asyncio.Server | None = None
        self._bound: socket.socket | None = None

    async def __aenter__(self) -> Self:
        """Power on: every relay OFF. Raises OSError for a port that is taken."""
        self._bound = self._bind()
        await self.listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Power off."""
        await self.refuse()
        for device in self.devices:
            device.power_off("power off")
        if self._bound is not None:
            self._bound.close()

    @property
    def clients(self) -> int:
        """Open connections."""
        return len(self._clients)

    async def listen(self) -> None:
        """Take connections again, on the same port. Does nothing while it does."""
        bound, self._bound = self._bound, None
        if bound is not None:
            self._server = await asyncio.start_server(self._serve, sock=bound, ssl=self._tls)

    async def refuse(self) -> None:
        """Refuse connections, and cut those there are."""
        server, self._server = self._server, None
        if server is not None:
            await _finish_accepting(server)
            server.close()
            self._bound = self._bind()
        await self.cut()

    def _bind(self) -> socket.socket:
        """A socket that holds the port and refuses connections until someone listens on it."""
        bound = socket.socket()
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((self.host, self.port))
        except OSError:
            bound.close()
            raise
        self.port = bound.getsockname()[1]
        return bound

    async def reboot(self, dark_s: float = 0.0) -> None:
        """Power cycle: outputs drop, connections end; back after ``dark_s`` seconds."""
        for device in self.devices:
            device.power_off("reboot")
        await self.refuse()
        await asyncio.sleep(dark_s)
        await self.listen()

    async def cut(self) -> None:
        """End all connections at once."""
        tasks = tuple(self._clients)
        for task, writer in self._clients.items():
            writer.transport.abort()
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # aborted transports tell their protocols in the next round of the loop

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or (self.max_clients is not None and self.clients >= self.max_clients):
            writer.transport.abort()
            return
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connections += 1
        self._clients[task] = writer
        try:
            wire: Wire = Mbap() if self._framing == "tcp" else Rtu()
            while await self._one(wire, reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            """The client has gone or was cut off; its relays keep their timers."""
        finally:
            del self._clients[task]
            writer.close()

    async def _one(self, wire: Wire, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Serve one request; False ends the connection."""
        asked = await wire.request(reader)
        if asked is None:
            return False
        self.requests.append(asked.pdu)
        if asked.unit == 0:
            for device in self.devices:
                device.answer(asked.pdu)  # a broadcast is carried out and never answered
            return True
        device_there = next((d for d in self.devices if d.unit == asked.unit), None)
        if device_there is None:
            return True  # silence, as on a line without such a unit
        fault = self.faults.take(asked.pdu)
        if fault is None:
            writer.write(wire.frame(asked, self._answer(device_there, asked.pdu)))
            return True
        return await self._misbehave(fault, wire, writer, asked, device_there)

    def _answer(self, device: Answers, pdu: bytes) -> bytes:
        reply = device.answer(pdu)
        if pdu[0] in _WRITES and reply[0] == pdu[0]:
            self.carried_out.append((time.monotonic_ns(), device.unit, pdu))
        return reply

    async def _misbehave(
        self, fault: Fault, wire: Wire, writer: asyncio.StreamWriter, asked: Asked, device: Answers
    ) -> bool:
        kind, pdu = fault.kind, asked.pdu
        if kind is FaultKind.SILENT:
            return True
        if kind is FaultKind.DROP_BEFORE:
            return False
        if kind is FaultKind.SLOW:
            await asyncio.sleep(fault.seconds)
        reply = exception(pdu[0], fault.code) if kind is FaultKind.EXCEPTION else self._answer(device, pdu)
        if kind is FaultKind.DROP_AFTER:
            return False
        if kind is FaultKind.LATE_REPLY:
            await asyncio.sleep(fault.seconds)
        frame = wire.frame(asked, _bent(kind, reply), fault)
        frame = frame * 2 if kind is FaultKind.DUPLICATE else frame
        writer.write(frame[: len(frame) // 2] if kind in {FaultKind.HALF_FRAME, FaultKind.RESET} else frame)
        if kind is FaultKind.RESET:
            await asyncio.sleep(0.01)  # the half frame first
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
            writer.transport.abort()
            return False
        return True


def _bent(kind: FaultKind, reply: bytes) -> bytes:
    """The reply with what the fault puts wrong in it."""
    write = reply[0] in {5, 6}
    match kind:
        case FaultKind.WRONG_FUNCTION:
            reply = b"\x01\x01\x00" if reply[0] != 1 else b"\x02\x01\x00"
        case FaultKind.WRONG_ADDRESS if write:
            reply = reply[:2] + bytes([reply[2] ^ 1]) + reply[3:]
        case FaultKind.WRONG_VALUE if write:
            reply = reply[:4] + bytes([reply[4] ^ 1])
        case FaultKind.GARBAGE:
            reply = b"\x63" + reply[1:]
        case _:
            """The reply itself is right."""
    return reply


async def _finish_accepting(server: asyncio.Server) -> None:
    """Else asyncio loses a socket that is accepted when its server closes before the transport is made."""
    for listening in server.sockets:
        asyncio.get_running_loop().remove_reader(listening.fileno())
    for _ in range(3):
        await asyncio.sleep(0)

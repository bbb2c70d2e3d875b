"""A Modbus TCP relay board to rehearse with: Waveshare's map, hardware pulse timers, faults on command.

Written on asyncio alone, so that its codec is never the driver's. A second flash during a flash starts the
timer again; what the real board does is not known.

``python -m drivers.simulators.door_controller --port 0 --edges FILE`` runs it alone: it prints
``{"port": N}`` and appends every edge of a contact to FILE as a JSON line, written through at once.
"""

import argparse
import asyncio
import contextlib
import json
import signal
import socket
import struct
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Self, TextIO

from drivers.simulators.modbus_faults import PULSES, Fault, FaultKind, FaultScript
from drivers.simulators.modbus_map import RegisterMap, exception
from drivers.simulators.modbus_relays import Edge, Relays

__all__ = ["PULSES", "DoorController", "Edge", "Fault", "FaultKind"]

_HEAD: Final = struct.Struct(">HHHB")
_LINGER_NOT: Final = struct.pack("ii", 1, 0)


class DoorController:
    """``async with DoorController() as board``: serves from entry to exit, on loopback by default.

    ``port`` 0 takes a free one; ``unit`` is the only address it answers to; ``max_clients`` is how many
    connections it keeps, further ones are closed. ``on_edge`` is called for every change of a contact.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        relays: int = 8,
        unit: int = 1,
        max_clients: int | None = None,
        on_edge: Callable[[Edge], None] | None = None,
    ) -> None:
        self.host, self.port = host, port
        self.faults = FaultScript()
        self.relays = Relays(relays, on_edge)
        self.map = RegisterMap(self.relays, unit)
        self.max_clients = max_clients
        self.connections = 0
        """Connections accepted so far."""
        self.requests: list[bytes] = []
        """Request PDUs in the order they came, carried out or not."""
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
        self.relays.power_off("power off")
        if self._bound is not None:
            self._bound.close()

    @property
    def edges(self) -> list[Edge]:
        """Every change of a contact, in order."""
        return self.relays.edges

    @property
    def clients(self) -> int:
        """Open connections."""
        return len(self._clients)

    def pulses(self, relay: int = 1) -> int:
        """How often a contact has closed."""
        return self.relays.pulses(relay)

    def is_on(self, relay: int = 1) -> bool:
        """State of a contact."""
        return self.relays.contact(relay)

    def unlock_frames(self) -> int:
        """Flash-ON requests that came, carried out or not."""
        return sum(p[0] == 5 and int.from_bytes(p[1:3], "big") in PULSES for p in self.requests)

    async def wait_edge(
        self, seen: int = 0, *, relay: int | None = None, on: bool | None = None, timeout_s: float = 5.0
    ) -> Edge:
        """The first edge after the first ``seen`` ones that fits. Raises TimeoutError."""
        return await self.relays.wait_edge(seen, relay=relay, on=on, timeout_s=timeout_s)

    def write_from_elsewhere(self, relay: int, *, on: bool) -> None:
        """A second master switches a relay."""
        self.relays.write(relay - 1, on=on, why="second master")

    async def listen(self) -> None:
        """Take connections again, on the same port. Does nothing while it does."""
        bound, self._bound = self._bound, None
        if bound is not None:
            self._server = await asyncio.start_server(self._serve, sock=bound)

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
        self.relays.power_off("reboot")
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
            while await self._one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            """The client has gone or was cut off; its relays keep their timers."""
        finally:
            del self._clients[task]
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Serve one request; False ends the connection."""
        transaction, protocol, length, unit = _HEAD.unpack(await reader.readexactly(_HEAD.size))
        if protocol != 0 or not 2 <= length <= 254:
            return False
        pdu = await reader.readexactly(length - 1)
        self.requests.append(pdu)
        if unit == 0:
            self.map.answer(pdu)  # a broadcast is carried out and never answered
            return True
        if unit != self.map.unit:
            return True  # silence, as on a line without such a unit
        fault = self.faults.take(pdu)
        if fault is None:
            writer.write(_frame(transaction, unit, self.map.answer(pdu)))
            return True
        return await self._misbehave(fault, writer, (transaction, unit, pdu))

    async def _misbehave(
        self, fault: Fault, writer: asyncio.StreamWriter, request: tuple[int, int, bytes]
    ) -> bool:
        transaction, unit, pdu = request
        kind = fault.kind
        if kind is FaultKind.SILENT:
            return True
        if kind is FaultKind.DROP_BEFORE:
            return False
        if kind is FaultKind.SLOW:
            await asyncio.sleep(fault.seconds)
        reply = exception(pdu[0], fault.code) if kind is FaultKind.EXCEPTION else self.map.answer(pdu)
        if kind is FaultKind.DROP_AFTER:
            return False
        if kind is FaultKind.LATE_REPLY:
            await asyncio.sleep(fault.seconds)
        frame = _bent(kind, transaction, unit, reply)
        writer.write(frame[: len(frame) // 2] if kind in {FaultKind.HALF_FRAME, FaultKind.RESET} else frame)
        if kind is FaultKind.RESET:
            await asyncio.sleep(0.01)  # the half frame first
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
            writer.transport.abort()
            return False
        return True


def _frame(transaction: int, unit: int, reply: bytes, protocol: int = 0) -> bytes:
    return _HEAD.pack(transaction & 0xFFFF, protocol, len(reply) + 1, unit) + reply


def _bent(kind: FaultKind, transaction: int, unit: int, reply: bytes) -> bytes:
    """The reply's frame with what the fault puts wrong in it."""
    write = reply[0] == 5
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
    transaction += kind is FaultKind.WRONG_TRANSACTION
    unit += kind is FaultKind.WRONG_UNIT
    frame = _frame(transaction, unit, reply, protocol=7 if kind is FaultKind.WRONG_PROTOCOL else 0)
    return frame * 2 if kind is FaultKind.DUPLICATE else frame


async def _finish_accepting(server: asyncio.Server) -> None:
    """Else asyncio loses a socket that is accepted when its server closes before the transport is made."""
    for listening in server.sockets:
        asyncio.get_running_loop().remove_reader(listening.fileno())
    for _ in range(3):
        await asyncio.sleep(0)


def _recorder(record: TextIO | None) -> Callable[[Edge], None]:
    def write(edge: Edge) -> None:
        if record is not None:
            line = {"relay": edge.relay, "on": edge.on, "mono_ns": edge.mono_ns, "why": edge.why}
            record.write(json.dumps(line) + "\n")
            record.flush()

    return write


async def _alone(arguments: argparse.Namespace, record: TextIO | None) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    board = DoorController(
        host=arguments.host, port=arguments.port, relays=arguments.relays, on_edge=_recorder(record)
    )
    async with board:
        sys.stdout.write(json.dumps({"port": board.port}) + "\n")
        sys.stdout.flush()
        await stop.wait()


def main(argv: Sequence[str] | None = None) -> int:
    """Run a board until it is interrupted."""
    parser = argparse.ArgumentParser(prog="drivers.simulators.door_controller", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=5020, help="0 takes a free one (default 5020)")
    parser.add_argument("--relays", type=int, default=8)
    parser.add_argument("--edges", type=Path, help="append every change of a contact here, as JSON lines")
    arguments = parser.parse_args(argv)
    with contextlib.ExitStack() as stack:
        record = stack.enter_context(arguments.edges.open("a", encoding="utf-8")) if arguments.edges else None
        asyncio.run(_alone(arguments, record))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""A serial line with units on it, over a pseudo-terminal or behind a device server, with faults on command.

The device server is a transparent one: what the line says goes to whoever is connected at that moment.
"""

import asyncio
import contextlib
import os
import socket
import tty
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.fakes.modbus_units import Unit


def checksum(data: bytes) -> bytes:
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value >> 1) ^ 0xA001 if value & 1 else value >> 1
    return value.to_bytes(2, "little")


def frame(unit: int, pdu: bytes) -> bytes:
    return bytes([unit]) + pdu + checksum(bytes([unit]) + pdu)


@dataclass
class Act:
    """What a unit does with one request."""

    delay_s: float = 0.0
    silent: bool = False
    deaf: bool = False
    """Neither carried out nor answered."""
    before: bytes = b""
    copies: int = 1
    bend: Callable[[bytes], bytes] = lambda reply: reply
    """What becomes of the frame of the reply."""


@dataclass
class Line:
    units: dict[int, Unit]
    acts: dict[int, list[Act]] = field(default_factory=dict)
    """What each unit does next; then it behaves."""
    always: dict[int, Act] = field(default_factory=dict)
    requests: list[tuple[float, int, bytes]] = field(default_factory=list)
    """Loop time, unit and PDU of each request that came, for whatever unit."""
    say: Callable[[bytes], None] = lambda _: None
    _heard: bytes = b""
    _busy: dict[int, asyncio.Lock] = field(default_factory=dict)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def once(self, unit: int, *acts: Act) -> None:
        self.acts.setdefault(unit, []).extend(acts)

    def of(self, unit: int, function: int | None = None) -> list[bytes]:
        return [p for _, u, p in self.requests if u == unit and function in {None, p[0]}]

    def hear(self, data: bytes) -> None:
        self._heard += data
        while len(self._heard) >= 8:
            length = self._heard[6] + 9 if self._heard[1] == 16 else 8
            if len(self._heard) < length:
                return
            one, self._heard = self._heard[:length], self._heard[length:]
            if one != frame(one[0], one[1:-2]):
                raise AssertionError(f"not a frame: {one.hex()}")
            self._request(one[0], one[1:-2])

    def _request(self, unit: int, pdu: bytes) -> None:
        self.requests.append((asyncio.get_running_loop().time(), unit, pdu))
        if unit in self.units:
            todo = self.acts.get(unit)
            act = todo.pop(0) if todo else self.always.get(unit, Act())
            task = asyncio.create_task(self._answer(unit, pdu, act))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _answer(self, unit: int, pdu: bytes, act: Act) -> None:
        async with self._busy.setdefault(unit, asyncio.Lock()):  # one after the other
            if act.deaf:
                return
            reply = frame(unit, self.units[unit].answer(pdu))
            await asyncio.sleep(act.delay_s)
            if not act.silent:
                self.say(act.before)
                for _ in range(act.copies):
                    self.say(act.bend(reply))
                    await asyncio.sleep(0.002)

    async def stop(self) -> None:
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@dataclass
class DeviceServer:
    """Serves one client at a time; a new one takes the line over."""

    line: Line
    port: int = 0
    connections: int = 0
    client: asyncio.StreamWriter | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.client = writer
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            while data := await reader.read(512):
                self.line.hear(data)
        if self.client is writer:
            self.client = None
        writer.close()

    def say(self, data: bytes) -> None:
        if self.client is not None and data:
            self.client.write(data)


@contextlib.asynccontextmanager
async def device_server(*units: int) -> AsyncIterator[DeviceServer]:
    line = Line({n: Unit() for n in units})
    made = DeviceServer(line)
    line.say = made.say
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        await line.stop()
        server.close()
        if made.client is not None:
            made.client.transport.abort()
        await asyncio.sleep(0.01)
        await server.wait_closed()


@dataclass
class Adapter:
    """A USB adapter at ``path`` that can be pulled and plugged in again."""

    line: Line
    path: Path
    _ends: tuple[int, int] | None = None

    def plug(self) -> None:
        ours, theirs = os.openpty()
        tty.setraw(theirs)
        os.set_blocking(ours, False)
        self.path.unlink(missing_ok=True)
        self.path.symlink_to(os.ttyname(theirs))
        os.close(theirs)  # so that pulling ours ends whoever has it open
        self._ends = (ours, ours)
        asyncio.get_running_loop().add_reader(ours, self._read)

    def pull(self) -> None:
        if self._ends is not None:
            ours, self._ends = self._ends[0], None
            asyncio.get_running_loop().remove_reader(ours)
            os.close(ours)
            self.path.unlink()

    def say(self, data: bytes) -> None:
        if self._ends is not None and data:
            with contextlib.suppress(OSError):
                os.write(self._ends[0], data)

    def _read(self) -> None:
        if self._ends is None:
            return
        try:
            self.line.hear(os.read(self._ends[0], 512))
        except BlockingIOError:
            return
        except OSError:  # nobody has the other end open now
            asyncio.get_running_loop().remove_reader(self._ends[0])
            asyncio.get_running_loop().call_later(0.01, self._again)

    def _again(self) -> None:
        if self._ends is not None:
            asyncio.get_running_loop().add_reader(self._ends[0], self._read)


@contextlib.asynccontextmanager
async def adapter(folder: Path, *units: int) -> AsyncIterator[Adapter]:
    line = Line({n: Unit() for n in units})
    made = Adapter(line, folder / "ttyUSB0")
    line.say = made.say
    made.plug()
    try:
        yield made
    finally:
        made.pull()
        await line.stop()

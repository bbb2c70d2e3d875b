"""One Modbus TCP endpoint: one socket, one request in flight. The only file that imports pymodbus.

pymodbus sends a write again after a lost reply, keeps a dead link for several time-outs, and takes any
reply with the right transaction id for the answer. So here: no retries, no reconnecting by the library,
a client of its own for every connection, a fresh look at every reply, and the link is cut after a mismatch,
a cancellation or a time-out, so that nothing late can be taken for the answer to something else. One time-out
is no reason to cut: that of a unit that shares the link with others, for anything but a pulse.
"""

import asyncio
import contextlib
import random
import struct
from collections.abc import Callable
from typing import Final, cast

import structlog
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ConnectionException, ModbusException
from pymodbus.pdu import ExceptionResponse, ModbusPDU
from pymodbus.pdu.bit_message import ReadCoilsRequest, ReadDiscreteInputsRequest
from pymodbus.pdu.register_message import (
    ReadHoldingRegistersRequest,
    ReadInputRegistersRequest,
    WriteMultipleRegistersRequest,
    WriteMultipleRegistersResponse,
    WriteSingleRegisterRequest,
    WriteSingleRegisterResponse,
)

from drivers.modbus.frames import (
    READ_COILS,
    READ_HOLDING,
    WRITE_COIL,
    Ambiguous,
    Job,
    JobQueue,
    NotSent,
    ReadBits,
    ReadWords,
    Reply,
    Request,
    Result,
    WriteCoil,
    WriteWord,
    WriteWords,
    judge,
)
from drivers.modbus.guard import Forbidden, Guard
from drivers.modbus.meter import Meter
from drivers.modbus.silence import Silence
from drivers.modbus.tcp import forget_when_closed, part_in_order
from gateway.ports import Clock

_log = structlog.get_logger(__name__)

FIRST_WAIT_S: Final = 0.1
LONGEST_WAIT_S: Final = 2.0


class _CoilWord(ModbusPDU):
    """FC05, request and echo, with the value field whole.

    The library's own classes know ON and OFF only: they can neither send a pulse length nor check its echo.
    """

    function_code = WRITE_COIL
    rtu_frame_size = 8

    def __init__(self, dev_id: int = 0, transaction_id: int = 0, address: int = 0, value: int = 0) -> None:
        super().__init__(dev_id=dev_id, transaction_id=transaction_id, address=address)
        self.value = value

    def encode(self) -> bytes:
        """Address and value, big endian."""
        return struct.pack(">HH", self.address, self.value)

    def decode(self, data: bytes) -> None:
        """Raises struct.error on any other length; the library then drops the link."""
        self.address, self.value = struct.unpack(">HH", data)


class _Withheld(Exception):
    """Raised on the send path: the frame stays here."""


def _encode(request: Request) -> ModbusPDU:
    unit = request.unit
    match request:
        case WriteCoil():
            return _CoilWord(dev_id=unit, address=request.address, value=request.value)
        case WriteWord():
            return WriteSingleRegisterRequest(dev_id=unit, address=request.address, registers=[request.value])
        case WriteWords():
            return WriteMultipleRegistersRequest(
                dev_id=unit, address=request.address, registers=list(request.values)
            )
        case ReadBits():
            bits = ReadCoilsRequest if request.function == READ_COILS else ReadDiscreteInputsRequest
            return bits(dev_id=unit, address=request.address, count=request.count)
        case ReadWords():
            words = (
                ReadHoldingRegistersRequest if request.function == READ_HOLDING else ReadInputRegistersRequest
            )
            return words(dev_id=unit, address=request.address, count=request.count)


def _decode(reply: ModbusPDU) -> Reply:
    return Reply(
        transaction=reply.transaction_id,
        unit=reply.dev_id,
        function=reply.function_code & 0x7F,
        exception=reply.exception_code if isinstance(reply, ExceptionResponse) else None,
        bits=tuple(reply.bits),
        words=tuple(reply.registers),
        echo=_echo(reply),
    )


def _echo(reply: ModbusPDU) -> tuple[int, int] | None:
    match reply:
        case _CoilWord():
            return reply.address, reply.value
        case WriteSingleRegisterResponse():
            return reply.address, reply.registers[0]
        case WriteMultipleRegistersResponse():
            return reply.address, reply.count
        case _:
            return None


class _Wire:
    """One TCP connection from its opening to its end; never opened twice."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        timeout_s: float,
        guard: Guard,
        clock: Clock,
        silence: Silence,
        on_lost: Callable[[], None],
    ) -> None:
        self.alive = False
        self.answered = False
        self._silence = silence
        self._guard, self._clock, self._timeout_s, self._on_lost = guard, clock, timeout_s, on_lost
        self._job: Job | None = None
        self._bytes_came = self._unanswered = False
        self._client = AsyncModbusTcpClient(
            host,
            port=port,
            retries=0,
            reconnect_delay=0,  # the bus connects, nobody else: a second connect() would leak a socket
            timeout=2 * timeout_s,  # a backstop; the deadline is ours
            trace_packet=self._note_bytes,
            trace_pdu=self._pass,
            trace_connect=self._connected,
        )
        self._client.register(_CoilWord)

    async def open(self) -> bool:
        """Connect within the time-out; False when that fails."""
        try:
            async with asyncio.timeout(self._timeout_s):
                self.alive = await self._client.connect() and self._client.ctx.transport is not None
            if self.alive:
                forget_when_closed(self._transport(), self._timeout_s)
        except (OSError, TimeoutError):
            self.alive = False
        if not self.alive:
            self.abort()
        return self.alive

    async def exchange(self, job: Job) -> Result:
        """Send one request and wait for its answer. Raises Forbidden for a banned frame."""
        pdu = _encode(job.request)
        self._job, self._bytes_came = job, False
        try:
            async with asyncio.timeout(self._timeout_s):
                reply = await self._client.execute(False, pdu)  # noqa: FBT003  # positional in the library
        except (_Withheld, Forbidden) as error:
            if isinstance(error, Forbidden):
                raise
            return NotSent(why=str(error))
        except TimeoutError:
            all_silent = self._silence.timed_out(job.request.unit)
            if all_silent or self._bytes_came or job.opens:
                self.abort()
            return self._failed(job, "no reply in time")
        except (ModbusException, OSError) as error:
            self.abort()
            return self._failed(job, str(error))
        except BaseException:
            self.abort()
            raise
        finally:
            self._job = None
        result = judge(job, pdu.transaction_id, _decode(reply), self._clock.monotonic_ns())
        if isinstance(result, Ambiguous) and result.lied:
            self.abort()
        else:
            self.answered, self._unanswered = True, False
            self._silence.answered(job.request.unit)
        return result

    def abort(self) -> None:
        """Cut the link now; unread and unsent bytes are gone, from the kernel too."""
        self.alive = False
        if self._client.ctx.transport is not None:
            self._transport().abort()

    def close(self) -> None:
        """End the link, in order if nothing is on its way."""
        if self.alive and not self._unanswered:
            part_in_order(self._transport())
        self.abort()

    def _transport(self) -> asyncio.Transport:
        return cast("asyncio.Transport", self._client.ctx.transport)

    def _failed(self, job: Job, why: str) -> Result:
        if job.sent_ns is None:
            return NotSent(why=why)
        return Ambiguous(why=why, sent_ns=job.sent_ns, done_ns=self._clock.monotonic_ns())

    def _pass(self, sending: bool, pdu: ModbusPDU) -> ModbusPDU:  # noqa: FBT001  # the library's signature
        """The send path's only gate, with nothing awaited between it and the socket."""
        if not sending:
            return pdu
        job = self._job
        if job is None:
            raise Forbidden("a Modbus frame that nobody asked for")
        if job.sent_ns is not None:
            raise ConnectionException("the library tried to send the frame a second time")
        self._guard.check(pdu.dev_id, pdu.function_code, pdu.encode())
        now = self._clock.monotonic_ns()
        why = job.why_not(now)
        if why is not None:
            raise _Withheld(why)
        job.sent_ns, self._unanswered = now, True
        return pdu

    def _note_bytes(self, sending: bool, data: bytes) -> bytes:  # noqa: FBT001  # the library's signature
        """Part of a reply leaves its rest to come, and that must not run into the next one."""
        self._bytes_came = self._bytes_came or not sending
        return data

    def _connected(self, up: bool) -> None:  # noqa: FBT001  # the library's signature
        """The library tells of the link's end here, but lets a waiting request run into its time-out."""
        if up:
            return
        self.alive = False
        waiting = self._client.ctx.response_future
        if self._job is not None and not waiting.done():
            waiting.set_exception(ConnectionException("the link was lost before the reply"))
        self._on_lost()


class ModbusBus:
    """The actor of one endpoint: connects, carries out jobs by priority, one at a time.

    While the link is down every job ends at once as NotSent; what waits when the link breaks too.
    Starts with the first ``attach`` and ends with the last ``detach``.
    """

    def __init__(self, *, host: str, port: int, timeout_s: float, guard: Guard, clock: Clock) -> None:
        self.endpoint = f"{host}:{port}"
        self.timeout_s = timeout_s
        self.detail = "not started"
        self.epoch = 0
        """Counts connections; a job for one connection must not run on the next."""
        self.meter = Meter()
        self.clock = clock
        self._open: Callable[[], _Wire] = lambda: _Wire(
            host,
            port,
            timeout_s=timeout_s,
            guard=guard,
            clock=clock,
            silence=self._silence,
            on_lost=self._work.set,
        )
        self._silence = Silence()
        self._wire: _Wire | None = None
        self._queue = JobQueue()
        self._work, self._up = asyncio.Event(), asyncio.Event()
        self._listeners: list[Callable[[], None]] = []
        self._task: asyncio.Task[None] | None = None

    @property
    def connected(self) -> bool:
        """A request would be sent."""
        return self._wire is not None and self._wire.alive

    def attach(self, on_change: Callable[[], None]) -> None:
        """Use the bus; ``on_change`` is called when the link comes or goes, and must not raise."""
        self._listeners.append(on_change)
        if self._task is None:
            self.detail = f"connecting to {self.endpoint}"
            self._task = asyncio.create_task(self._live(), name=f"modbus {self.endpoint}")

    async def detach(self, on_change: Callable[[], None]) -> None:
        """Stop using the bus; the last one out closes it."""
        if on_change in self._listeners:
            self._listeners.remove(on_change)
        task = self._task
        if self._listeners or task is None:
            return
        self._task = None
        task.cancel()
        await asyncio.wait([task])
        self.detail = "closed"
        await asyncio.sleep(0)  # an aborted transport tells its protocol in the next round of the loop

    async def wait_connected(self, timeout_s: float) -> bool:
        """Wait for a link, but no longer than this."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._up.wait()
        return self.connected

    async def carry_out(self, job: Job) -> Result:
        """Queue a job and wait for its result. Raises Forbidden for a banned frame.

        Ends at the latest one time-out after ``job.send_before_ns``; an unsent job ends right then.
        """
        self._silence.asked(job.request.unit)
        if not self.connected:
            return NotSent(why=f"no link: {self.detail}")
        self._queue.push(job)
        self._work.set()
        left = max(0, job.send_before_ns - self.clock.monotonic_ns()) / 1e9
        late = asyncio.get_running_loop().call_later(left, self._too_late, job)
        try:
            return await job.future
        finally:
            late.cancel()

    def _too_late(self, job: Job) -> None:
        if job.sent_ns is None:
            job.settle(NotSent(why="it waited in the queue until its deadline had passed"))

    async def _live(self) -> None:
        wait = FIRST_WAIT_S
        while self._wanted():
            wire = self._open()
            try:
                if await wire.open():
                    await self._serve(wire)
                    why = f"the link to {self.endpoint} was lost"
                else:
                    self.meter.failed()
                    why = f"{self.endpoint} cannot be reached"
            except Exception as error:  # noqa: BLE001  # told with its trace; the bus starts again
                _log.exception("modbus_bus_failed", endpoint=self.endpoint)
                why = f"internal error: {error!r}"
            finally:
                wire.close()
                self._lost()
            self._say(why)
            wait = FIRST_WAIT_S if wire.answered else min(wait * 2, LONGEST_WAIT_S)
            await asyncio.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311  # jitter, not a secret

    def _wanted(self) -> bool:
        """Not detached: before Python 3.12 ``wait_for`` loses a cancellation that comes together with a reply."""
        return self._task is asyncio.current_task()

    async def _serve(self, wire: _Wire) -> None:
        """Carry out jobs until the link ends."""
        self._wire = wire
        self._silence.new_link()
        self.epoch += 1
        self._say(f"connected to {self.endpoint}")
        self._up.set()
        while wire.alive and self._wanted():
            job = self._queue.pop()
            if job is not None:
                await self._exchange(wire, job)
                continue
            self._work.clear()
            await self._work.wait()

    async def _exchange(self, wire: _Wire, job: Job) -> None:
        try:
            result = await wire.exchange(job)
        except Forbidden as error:
            _log.exception("modbus_frame_forbidden", endpoint=self.endpoint)
            job.fail(error)
            return
        except BaseException:
            job.settle(self._unfinished(job))
            raise
        self.meter.count(result)
        job.settle(result)

    def _unfinished(self, job: Job) -> Result:
        why = "the bus was closed meanwhile"
        if job.sent_ns is None:
            return NotSent(why=why)
        return Ambiguous(why=why, sent_ns=job.sent_ns, done_ns=self.clock.monotonic_ns())

    def _lost(self) -> None:
        """Nothing that waited may run on a later connection."""
        self._wire = None
        self._up.clear()
        while (job := self._queue.pop()) is not None:
            job.settle(NotSent(why="the link was lost before its turn"))

    def _say(self, detail: str) -> None:
        if detail == self.detail:
            return
        self.detail = detail
        _log.info("modbus_link", endpoint=self.endpoint, up=self.connected, detail=detail)
        for listener in tuple(self._listeners):
            try:
                listener()
            except Exception:  # noqa: BLE001  # told with its trace; one listener must not stop the bus
                _log.exception("modbus_listener_failed", endpoint=self.endpoint)

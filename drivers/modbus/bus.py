"""The actor of one Modbus endpoint: one connection, one request in flight, the most urgent first."""

import asyncio
import contextlib
import random
from collections.abc import Callable
from typing import Final

import structlog

from drivers.modbus.frames import Ambiguous, Job, JobQueue, NotSent, Priority, Result
from drivers.modbus.guard import Forbidden, Guard
from drivers.modbus.late import LateReplies
from drivers.modbus.meter import Meter, Meters
from drivers.modbus.serial_line import check_serial
from drivers.modbus.silence import Silence
from drivers.modbus.tls import client_context
from drivers.modbus.transport import Serial, Tls, Transport
from drivers.modbus.wire import Terms, Wire
from gateway.ports import Clock

_log = structlog.get_logger(__name__)

FIRST_WAIT_S: Final = 0.1
LONGEST_WAIT_S: Final = 2.0


class ModbusBus:
    """Connects, and carries out jobs by priority, one at a time.

    While the link is down every job ends at once as NotSent; what waits when the link breaks too. Starts with
    the first ``attach`` and ends with the last ``detach``. ``timeout_s`` is how long a reply may take,
    ``min_gap_s`` the least silence between two frames; a serial line keeps 3.5 characters anyway. Raises
    ConfigError for a serial line without its library, and for certificates that cannot be used.
    """

    def __init__(
        self, transport: Transport, *, timeout_s: float, guard: Guard, clock: Clock, min_gap_s: float = 0.0
    ) -> None:
        if isinstance(transport, Serial):
            check_serial(transport)
        if isinstance(transport, Tls):
            client_context(transport)
        self.endpoint = transport.endpoint
        self.timeout_s = timeout_s
        self.detail = "not started"
        self.epoch = 0
        """Counts connections; a job for one connection must not run on the next."""
        self.clock = clock
        self._meters = Meters()
        self._silence = Silence()
        self._wire: Wire | None = None
        self._queue = JobQueue()
        self._work, self._up = asyncio.Event(), asyncio.Event()
        self._listeners: list[Callable[[], None]] = []
        self._task: asyncio.Task[None] | None = None
        self._terms = Terms(
            transport=transport,
            timeout_s=timeout_s,
            min_gap_s=min_gap_s,
            guard=guard,
            clock=clock,
            silence=self._silence,
            late=LateReplies(timeout_s),
            on_lost=self._work.set,
        )

    @property
    def meter(self) -> Meter:
        """Measured over all units."""
        return self._meters.all

    def meter_of(self, unit: int) -> Meter:
        """Measured of one unit; a failed connection counts for each. Asked for once before it is needed."""
        return self._meters.of(unit)

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
        unit = job.request.unit
        self._silence.asked(unit)
        if not self.connected:
            return NotSent(why=f"no link: {self.detail}")
        held = self._held_back(job)
        if held is not None:
            return held
        self._queue.push(job, last=self._silence.missing(unit))
        self._work.set()
        left = max(0, job.send_before_ns - self.clock.monotonic_ns()) / 1e9
        late = asyncio.get_running_loop().call_later(left, self._too_late, job)
        try:
            return await job.future
        finally:
            late.cancel()

    def _held_back(self, job: Job) -> NotSent | None:
        """Polls of a silent unit go ever more rarely; a person or an open door never waits for that."""
        if job.priority is not Priority.POLL:
            return None
        why = self._silence.why_not(job.request.unit, self.clock.monotonic_ns())
        return None if why is None else NotSent(why=why)

    def _too_late(self, job: Job) -> None:
        if job.sent_ns is None:
            job.settle(NotSent(why="it waited in the queue until its deadline had passed"))

    async def _live(self) -> None:
        wait = FIRST_WAIT_S
        while self._wanted():
            wire = Wire(self._terms)
            try:
                if await wire.open():
                    await self._serve(wire)
                    why = f"the link to {self.endpoint} was lost: {wire.why}"
                    if not wire.answered:
                        self._meters.failed()
                else:
                    self._meters.failed()
                    why = f"{self.endpoint} cannot be reached: {wire.why}"
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
        """Not detached: before Python 3.12 ``wait_for`` loses a cancellation that comes with a reply."""
        return self._task is asyncio.current_task()

    async def _serve(self, wire: Wire) -> None:
        """Carry out jobs until the link ends."""
        self._wire = wire
        self._silence.new_link()
        self.epoch += 1
        # A device that refuses our certificate says so only after the handshake (RFC 8446, 4.4.2.4 and 6.2).
        tls = isinstance(self._terms.transport, Tls)
        self._say(
            f"TLS agreed with {self.endpoint}, no reply yet" if tls else f"connected to {self.endpoint}"
        )
        self._up.set()
        while wire.alive and self._wanted():
            if not await wire.quiet():
                break  # it was told while nobody waited for it
            job = self._queue.pop()
            if job is not None:
                await self._exchange(wire, job)
                if tls and wire.answered:
                    self._say(f"connected to {self.endpoint}", tell=False)
                continue
            self._work.clear()
            await self._work.wait()

    async def _exchange(self, wire: Wire, job: Job) -> None:
        try:
            result = self._held_back(job) or await wire.exchange(job)
        except Forbidden as error:
            _log.exception("modbus_frame_forbidden", endpoint=self.endpoint)
            job.fail(error)
            return
        except BaseException:
            job.settle(self._unfinished(job))
            raise
        self._meters.count(job.request.unit, result)
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

    def _say(self, detail: str, *, tell: bool = True) -> None:
        """Log what is new, and ``tell`` the listeners that the link has come or gone."""
        if detail == self.detail:
            return
        self.detail = detail
        _log.info("modbus_link", endpoint=self.endpoint, up=self.connected, detail=detail)
        for listener in tuple(self._listeners) if tell else ():
            try:
                listener()
            except Exception:  # noqa: BLE001  # told with its trace; one listener must not stop the bus
                _log.exception("modbus_listener_failed", endpoint=self.endpoint)

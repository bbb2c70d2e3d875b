"""What may be asked of a Modbus device, and what can become of it. Knows no library and no device."""

import asyncio
import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum

OFF = 0x0000
ON = 0xFF00
TOGGLE = 0x5500
READ_COILS, READ_DISCRETE_INPUTS, READ_HOLDING, READ_INPUT = 1, 2, 3, 4
WRITE_COIL, WRITE_WORD, WRITE_COILS, WRITE_WORDS = 5, 6, 15, 16

BUSY = 6
_REFUSALS = frozenset({1, 2, 3, BUSY, 0x0A})
"""Exception codes that say that nothing was done. 4, 5, 8, 0x0B and unknown codes do not say so."""
UNREACHED = frozenset({0x0A, 0x0B})
"""Exceptions of a gateway that does not reach the device (Modbus application protocol 1.1b3, 7)."""
_CODES = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "device failure",
    5: "acknowledged, still working",
    6: "device busy",
    8: "memory parity error",
    0x0A: "gateway path unavailable",
    0x0B: "gateway target did not respond",
}


class Priority(IntEnum):
    """Order on the bus: a person waits before a door, a locked door does not wait for supervision."""

    UNLOCK = 0
    LOCK = 1
    POLL = 2


@dataclass(frozen=True, slots=True)
class ReadBits:
    """FC01 or FC02."""

    unit: int
    function: int
    address: int
    count: int = 1


@dataclass(frozen=True, slots=True)
class ReadWords:
    """FC03 or FC04."""

    unit: int
    function: int
    address: int
    count: int = 1


@dataclass(frozen=True, slots=True)
class WriteCoil:
    """FC05 with a raw 16-bit value: OFF, or what the device's profile calls a pulse."""

    unit: int
    address: int
    value: int


@dataclass(frozen=True, slots=True)
class WriteWord:
    """FC06."""

    unit: int
    address: int
    value: int


@dataclass(frozen=True, slots=True)
class WriteWords:
    """FC16."""

    unit: int
    address: int
    values: tuple[int, ...]


Read = ReadBits | ReadWords
Write = WriteCoil | WriteWord | WriteWords
Request = Read | Write


def function_of(request: Request) -> int:
    """The request's function code."""
    match request:
        case ReadBits() | ReadWords():
            return request.function
        case WriteCoil():
            return WRITE_COIL
        case WriteWord():
            return WRITE_WORD
        case WriteWords():
            return WRITE_WORDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Echoed:
    """The right reply came: function, address and value match. ``bits`` or ``words`` are what was read."""

    sent_ns: int
    done_ns: int
    bits: tuple[bool, ...] = ()
    words: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NotSent:
    """No byte left."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The device answered that it did nothing."""

    code: int
    why: str
    sent_ns: int
    done_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ambiguous:
    """A frame left, and the device may or may not have acted on it."""

    why: str
    sent_ns: int
    done_ns: int
    lied: bool = False
    """The reply did not fit the request."""
    code: int | None = None
    """The reply was this exception."""


Result = Echoed | NotSent | Refused | Ambiguous


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A reply as it came, before anyone believes it."""

    transaction: int
    unit: int
    function: int
    """Without the exception bit."""
    exception: int | None = None
    bits: tuple[bool, ...] = ()
    """Padded to whole bytes, as on the wire."""
    words: tuple[int, ...] = ()
    """Registers that were read."""
    echo: tuple[int, int] | None = None
    """Address and value of an FC05 or FC06 echo; address and count of an FC16 echo."""


def always() -> None:
    """The condition of a request that may go whenever its turn comes."""


@dataclass(slots=True, eq=False)
class Job:
    """One request on its way. Its future gets the Result; cancel that and an unsent frame stays unsent."""

    request: Request
    priority: Priority
    send_before_ns: int
    """Monotonic: not handed to the transport from then on."""
    unless: Callable[[], str | None] = always
    """Asked at the last moment: a reason not to send, or None."""
    opens: bool = False
    """A door may open if this is carried out, however late."""
    sent_ns: int | None = None
    future: asyncio.Future[Result] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def why_not(self, now_ns: int) -> str | None:
        """Why this frame must not leave now, or None when it may."""
        if self.future.done():
            return "nobody waits for it any more"
        if now_ns >= self.send_before_ns:
            return "it waited in the queue until its deadline had passed"
        return self.unless()

    def settle(self, result: Result) -> None:
        """Hand over the result, once."""
        if not self.future.done():
            self.future.set_result(result)

    def fail(self, error: Exception) -> None:
        """Let the caller see an error of the program's own."""
        if not self.future.done():
            self.future.set_exception(error)


class JobQueue:
    """Jobs by priority, and within one priority in the order they came."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, bool, int, Job]] = []
        self._order = itertools.count()

    def push(self, job: Job, *, last: bool = False) -> None:
        """Add a job; ``last``: behind all others of its priority, because it may take a time-out."""
        heapq.heappush(self._heap, (job.priority, last, next(self._order), job))

    def pop(self) -> Job | None:
        """The next job that somebody still waits for, None when there is none."""
        while self._heap:
            job = heapq.heappop(self._heap)[3]
            if not job.future.done():
                return job
        return None


def judge(job: Job, transaction: int, reply: Reply, done_ns: int) -> Result:
    """What a reply to a job that was sent proves. Whatever does not fit the request is a lie."""
    sent_ns = job.sent_ns or 0
    wrong = _mismatch(job.request, transaction, reply)
    if wrong is not None:
        return Ambiguous(why=f"wrong reply: {wrong}", sent_ns=sent_ns, done_ns=done_ns, lied=True)
    if reply.exception is not None:
        return _judge_exception(reply.exception, sent_ns, done_ns)
    bits = reply.bits[: job.request.count] if isinstance(job.request, ReadBits) else ()
    words = reply.words if isinstance(job.request, ReadWords) else ()
    return Echoed(sent_ns=sent_ns, done_ns=done_ns, bits=bits, words=words)


def _judge_exception(code: int, sent_ns: int, done_ns: int) -> Refused | Ambiguous:
    why = f"exception {code} ({_CODES.get(code, 'unknown code')})"
    if code in _REFUSALS:
        return Refused(code=code, why=why, sent_ns=sent_ns, done_ns=done_ns)
    return Ambiguous(why=why, sent_ns=sent_ns, done_ns=done_ns, code=code)


def _mismatch(request: Request, transaction: int, reply: Reply) -> str | None:
    """What in the reply does not fit the request; None when it is the answer."""
    if (reply.transaction, reply.unit) != (transaction, request.unit):
        return f"transaction {reply.transaction}, unit {reply.unit}; sent {transaction}, {request.unit}"
    function = function_of(request)
    if reply.function != function:
        return f"function {reply.function} to a request of function {function}"
    return None if reply.exception is not None else _wrong_content(request, reply)


def _wrong_content(request: Request, reply: Reply) -> str | None:
    match request:
        case ReadBits():
            bits = (request.count + 7) // 8 * 8
            return None if len(reply.bits) == bits else f"{len(reply.bits)} bits instead of {bits}"
        case ReadWords():
            got = len(reply.words)
            return None if got == request.count else f"{got} registers instead of {request.count}"
        case WriteCoil() | WriteWord():
            return _wrong_echo((request.address, request.value), reply.echo)
        case WriteWords():
            return _wrong_echo((request.address, len(request.values)), reply.echo)


def _wrong_echo(sent: tuple[int, int], echo: tuple[int, int] | None) -> str | None:
    if echo == sent:
        return None
    got = "nothing" if echo is None else "0x{:04X} to 0x{:04X}".format(*echo)
    return "echoed {}; sent 0x{:04X} to 0x{:04X}".format(got, *sent)

"""One connection to a Modbus endpoint, from its opening to its end: what may leave, and when it is cut.

It is cut after a mismatch, a cancellation or a time-out, so that nothing late can be taken for the answer
to something else. One time-out is no reason: that of a unit that shares the link with others, for anything
but a pulse; see ``_silent``.
"""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, cast

from drivers.modbus.frames import Ambiguous, Job, NotSent, Reply, Result, function_of, judge
from drivers.modbus.guard import Forbidden, Guard
from drivers.modbus.late import LateReplies
from drivers.modbus.link import Broken, Link, open_serial
from drivers.modbus.rtu import Found, find_reply
from drivers.modbus.serial_line import discard
from drivers.modbus.silence import Silence
from drivers.modbus.tcp import forget_when_closed, part_in_order, unread
from drivers.modbus.tls import client_context, ended_early, explain, server_name
from drivers.modbus.transport import RtuOverTcp, Serial, Tls, Transport
from gateway.domain.errors import ConfigError
from gateway.ports import Clock

_RUBBISH_MOST: Final = 4096
"""Bytes without a good reply among them, after which a link is cut."""
_HANDSHAKE_S: Final = 5.0
"""Small devices take seconds to sign."""
_PARTING_S: Final = 1.0
"""How long asyncio may wait for the other end to say goodbye; it never should: links are aborted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What holds for every connection of one bus."""

    transport: Transport
    timeout_s: float
    min_gap_s: float
    guard: Guard
    clock: Clock
    silence: Silence
    late: LateReplies
    on_lost: Callable[[], None]

    @property
    def numbered(self) -> bool:
        """Replies carry the number of their request."""
        return not isinstance(self.transport, RtuOverTcp | Serial)


class _Withheld(Exception):
    """Raised on the send path: the frame stays here."""


class Wire:
    """One connection; never opened twice."""

    def __init__(self, terms: Terms) -> None:
        self.alive = False
        self.answered = False
        """Some unit has replied over it."""
        self.why = ""
        """Why it is not alive."""
        self._terms, self._to = terms, terms.transport
        self._job: Job | None = None
        self._bytes_came = self._unanswered = False
        self._rubbish = 0
        self._moved_ns = 0
        gap_s = self._to.gap_s if isinstance(self._to, Serial) else 0.0
        self._gap_ns = int(max(gap_s, terms.min_gap_s) * 1e9)
        self._link = Link(self, numbered=terms.numbered, timeout_s=terms.timeout_s)

    async def open(self) -> bool:
        """Connect within the time-out; False when that fails."""
        patience_s = (
            max(_HANDSHAKE_S, self._terms.timeout_s) if isinstance(self._to, Tls) else self._terms.timeout_s
        )
        try:
            async with asyncio.timeout(patience_s):
                transport = await self._connect()
            self.alive = not self.why
            if self.alive and not isinstance(self._to, Serial):
                forget_when_closed(transport, self._terms.timeout_s)
        except TimeoutError:
            self.why = f"no connection within {patience_s:g} s"
        except ConfigError as error:
            self.why = str(error)
        except OSError as error:
            self.why = explain(error, self._to) if isinstance(self._to, Tls) else str(error)
        if not self.alive:
            self.abort("never opened")
        return self.alive

    async def _connect(self) -> asyncio.Transport:
        loop, link, to = asyncio.get_running_loop(), self._link, self._to
        if isinstance(to, Serial):
            line = open_serial(to, link)
            discard(line, unsent=True)
            return line
        if isinstance(to, Tls):
            context = await asyncio.to_thread(client_context, to)
            transport, _ = await loop.create_connection(
                lambda: link,
                to.host,
                to.port,
                ssl=context,
                server_hostname=server_name(to),
                ssl_handshake_timeout=_HANDSHAKE_S,
                ssl_shutdown_timeout=_PARTING_S,
            )
            return transport
        transport, _ = await loop.create_connection(lambda: link, to.host, to.port)
        return transport

    async def quiet(self) -> bool:
        """Wait until the line has been silent as long as it must be between two frames. False: link lost."""
        began_ns = self._terms.clock.monotonic_ns()
        while self.alive and self._gap_ns:
            now = self._terms.clock.monotonic_ns()
            left_ns = self._moved_ns + self._gap_ns - now
            if left_ns <= 0:
                break
            if now - began_ns > self._gap_ns + self._terms.timeout_s * 1e9:
                self.abort("the line is never quiet: something talks on it without being asked")
                break
            await asyncio.sleep(left_ns / 1e9)
        return self.alive

    async def exchange(self, job: Job) -> Result:
        """Send one request and wait for its answer. Raises Forbidden for a banned frame."""
        if not self.alive:
            return NotSent(why=self.why)
        self._job, self._bytes_came = job, False
        try:
            async with asyncio.timeout(self._terms.timeout_s):
                transaction, reply = await self._link.ask(job.request)
        except _Withheld as error:
            return NotSent(why=str(error))
        except Forbidden:
            raise
        except TimeoutError:
            self._silent(job)
            return self._failed(job, "no reply in time")
        except (Broken, OSError) as error:
            self.abort(str(error))
            return self._failed(job, str(error))
        except BaseException:
            self.abort("cancelled with a request under way")
            raise
        finally:
            self._job = None
        return self._judged(job, transaction, reply)

    def abort(self, why: str) -> None:
        """Cut the link now; unread and unsent bytes are gone, from the kernel too. Idempotent."""
        self.alive = False
        self.why = self.why or why
        if self._job is not None:
            self._link.break_off(f"the link was lost before the reply: {why}")
        transport = cast("asyncio.Transport | None", self._link.transport)
        if transport is not None:
            discard(transport, unsent=True)
            transport.abort()  # never close(): TLS would wait, and its end kill what came after
        self._terms.on_lost()

    def close(self) -> None:
        """End the link, in order if nothing is on its way."""
        if self.alive and not self._unanswered and not isinstance(self._to, Serial):
            part_in_order(self._link.transport)
        self.abort("closed")

    def ended(self, error: Exception | None) -> None:
        """The other end, the network or the adapter has ended it."""
        why = str(error) if error is not None else "the device closed it"
        if isinstance(self._to, Tls):
            refused = isinstance(error, ssl.SSLError) or self.answered
            why = explain(error, self._to) if error is not None and refused else why
            why = why if refused else ended_early(self._to)
        self.abort(why)

    def heard(self, count: int) -> bool:
        """Bytes came; False when they are not worth reading."""
        self._moved_ns = self._terms.clock.monotonic_ns()
        self._bytes_came = True
        self._rubbish += count
        if self._rubbish > _RUBBISH_MOST:
            self.abort(f"more than {_RUBBISH_MOST} bytes came and no good reply among them")
        return self.alive

    def received(self, data: bytes, take: Callable[[bytes], int]) -> int:
        """Give the library the reply among these bytes; returns how many are done with."""
        if self._terms.numbered:
            return take(data)
        job, late = self._job, self._terms.late
        done = 0
        while True:
            found, useless = find_reply(data[done:], None if job is None else job.request.unit)
            if found is None:
                return done + useless
            if job is None:
                self._unasked(found)
            elif found.function == function_of(job.request) or not late.came(found.unit, found.function):
                take(data[done + found.start : done + found.end])
                return len(data)
            done += found.end

    def passes(self, unit: int, function: int, data: bytes) -> None:
        """The send path's only gate, with nothing awaited between it and the transport."""
        job, terms = self._job, self._terms
        if job is None:
            raise Forbidden("a Modbus frame that nobody asked for")
        if job.sent_ns is not None:
            raise Broken("the library tried to send the frame a second time")
        terms.guard.check(unit, function, data)
        now = terms.clock.monotonic_ns()
        why = job.why_not(now)
        if why is None and not terms.numbered:
            why = terms.late.why_not(unit, function, now)
        if why is None and isinstance(self._to, RtuOverTcp) and unread(self._link.transport):
            why = "bytes that nobody asked for have come and must be read first"
        if why is not None:
            raise _Withheld(why)
        discard(self._link.transport, unsent=False)
        job.sent_ns, self._moved_ns, self._unanswered = now, now, True
        self._owed(job)

    def _silent(self, job: Job) -> None:
        """No reply came in time. Cut, unless that is one unit's silence and others may still answer.

        Frames without a number: ``late`` keeps the late reply from answering anything else. Behind a device
        server the first silence of a unit that used to answer cuts as well: then nothing is left of it in the
        network, and a unit known to be silent does not cost the others their link again and again.
        """
        if job.sent_ns is None:
            return
        unit, serial = job.request.unit, isinstance(self._to, Serial)
        first = self._terms.silence.answers(unit)
        alone = self._terms.silence.timed_out(unit, self._terms.clock.monotonic_ns())
        self._owed(job)
        part = self._bytes_came and not serial
        if alone or job.opens or part or (first and isinstance(self._to, RtuOverTcp)):
            self.abort(f"unit {unit} did not reply in time")
        elif serial:
            discard(self._link.transport, unsent=True)

    def _owed(self, job: Job) -> None:
        """From here on the device may reply, now or much later."""
        if not self._terms.numbered:
            now = self._terms.clock.monotonic_ns()
            self._terms.late.missed(job.request.unit, function_of(job.request), now)

    def _unasked(self, found: Found) -> None:
        """A whole reply while none is waited for: a late one, or one too many."""
        if self._terms.late.came(found.unit, found.function):
            return
        self._terms.late.missed(found.unit, found.function, self._terms.clock.monotonic_ns())
        if isinstance(self._to, RtuOverTcp):
            self.abort(f"unit {found.unit} replied without being asked; is there a second master?")

    def _judged(self, job: Job, transaction: int, reply: Reply) -> Result:
        result = judge(job, transaction, reply, self._terms.clock.monotonic_ns())
        if isinstance(result, Ambiguous) and result.lied:
            self._owed(job)
            self.abort(result.why)
            return result
        self.answered, self._unanswered, self._rubbish = True, False, 0
        self._terms.silence.answered(job.request.unit)
        self._terms.late.answered(job.request.unit)
        return result

    def _failed(self, job: Job, why: str) -> Result:
        if job.sent_ns is None:
            return NotSent(why=why)
        return Ambiguous(why=why, sent_ns=job.sent_ns, done_ns=self._terms.clock.monotonic_ns())

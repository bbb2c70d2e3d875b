"""From a grant to an outcome: one frame, its echo, a look at the output."""

import asyncio
from collections.abc import Callable
from typing import Final

from drivers.modbus.frames import BUSY, Ambiguous, Echoed, Job, NotSent, Priority, Refused, Result
from drivers.modbus.relay_line import RelayLine, Seen, Trouble
from drivers.modbus.watch import Watch
from gateway.domain.decisions import Grant
from gateway.domain.doors import Actuation, Outcome

_BUSY_PAUSE_S: Final = 0.05
_VERIFY_NS: Final = 1_000_000_000
"""How long to look for proof after a lost reply."""


class Attempt:
    """One grant on its way. ``unless`` is asked right before a frame leaves, and may give a reason not to."""

    def __init__(self, grant: Grant, line: RelayLine, watch: Watch, unless: Callable[[], str | None]) -> None:
        self._grant, self._line, self._watch, self._unless = grant, line, watch, unless
        self._clock = line.bus.clock
        self._sent: list[int] = []
        self._job: Job | None = None

    async def run(self) -> Actuation:
        """Send, and find out what became of it."""
        before_ns = self._line.ours_until_ns
        result = await self._send(before_ns)
        if isinstance(result, Refused) and result.code == BUSY:
            # Busy means that nothing was done: the only reply after which the frame may go again.
            await asyncio.sleep(_BUSY_PAUSE_S)
            again = await self._send(before_ns)
            result = result if isinstance(again, NotSent) else again
        match result:
            case NotSent():
                return self._end(Outcome.NOT_SENT, result.why)
            case Refused():
                self._watch.trouble(Trouble.of(result))
                return self._end(Outcome.REFUSED, result.why)
            case Echoed():
                return await self._confirm(result)
            case Ambiguous():
                return await self._find_out(result, before_ns)

    def cancelled(self) -> Actuation:
        """What is known when nobody waits for the outcome any more."""
        if self._job is not None and self._job.sent_ns is not None and self._job.sent_ns not in self._sent:
            self._sent.append(self._job.sent_ns)
        if self._sent:
            return self._end(Outcome.AMBIGUOUS, "cancelled after the frame had left")
        return self._end(Outcome.NOT_SENT, "cancelled before a frame had left")

    async def _send(self, before_ns: int) -> Result:
        self._job = job = self._line.pulse_job(self._grant.expires_ns, self._unless)
        echoed = False
        try:
            result = await self._line.bus.carry_out(job)
            echoed = isinstance(result, Echoed)
        finally:
            self._line.claim(job, before_ns, echoed=echoed)
        if job.sent_ns is not None:
            self._sent.append(job.sent_ns)
        return result

    async def _confirm(self, echo: Echoed) -> Actuation:
        """The echo was right. Seeing the output ON within the pulse makes it a fact."""
        seen = await self._line.read(Priority.LOCK, before_ns=echo.sent_ns + self._line.pulse_ns)
        if isinstance(seen, Trouble):
            self._watch.trouble(seen)
            return self._end(Outcome.SENT, f"echoed; not read back: {seen.why}")
        self._watch.read_back(on=seen.on)
        if seen.on:
            return self._end(Outcome.CONFIRMED, "echoed and read back as ON")
        return self._end(Outcome.SENT, "echoed; read back as OFF")

    async def _find_out(self, doubt: Ambiguous, before_ns: int) -> Actuation:
        """The frame left and the reply is missing or wrong: look at the output, never send again."""
        self._watch.trouble(Trouble.of(doubt))
        if doubt.lied:
            return self._end(Outcome.AMBIGUOUS, doubt.why)  # nor would its read-back prove anything
        end = min(doubt.done_ns + _VERIFY_NS, doubt.sent_ns + self._line.pulse_ns)
        seen = await self._look_until(end)
        if seen is None:
            return self._end(Outcome.AMBIGUOUS, f"{doubt.why}; could not be read back")
        if not seen.on:
            return self._end(Outcome.AMBIGUOUS, f"{doubt.why}; read back as OFF")
        if seen.asked_ns < before_ns:
            return self._end(Outcome.AMBIGUOUS, f"{doubt.why}; ON, perhaps from the grant before")
        return self._end(Outcome.CONFIRMED, f"{doubt.why}; read back as ON")

    async def _look_until(self, end_ns: int) -> Seen | None:
        while (left := end_ns - self._clock.monotonic_ns()) > 0:
            if await self._line.bus.wait_connected(left / 1e9):
                seen = await self._line.read(Priority.LOCK, before_ns=end_ns)
                if isinstance(seen, Seen):
                    return seen
                await asyncio.sleep(_BUSY_PAUSE_S)
        return None

    def _end(self, outcome: Outcome, evidence: str) -> Actuation:
        return Actuation(
            outcome=outcome,
            sent_ns=self._sent[-1] if self._sent else None,
            done_ns=self._clock.monotonic_ns(),
            evidence=evidence,
            frames_sent=len(self._sent),
        )

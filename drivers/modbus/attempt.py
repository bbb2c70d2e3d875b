"""From an order to an outcome: one frame, its echo, a look at the output."""

import asyncio
from collections.abc import Callable
from typing import Final

from drivers.modbus.frames import BUSY, Ambiguous, Echoed, Job, NotSent, Priority, Refused, Result
from drivers.modbus.held_output import HeldOutput
from drivers.modbus.relay_line import RelayLine, Seen, Trouble
from drivers.modbus.watch import Watch
from gateway.domain.doors import Actuation, Outcome, Release

_BUSY_PAUSE_S: Final = 0.05
_VERIFY_NS: Final = 1_000_000_000
"""How long to look for proof after a lost reply."""
_PULSE_BEFORE: Final = "which the pulse before may explain; whether this one makes it longer is not known"


class Attempt:
    """One order on its way. ``unless`` is asked right before a frame leaves, and may give a reason not to.

    ``held`` ends the pulse where the device does not; ``again_if_busy`` allows another try after exception 6.
    """

    def __init__(
        self,
        order: Release,
        line: RelayLine,
        watch: Watch,
        *,
        unless: Callable[[], str | None],
        held: HeldOutput | None,
        again_if_busy: bool,
    ) -> None:
        self._order, self._line, self._watch, self._unless = order, line, watch, unless
        self._held, self._again_if_busy = held, again_if_busy
        self._plan = line.plan_of(order)
        self._pulse_ns = self._plan.pulse_ms * 1_000_000
        self._clock = line.link.clock
        self._epoch = line.link.epoch
        self._before_ns = 0
        """An ON asked for earlier may be the pulse's before."""
        self._cycles: int | None = None
        self._sent: list[int] = []
        self._job: Job | None = None

    async def run(self) -> Actuation:
        """Send, and find out what became of it."""
        self._epoch, self._before_ns = self._line.link.epoch, await self._last_explained_ns()
        failed = await self._prepare()
        if failed is not None:
            return failed
        self._cycles = await self._line.cycles(self._order.expires_ns)
        result = await self._send()
        if isinstance(result, Refused) and result.code == BUSY and self._again_if_busy:
            # Busy means that nothing was done: the only reply after which the frame may go again.
            await asyncio.sleep(_BUSY_PAUSE_S)
            again = await self._send()
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
                return await self._find_out(result)

    def cancelled(self) -> Actuation:
        """What is known when nobody waits for the outcome any more."""
        if self._job is not None and self._job.sent_ns is not None and self._job.sent_ns not in self._sent:
            self._sent.append(self._job.sent_ns)
        if self._sent:
            return self._end(Outcome.AMBIGUOUS, "cancelled after the frame had left")
        return self._end(Outcome.NOT_SENT, "cancelled before a frame had left")

    async def _last_explained_ns(self) -> int:
        """Until when the pulses before this one can explain an ON; a look may show that they are over."""
        claim = self._line.claim
        if self._line.held or not claim.running:
            return claim.until_ns
        seen = await self._line.read(Priority.LOCK, before_ns=self._order.expires_ns)
        if isinstance(seen, Seen) and not seen.on:
            claim.seen_off(seen.asked_ns, after_off=False)
        return claim.until_ns

    async def _prepare(self) -> Actuation | None:
        """Set the pulse's length where the device keeps it; else no pulse, least of all an old one."""
        for write in self._plan.prepare:
            job = Job(write, Priority.UNLOCK, self._order.expires_ns, self._why_not)
            result = await self._line.link.carry_out(job)
            if isinstance(result, Echoed):
                continue
            self._watch.trouble(Trouble.of(result))
            outcome = Outcome.REFUSED if isinstance(result, Refused) else Outcome.NOT_SENT
            return self._end(outcome, f"the length of the pulse could not be set: {result.why}")
        return None

    def _why_not(self) -> str | None:
        if self._line.link.epoch != self._epoch:
            return "the link has changed since the order came"
        return self._unless()

    async def _send(self) -> Result:
        self._job = job = self._line.pulse_job(self._order, self._why_not)
        echoed = refused = False
        try:
            result = await self._line.link.carry_out(job)
            echoed, refused = isinstance(result, Echoed), isinstance(result, Refused)
        finally:
            self._line.claim.settle(echoed=echoed, refused=refused)
            if self._held is not None:
                self._held.begin()
        if job.sent_ns is not None:
            self._sent.append(job.sent_ns)
        return result

    async def _confirm(self, echo: Echoed) -> Actuation:
        """The echo was right. Seeing the output ON within the pulse makes it a fact."""
        end_ns = echo.sent_ns + self._pulse_ns
        seen = await self._line.read(Priority.LOCK, before_ns=end_ns)
        if isinstance(seen, Seen):
            self._watch.read_back(on=seen.on)
        if isinstance(seen, Seen) and seen.on:
            if not self._explained(seen):
                return self._end(Outcome.CONFIRMED, "echoed and read back as ON")
            if self._line.held:  # it is ON for this order too: the gateway itself ends it, later
                return self._end(Outcome.CONFIRMED, "echoed and read back as ON; made longer")
        if await self._counted():
            return self._end(Outcome.CONFIRMED, "echoed; the relay's counter went up by one")
        if isinstance(seen, Trouble):
            self._watch.trouble(seen)
            return self._end(Outcome.SENT, f"echoed; not read back: {seen.why}")
        return self._end(
            Outcome.SENT, f"echoed; ON, {_PULSE_BEFORE}" if seen.on else "echoed; read back as OFF"
        )

    async def _find_out(self, doubt: Ambiguous) -> Actuation:
        """The frame left and the reply is missing or wrong: look at the output, never send again."""
        self._watch.trouble(Trouble.of(doubt))
        if doubt.lied:
            return self._end(Outcome.AMBIGUOUS, doubt.why)  # nor would its read-back prove anything
        end = min(doubt.done_ns + _VERIFY_NS, doubt.sent_ns + self._pulse_ns)
        seen = await self._look_until(end)
        if seen is not None and seen.on and not self._explained(seen):
            self._line.claim.seen_on()
            return self._end(Outcome.CONFIRMED, f"{doubt.why}; read back as ON")
        if await self._counted():
            return self._end(Outcome.CONFIRMED, f"{doubt.why}; the relay's counter went up by one")
        if seen is None:
            return self._end(Outcome.AMBIGUOUS, f"{doubt.why}; could not be read back")
        return self._end(
            Outcome.AMBIGUOUS,
            f"{doubt.why}; ON, perhaps from the grant before"
            if seen.on
            else f"{doubt.why}; read back as OFF",
        )

    def _explained(self, seen: Seen) -> bool:
        """The pulse before would read so too."""
        return seen.asked_ns < self._before_ns

    async def _counted(self) -> bool:
        """The device counted one closing of the relay, and it can be no other than ours."""
        if self._cycles is None or self._before_ns > (self._sent[-1] if self._sent else 0):
            return False
        await self._line.link.bus.wait_connected(_VERIFY_NS / 1e9)
        now = await self._line.cycles(self._clock.monotonic_ns() + _VERIFY_NS)
        return now == self._cycles + 1

    async def _look_until(self, end_ns: int) -> Seen | None:
        while (left := end_ns - self._clock.monotonic_ns()) > 0:
            if await self._line.link.bus.wait_connected(left / 1e9):
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

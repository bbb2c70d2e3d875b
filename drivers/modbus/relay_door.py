"""A door on one relay of a Modbus board that times its pulses itself."""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from drivers.modbus.alarms import NO_READBACK, REFUSED
from drivers.modbus.board import HealthBoard
from drivers.modbus.bus import ModbusBus
from drivers.modbus.frames import BUSY, Ambiguous, Echoed, Job, NotSent, Priority, Refused, Result
from drivers.modbus.grant_memory import GrantMemory
from drivers.modbus.profile import Profile
from drivers.modbus.relay_line import RelayLine, Seen, Trouble
from drivers.modbus.watch import POLL_S, Watch
from gateway.domain.decisions import Grant
from gateway.domain.doors import Actuation, DoorHealth, Link, Outcome
from gateway.domain.errors import InvariantBroken
from gateway.domain.ids import AccessPointId

_log = structlog.get_logger(__name__)

QUEUE: Final = 2
"""Grants that may wait while one is carried out."""
_BUSY_PAUSE_S: Final = 0.05
_VERIFY_NS: Final = 1_000_000_000
"""How long to look for proof after a lost reply."""
_UNSEEN: Final = 3
"""Pulses in a row never read back as ON, after which the door is out of service for a while."""


def _nobody(_health: DoorHealth) -> None:
    """Nobody listens."""


class RelayDoor:
    """``ports.Door`` on a shared bus. Raises ConfigError for a channel or pulse the profile cannot hold.

    ``where`` names file and key in that error; ``pulse_ms`` is the length of the pulse, timed by the device.
    """

    def __init__(
        self,
        *,
        access_point_id: AccessPointId,
        bus: ModbusBus,
        profile: Profile,
        unit: int,
        channel: int,
        pulse_ms: int,
        on_health: Callable[[DoorHealth], None] = _nobody,
        where: str = "access point",
        poll_s: float = POLL_S,
    ) -> None:
        frames = profile.relay(unit=unit, channel=channel, pulse_ms=pulse_ms, where=where)
        facts = {
            "profile": profile.name,
            "class": "A: one frame, the device ends the pulse",
            "verified": profile.verified,
            "endpoint": bus.endpoint,
            "unit": str(unit),
            "relay": str(channel),
            "pulse_ms": str(pulse_ms),
        }
        self.access_point_id = access_point_id
        self._bus, self._clock = bus, bus.clock
        self._line = RelayLine(bus, frames, pulse_ms)
        self._board = HealthBoard(access_point_id, bus, facts, on_health)
        self._watch = Watch(self._line, self._board, poll_s=poll_s)
        self._memory = GrantMemory()
        self._turn = asyncio.Lock()
        self._inside = 0
        self._unseen = 0
        self._closing = False
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin connecting; returns at once. Idempotent."""
        if self._task is not None or self._closing:
            return
        self._bus.attach(self._watch.link_changed)
        self._task = asyncio.create_task(self._watch.run(), name=f"door {self.access_point_id}")
        self._task.add_done_callback(self._watch_ended)
        self._watch.link_changed()

    def health(self) -> DoorHealth:
        """Last known state; never blocks."""
        return self._board.health()

    async def unlock(self, grant: Grant) -> Actuation:
        """At most one pulse per grant, and none after it expires. Raises InvariantBroken for another's grant.

        A frame that left is never sent again, whatever the reply; only "busy, nothing done" is, once.
        """
        if grant.access_point_id != self.access_point_id:
            raise InvariantBroken(f"grant for {grant.access_point_id} was given to {self.access_point_id}")
        known = self._memory.find(grant.grant_id)
        if known is not None:
            return await asyncio.shield(known)
        outcome = self._memory.begin(grant, self._clock.monotonic_ns())
        if outcome is None:
            return self._not_sent("busy: too many grants at once")
        attempt = _Attempt(self, grant)
        try:
            outcome.set_result(await self._in_turn(attempt))
        except BaseException:
            outcome.set_result(attempt.cancelled())
            raise
        return outcome.result()

    async def lock(self) -> bool:
        """Output OFF; True when the device echoed that and reads it back. Always allowed."""
        seen = await self._line.off(Priority.LOCK)
        if isinstance(seen, Trouble):
            self._watch.trouble(seen)
            return False
        return not seen.on

    async def aclose(self) -> None:
        """OFF, then let go of the bus. Idempotent; a device out of reach ends its pulse by itself."""
        if self._closing:
            return
        self._closing = True
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        try:
            await asyncio.wait([task])
            if self._line.may_be_ours:
                await self._bus.wait_connected(_VERIFY_NS / 1e9)
            if not await self.lock():
                _log.warning("door_not_locked_at_stop", access_point=self.access_point_id)
        finally:
            await self._bus.detach(self._watch.link_changed)
            self._board.set_link(Link.DOWN, "closed")

    async def _in_turn(self, attempt: "_Attempt") -> Actuation:
        if self._inside > QUEUE:
            return self._not_sent("busy")
        self._inside += 1
        try:
            async with self._turn:
                return await attempt.run()
        finally:
            self._inside -= 1

    def _why_not(self) -> str | None:
        """Asked again right before the frame leaves."""
        return "the door is closing" if self._closing else self._watch.why_not_ready()

    def _not_sent(self, why: str) -> Actuation:
        return Actuation(
            outcome=Outcome.NOT_SENT, sent_ns=None, done_ns=self._clock.monotonic_ns(), evidence=why
        )

    def _read_back(self, *, on: bool) -> None:
        """Keep count of pulses that were echoed and never seen."""
        self._unseen = 0 if on else self._unseen + 1
        if on:
            self._board.clear(NO_READBACK)
        elif self._unseen >= _UNSEEN:
            self._unseen -= 1  # one more try when the block ends
            why = f"{_UNSEEN} pulses were echoed and the output was never read back as ON"
            self._board.stand(NO_READBACK, why)
            self._watch.block(why)

    def _watch_ended(self, task: asyncio.Task[None]) -> None:
        """A watch that died of a bug leaves the door shut and says so."""
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("door_watch_failed", access_point=self.access_point_id, exc_info=error)
            self._watch.link_changed()
            self._board.set_link(Link.DEGRADED, f"internal error: {error!r}")


class _Attempt:
    """Carrying out one grant."""

    def __init__(self, door: RelayDoor, grant: Grant) -> None:
        self._door, self._grant = door, grant
        self._line, self._clock = door._line, door._clock  # noqa: SLF001  # two halves of one thing
        self._sent: list[int] = []
        self._job: Job | None = None

    async def run(self) -> Actuation:
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
                self._door._board.stand(REFUSED, result.why)  # noqa: SLF001
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
        self._job = job = self._line.pulse_job(self._grant.expires_ns, self._door._why_not)  # noqa: SLF001
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
            self._door._watch.trouble(seen)  # noqa: SLF001
            return self._end(Outcome.SENT, f"echoed; not read back: {seen.why}")
        self._door._read_back(on=seen.on)  # noqa: SLF001
        if seen.on:
            return self._end(Outcome.CONFIRMED, "echoed and read back as ON")
        return self._end(Outcome.SENT, "echoed; read back as OFF")

    async def _find_out(self, doubt: Ambiguous, before_ns: int) -> Actuation:
        """The frame left and the reply is missing or wrong: look at the output, never send again."""
        self._door._watch.trouble(Trouble.of(doubt))  # noqa: SLF001
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

"""A device's own watchdog: armed, proven, fed, and looked at again and again (class B)."""

import asyncio
from collections.abc import Sequence
from typing import Final

from drivers.modbus.frames import Echoed, Priority, Read, Refused
from drivers.modbus.plan import Check, OutputPlan, WatchdogPlan, reads_of
from drivers.modbus.unit_link import UnitLink, why_failed

_TRIES: Final = 3
_PAUSE_S: Final = 0.05
"""For a device that starts its watchdog a moment after it was told to."""
_FRESH_PERIODS: Final = 5
"""A verification older than so many periods counts no more."""
_STARVED_NS: Final = 900_000
"""Nine tenths of a millisecond for each of the time-out's: the device's clock and ours are two."""


async def check_all(link: UnitLink, checks: Sequence[Check]) -> tuple[str | None, bool]:
    """Ask for everything that ``checks`` name; returns what is wrong, and whether the device said so."""
    replies: dict[Read, Echoed] = {}
    for read in reads_of([c.field for c in checks]):
        result = await link.ask(read, Priority.LOCK)
        if not isinstance(result, Echoed):
            what = next(c.what for c in checks if c.field.read == read)
            return why_failed(result, f"cannot be read: {what}"), isinstance(result, Refused)
        replies[read] = result
    for check in checks:
        reply = replies[check.field.read]
        if not check.holds(reply):
            wanted = str(check.low) if check.low == check.high else f"{check.low} to {check.high}"
            return f"{check.what}: reads {check.field.number(reply)}, not {wanted}", True
    return None, False


class Watchdog:
    """Drops the outputs when nobody speaks to the device any more. Armed only while that is proven."""

    def __init__(self, link: UnitLink, plan: WatchdogPlan, *, look_s: float) -> None:
        self.plan = plan
        self.period_s = min(look_s, plan.timeout_ms / 3000)
        """How often it is fed and verified."""
        self._link = link
        self._fed = link.asked if plan.feed is None else link.written
        self._checks = plan.verify + ((plan.running,) if plan.running else ())
        self._verified_ns = 0
        self._write_anyway = False
        """It reads as it should and has not dropped the spare output: perhaps it was never started."""

    @property
    def proof_s(self) -> float:
        """How long the spare output is left alone; 0 where the device itself says that the watchdog runs."""
        return 0.0 if self.plan.running is not None else self.plan.timeout_ms / 1000 * 1.2 + 0.5

    def why_not(self) -> str | None:
        """Why it cannot be relied on at this moment, whatever was proven before."""
        now = self._link.clock.monotonic_ns()
        if self.starved():
            return f"the watchdog was not fed for {self.plan.timeout_ms} ms"
        if now - self._verified_ns > _FRESH_PERIODS * self.period_s * 1e9:
            return "the watchdog has not been looked at for too long"
        return None

    def starved(self) -> bool:
        """It may have expired since it was armed: what feeds it stayed away for about its whole time."""
        return self._fed.pause_ns(self._link.clock.monotonic_ns()) > self.plan.timeout_ms * _STARVED_NS

    def doubt(self) -> None:
        """A reply is missing: nothing is armed until the next one says so."""
        self._verified_ns = 0

    async def arm(self) -> str | None:
        """Set it, read it back, prove it. Returns what failed; None when it is armed."""
        why = await self._set()
        if why is None and self.plan.running is None:
            why = await self._prove()
            self._write_anyway = why is not None
            why = why or await self._set()  # it has just expired, and some are then off
        if why is None:
            self._fed.restart()
            self._verified_ns = self._link.clock.monotonic_ns()
        return why

    async def verify(self) -> str | None:
        """Look at it once more. Returns what is wrong with it; a missing reply only takes the armed state."""
        why, said = await check_all(self._link, self._checks)
        if why is None:
            self._verified_ns = self._link.clock.monotonic_ns()
            return None
        self.doubt()
        return why if said else None

    async def feed(self) -> None:
        """Where reads do not feed it."""
        if self.plan.feed is not None:
            await self._link.ask(self.plan.feed, Priority.LOCK)

    async def clear(self) -> None:
        """Take outputs back into service after an expiry. A device that has not expired may refuse."""
        for write in self.plan.clear:
            await self._link.ask(write, Priority.LOCK)

    async def spare_off(self) -> str | None:
        """The spare output OFF; returns why that failed."""
        for write in self.plan.spare.off if self.plan.spare else ():
            result = await self._link.ask(write, Priority.LOCK)
            if not isinstance(result, Echoed):
                return why_failed(result, "the spare output could not be switched OFF")
        return None

    async def _set(self) -> str | None:
        """See that it is set, and set what is not so: some keep it in memory that wears out."""
        await self.clear()
        await self.feed()
        if not self._write_anyway and (await check_all(self._link, self._checks))[0] is None:
            return None
        for write in self.plan.arm:
            result = await self._link.ask(write, Priority.LOCK)
            if not isinstance(result, Echoed):
                return why_failed(result, "the watchdog could not be set")
        await self.feed()
        why: str | None = None
        for _ in range(_TRIES):
            why, _said = await check_all(self._link, self._checks)
            if why is None:
                break
            await asyncio.sleep(_PAUSE_S)
        return why

    async def _prove(self) -> str | None:
        """The spare output ON, silence, and it must have gone OFF by itself."""
        spare = self.plan.spare
        if spare is None:
            return "nothing proves that the watchdog runs; name a spare channel"
        self._link.quiet = "the watchdog is being proven"
        try:
            why = await self._leave_alone(spare)
        finally:
            self._link.quiet = None
        off = await self.spare_off()
        return why or off

    async def _leave_alone(self, spare: OutputPlan) -> str | None:
        epoch = self._link.epoch
        result = await self._link.ask(spare.pulse, Priority.LOCK)
        if not isinstance(result, Echoed):
            return why_failed(result, "the spare output could not be switched ON")
        if await self._reads(spare) is not True:
            return "the spare output does not read ON after it was switched ON"
        said_ns = self._link.said_ns
        await asyncio.sleep(self.proof_s)
        if self._link.epoch != epoch or not self._link.connected:
            return "the link was lost while the watchdog was being proven"
        if self._link.said_ns != said_ns:
            return "something was sent while the watchdog was being proven"
        if await self._reads(spare) is not False:
            return f"the spare output was still ON after {self.proof_s:.1f} s of silence"
        return None

    async def _reads(self, spare: OutputPlan) -> bool | None:
        result = await self._link.ask(spare.state.read, Priority.LOCK)
        return spare.state.bit(result) if isinstance(result, Echoed) else None

"""One relay of a board: its three requests, and until when an ON can be our own pulse."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from drivers.modbus.bus import ModbusBus
from drivers.modbus.frames import (
    Ambiguous,
    Echoed,
    Job,
    NotSent,
    Priority,
    Refused,
    Result,
    always,
)
from drivers.modbus.plan import OutputPlan

_MS: Final = 1_000_000
_SLACK_NS: Final = 500 * _MS
"""For the device's timer and the time a frame takes to reach it."""
_PATIENCE_NS: Final = 1_000 * _MS
"""How long a read or an OFF may wait for its turn."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A state that the device reported, and when it was asked."""

    on: bool
    asked_ns: int


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why there is no answer."""

    why: str
    unsent: bool = False
    refused: bool = False
    lied: bool = False

    @classmethod
    def of(cls, result: NotSent | Refused | Ambiguous) -> "Trouble":
        """What went wrong with a request that has no good reply."""
        lied = isinstance(result, Ambiguous) and result.lied
        return cls(
            result.why,
            unsent=isinstance(result, NotSent),
            refused=isinstance(result, Refused),
            lied=lied,
        )


class RelayLine:
    """Talks to one relay over the shared bus."""

    def __init__(self, bus: ModbusBus, plan: OutputPlan) -> None:
        self.bus = bus
        self.pulse_ns = plan.pulse_ms * _MS
        self.ours_until_ns = 0
        """An ON read later than this is nobody's grant."""
        self._plan = plan

    @property
    def may_be_ours(self) -> bool:
        """A pulse of ours may be running."""
        return self.bus.clock.monotonic_ns() < self.ours_until_ns

    def foreign(self, seen: Seen) -> bool:
        """The output was ON when no pulse of ours can have been running."""
        return seen.on and seen.asked_ns >= self.ours_until_ns

    def pulse_job(self, expires_ns: int, unless: Callable[[], str | None]) -> Job:
        """The one frame that opens. Claims the ON it causes before it can leave."""
        latest = expires_ns + self.pulse_ns + self._doubt_ns()
        self.ours_until_ns = max(self.ours_until_ns, latest)
        return Job(self._plan.pulse, Priority.UNLOCK, expires_ns, unless, opens=True)

    def claim(self, job: Job, before_ns: int, *, echoed: bool) -> None:
        """Narrow what ON the pulse can explain, now that its fate is known.

        ``before_ns`` was the claim before it; a pulse that was echoed has begun by now.
        """
        if job.sent_ns is None:
            self.ours_until_ns = before_ns
        else:
            now = self.bus.clock.monotonic_ns()
            doubt = _SLACK_NS if echoed else self._doubt_ns()
            self.ours_until_ns = max(before_ns, now + self.pulse_ns + doubt)

    async def read(self, priority: Priority, *, before_ns: int | None = None) -> Seen | Trouble:
        """The state of the output as the device reports it."""
        deadline = before_ns or self.bus.clock.monotonic_ns() + _PATIENCE_NS
        result = await self.bus.carry_out(Job(self._plan.state.read, priority, deadline))
        if isinstance(result, Echoed):
            return Seen(on=self._plan.state.bit(result), asked_ns=result.sent_ns)
        return Trouble.of(result)

    async def off(self, priority: Priority, unless: Callable[[], str | None] = always) -> Seen | Trouble:
        """Write OFF and read it back."""
        deadline = self.bus.clock.monotonic_ns() + _PATIENCE_NS
        result: Result = await self.bus.carry_out(Job(self._plan.off[0], priority, deadline, unless))
        if not isinstance(result, Echoed):
            return Trouble.of(result)
        return await self.read(priority)

    def _doubt_ns(self) -> int:
        """How much later than its frame a device may begin a pulse."""
        return int(self.bus.timeout_s * 1e9) + _SLACK_NS

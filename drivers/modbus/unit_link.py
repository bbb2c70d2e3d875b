"""One unit on a shared bus: whatever is said to it passes here, so that its silences are known."""

from collections.abc import Callable
from typing import Final

from drivers.modbus.bus import ModbusBus
from drivers.modbus.frames import (
    Ambiguous,
    Echoed,
    Job,
    NotSent,
    Priority,
    ReadBits,
    ReadWords,
    Refused,
    Request,
    Result,
    always,
)
from drivers.modbus.meter import Meter

PATIENCE_NS: Final = 1_000_000_000
"""How long a read or an OFF may wait for its turn."""


class Beat:
    """Times at which something arrived, and the longest pause between two of them."""

    def __init__(self) -> None:
        self._last_ns = self._worst_ns = 0

    def beat(self, at_ns: int) -> None:
        """It arrived."""
        if self._last_ns:
            self._worst_ns = max(self._worst_ns, at_ns - self._last_ns)
        self._last_ns = max(self._last_ns, at_ns)

    def restart(self) -> None:
        """Pauses so far do not count any more."""
        self._worst_ns = 0

    def pause_ns(self, now_ns: int) -> int:
        """The longest pause, the present one included."""
        return max(self._worst_ns, now_ns - self._last_ns)


class UnitLink:
    """Carries out jobs for one unit. Times are monotonic, 0 before the first."""

    def __init__(self, bus: ModbusBus, unit: int) -> None:
        self.bus, self.unit, self.clock = bus, unit, bus.clock
        self.said_ns = 0
        """When a frame to this unit last left."""
        self.asked, self.written = Beat(), Beat()
        """When frames left that were answered, and writes that were echoed: what feeds a watchdog."""
        self.quiet: str | None = None
        """Why nobody should speak to this unit now, or None."""

    @property
    def epoch(self) -> int:
        """The connection's number."""
        return self.bus.epoch

    @property
    def connected(self) -> bool:
        """A request would be sent."""
        return self.bus.connected

    @property
    def meter(self) -> Meter:
        """Round trips and failures of this unit."""
        return self.bus.meter_of(self.unit)

    def why_quiet(self) -> str | None:
        """For ``Job.unless`` of whatever can wait."""
        return self.quiet

    async def carry_out(self, job: Job) -> Result:
        """Queue a job of this unit and wait for its result. Raises Forbidden for a banned frame."""
        try:
            result = await self.bus.carry_out(job)
        finally:
            self.said_ns = max(self.said_ns, job.sent_ns or 0)
        if isinstance(result, Echoed | Refused):
            self.asked.beat(result.sent_ns)
        if isinstance(result, Echoed) and not isinstance(job.request, ReadBits | ReadWords):
            self.written.beat(result.sent_ns)
        return result

    async def ask(
        self, request: Request, priority: Priority, unless: Callable[[], str | None] = always
    ) -> Result:
        """Carry out a request that may wait a second for its turn."""
        return await self.carry_out(Job(request, priority, self.clock.monotonic_ns() + PATIENCE_NS, unless))


def why_failed(result: NotSent | Refused | Ambiguous, what: str) -> str:
    """For people: what was asked and why there is no good reply."""
    return f"{what}: {result.why}"

"""What a gateway that starts says first to a device with a watchdog: nothing."""

from typing import Final

from drivers.modbus.plan import WatchdogPlan
from gateway.ports import Clock

SILENCE: Final = 1.2
"""Times the watchdog's time-out: the device's clock and ours are two."""


class FirstSilence:
    """Keeps quiet until the watchdog has ended whatever a gateway before us left ON.

    Each frame of ours would put it off, and a line that fails just then, or another crash, would keep our OFF
    from each output in turn. Silence needs nothing to go well.
    """

    def __init__(self, clock: Clock, plan: WatchdogPlan | None) -> None:
        self._clock = clock
        self._silence_ns = 0 if plan is None else int(plan.timeout_ms * 1_000_000 * SILENCE)
        self._until_ns: int | None = None

    def begin(self) -> None:
        """Nothing has been said so far; the first call counts."""
        if self._until_ns is None:
            self._until_ns = self._clock.monotonic_ns() + self._silence_ns

    @property
    def left_s(self) -> float:
        """Seconds of it that are left."""
        return max(0, (self._until_ns or 0) - self._clock.monotonic_ns()) / 1e9

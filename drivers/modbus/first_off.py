"""The first thing that a device with a watchdog hears from us: every output OFF."""

import asyncio
from typing import Final

import structlog

from drivers.modbus.frames import Priority
from drivers.modbus.outputs import Outputs
from drivers.modbus.plan import WatchdogPlan
from drivers.modbus.relay_line import RelayLine, Seen
from drivers.modbus.unit_link import UnitLink

_log = structlog.get_logger(__name__)

SILENCE: Final = 1.2
"""Times the watchdog's time-out: the device's clock and ours are two."""
_SHARE: Final = 0.25
"""Of the watchdog's time-out, before silence is the quicker way."""
_AGAIN_S: Final = 0.05


class FirstOff:
    """Switches OFF what a gateway before us may have left ON, before anything else is said to the device.

    Each frame puts off the watchdog that would end it. So OFF goes to one output after the other, whatever
    becomes of each; where that does not get through soon, nothing is said until the watchdog has had its
    time.
    Once for each output: what comes later is judged by its own watch.
    """

    def __init__(self, link: UnitLink, outputs: Outputs, plan: WatchdogPlan | None) -> None:
        self._link, self._outputs = link, outputs
        timeout_ns = 0 if plan is None else plan.timeout_ms * 1_000_000
        self._budget_ns, self._silence_ns = int(timeout_ns * _SHARE), int(timeout_ns * SILENCE)
        self._settled: set[RelayLine] = set()
        self._turns: dict[RelayLine, int] = {}
        self._began_ns = 0

    async def step(self) -> float | None:
        """Write what is to be written. Returns seconds to say nothing for; None when this is over."""
        if not self._silence_ns:
            return None
        epoch = self._link.epoch
        while (line := self._next()) is not None:
            silent_s = self._silent_s(tried=line in self._turns)
            if silent_s is None:
                self._settled.update(self._outputs.lines)
                break
            if silent_s > 0:
                return silent_s
            if await self._switch_off(line):
                self._settled.add(line)
                continue
            if self._link.epoch != epoch or not self._link.connected:
                return _AGAIN_S
            await asyncio.sleep(_AGAIN_S)
        self._began_ns = 0
        return None

    def _next(self) -> RelayLine | None:
        """The one that was tried least often."""
        left = [line for line in self._outputs.lines if line not in self._settled]
        return min(left, key=lambda line: self._turns.get(line, 0), default=None)

    def _silent_s(self, *, tried: bool) -> float | None:
        """How long to be silent from now on; None when the silence has been long enough.

        Each output is ``tried`` once, however long that takes.
        """
        now = self._link.clock.monotonic_ns()
        self._began_ns = self._began_ns or now
        if not tried or now - self._began_ns <= self._budget_ns:
            return 0.0
        left = max(self._link.said_ns, self._began_ns) + self._silence_ns - now
        if left <= 0:
            return None
        _log.warning("outputs_left_to_watchdog", unit=self._link.unit, endpoint=self._link.bus.endpoint)
        return left / 1e9

    async def _switch_off(self, line: RelayLine) -> bool:
        """Write OFF once. True when that was echoed, or was refused by a device that reads OFF anyway."""
        self._turns[line] = self._turns.get(line, 0) + 1
        trouble = await line.switch_off(Priority.LOCK)
        if trouble is None or not trouble.answered:
            return trouble is None
        seen = await line.read(Priority.LOCK)
        return isinstance(seen, Seen) and not seen.on

"""The watchdog of a simulated device: drops the outputs when nobody speaks to it in time."""

import asyncio
from collections.abc import Callable

from drivers.modbus.profile import Expect, Setting, Watchdog
from drivers.simulators.memory import OFF, Cell, Memory, Space


class DeviceWatchdog:
    """Registers and timer. It runs from the first feeding request after its time was set."""

    def __init__(self, dog: Watchdog, memory: Memory, drop: Callable[[], None]) -> None:
        self._dog, self._memory, self._drop = dog, memory, drop
        self._timeout_ms = 0
        self._ticks = 0
        self._timer: asyncio.TimerHandle | None = None
        self.expired = False
        self.expiries = 0
        self.disabled = False
        """A fault: it takes every setting and never does anything."""
        if dog.time is not None:
            memory.cells["holding", dog.time] = Cell(lambda: self._ticks, self._set_ticks)
        self._settings()

    @property
    def blocks(self) -> bool:
        """Outputs stay as they are until somebody clears the expiry."""
        return self.expired and bool(self._dog.clear)

    @property
    def runs(self) -> bool:
        """It would drop the outputs."""
        return self._timeout_ms > 0 and not self.disabled

    def set_time(self, timeout_ms: int) -> None:
        """By hand, on the device's web page."""
        self._timeout_ms = timeout_ms

    def fed(self, *, write: bool) -> None:
        """A request came."""
        if self._dog.fed_by == "write" and not write:
            return
        self.stop()
        if self.runs:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._timeout_ms / 1000, self._expire)

    def stop(self) -> None:
        """End the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expire(self) -> None:
        self._timer = None
        self.expired = True
        self.expiries += 1
        self._drop()

    def _set_ticks(self, raw: int) -> None:
        self._ticks = raw
        self._timeout_ms = raw * self._dog.unit_ms

    def _settings(self) -> None:
        dog, memory = self._dog, self._memory
        for setting in (*dog.before, *dog.after):
            for space, address in _cells(setting):
                memory.keep(space, address)
        for setting in dog.clear:
            for space, address in _cells(setting):
                memory.cells[space, address] = Cell(lambda: int(self.expired), lambda _raw: self._clear())
        for expect in dog.verify:
            memory.keep(expect.space, expect.address, OFF if expect.equals is None else expect.equals)
        if dog.running is not None:
            self._running(dog.running)

    def _running(self, expect: Expect) -> None:
        yes = expect.equals if expect.equals is not None else expect.low or 1
        before = self._memory.cells.get((expect.space, expect.address), Cell())
        self._memory.cells[expect.space, expect.address] = Cell(
            lambda: yes if self.runs and not self.expired else yes ^ expect.mask & 1, before.set
        )

    def _clear(self) -> None:
        self.expired = False


def _cells(setting: Setting) -> list[tuple[Space, int]]:
    if setting.coil is not None:
        return [("coils", setting.coil)]
    first = setting.register or 0
    return [("holding", first + i) for i in range(1 + len(setting.words))]

"""Shows a film at its own pace to whoever looks, and misbehaves as told."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from enum import StrEnum
from time import monotonic_ns
from typing import NamedTuple, Protocol

from drivers.simulators.camera_reel import Reel


class Fault(StrEnum):
    """What cameras do when something is wrong with them."""

    NONE = "none"
    REFUSE = "refuse"
    """Connections are refused, those there were are cut: the camera is off."""
    SILENT = "silent"
    """Connections are accepted and nothing more is ever said: half-open, hung firmware."""
    STALL = "stall"
    """Requests are answered, but no picture comes any more; the film waits."""
    FROZEN = "frozen"
    """The last key frame again and again, with new time stamps."""
    REPLAY = "replay"
    """The seconds before the fault over and over, with new time stamps."""
    DROP = "drop"
    """All connections are cut, once; new ones are served as ever."""
    SLOW = "slow"
    """Pictures come at ``slow_interval_s``."""


class Shown(NamedTuple):
    """A picture that was sent."""

    frame: int
    """Its index in the film, from 0."""
    mono_ns: int
    """CLOCK_MONOTONIC just after it was handed to the sockets."""


class Viewer(Protocol):
    """Someone who gets every picture while it is due."""

    def show(self, index: int, media_s: float) -> None:
        """Take picture ``index`` at a media time that only ever grows; must not block."""
        ...


class Projector:
    """The film's clock. ``run`` shows it until its end, or for ever with ``loop``."""

    slow_interval_s = 0.5
    replay_s = 2.0

    def __init__(self, reel: Reel, *, loop: bool, on_frame: Callable[[int, int], None] | None = None) -> None:
        self.reel = reel
        self.viewers: set[Viewer] = set()
        self.shown: deque[Shown] = deque(maxlen=100_000)
        self._loop = loop
        self._on_frame = on_frame
        self._fault = Fault.NONE
        self._index = -1
        self._replayed: range | None = None
        self._changed = asyncio.Event()

    @property
    def fault(self) -> Fault:
        """What is wrong with it now."""
        return self._fault

    @fault.setter
    def fault(self, fault: Fault) -> None:
        if fault is Fault.REPLAY and self._replayed is None:
            back = max(0, self._index - round(self.replay_s * self.reel.fps))
            self._replayed = range(self.reel.key_at_or_before(back), max(1, self._index + 1))
        self._fault = fault
        self._changed.set()

    @property
    def at(self) -> int:
        """Index of the picture shown last, -1 before the first."""
        return self._index

    async def run(self) -> None:
        """Show the film."""
        clock = asyncio.get_running_loop()
        media_s, due = 0.0, clock.time()
        while True:
            await self._until(due)
            if self._fault in {Fault.STALL, Fault.SILENT, Fault.REFUSE}:
                due = clock.time() + self.reel.interval_s
                media_s += self.reel.interval_s
                continue
            index = self._next()
            if index is None:
                return
            self._index = index
            self._show(index, media_s)
            step = self.slow_interval_s if self._fault is Fault.SLOW else self._interval(index)
            media_s += step
            due = max(due + step, clock.time() - 0.5)

    def _show(self, index: int, media_s: float) -> None:
        for viewer in tuple(self.viewers):
            viewer.show(index, media_s)
        now = monotonic_ns()
        self.shown.append(Shown(index, now))
        if self._on_frame is not None:
            self._on_frame(index, now)

    async def _until(self, due: float) -> None:
        """Wait for the time, or for a change of fault that need not wait for a slow picture."""
        clock = asyncio.get_running_loop()
        while (left := due - clock.time()) > 0:
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):  # wait_for loses a cancellation in Python 3.11
                    await self._changed.wait()
                due = min(due, clock.time() + self.reel.interval_s)
        await asyncio.sleep(0)

    def _next(self) -> int | None:
        """The picture to show now; None at the end."""
        last = self._index
        if self._fault is Fault.FROZEN and last >= 0:
            return self.reel.key_at_or_before(last)
        if self._replayed is not None:
            if self._fault is not Fault.REPLAY:
                return self._resume(self._replayed.stop)
            return last + 1 if last in self._replayed[:-1] else self._replayed.start
        if last + 1 < len(self.reel.units):
            return last + 1
        return 0 if self._loop else None

    def _resume(self, unseen: int) -> int | None:
        """After a replay: the first key frame that was never shown."""
        self._replayed = None
        units = self.reel.units
        fresh = next((i for i in range(unseen, len(units)) if units[i].key), None)
        return 0 if fresh is None and self._loop else fresh

    def _interval(self, index: int) -> float:
        """Time from a picture to the one after it, as the film has it."""
        units = self.reel.units
        if index + 1 < len(units):
            return max(0.0, units[index + 1].due_s - units[index].due_s)
        return self.reel.interval_s

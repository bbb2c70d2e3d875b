"""The relays of a simulated board: hardware pulse timers, contacts, and every edge on record."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

TICK_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Edge:
    """A contact changed. ``relay`` counts from 1, as printed on the board."""

    relay: int
    on: bool
    mono_ns: int
    why: str


class Relays:
    """Coils as the device reports them, and contacts as the door feels them.

    The two differ only for a relay that is welded (contact stays closed) or dead (contact and coil
    never move). What the real board does with a second flash during a flash is not known: here the timer
    starts again. A plain write ends a running flash. After power-on all are OFF.
    """

    def __init__(self, count: int, on_edge: Callable[[Edge], None] | None = None) -> None:
        self.count = count
        self.edges: list[Edge] = []
        self.dead: set[int] = set()
        """Relays (from 1) whose writes are echoed and do nothing."""
        self._on_edge = on_edge
        self._coils = [False] * count
        self._contacts = [False] * count
        self._welded: set[int] = set()
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._moved = asyncio.Event()

    def coil(self, index: int) -> bool:
        """What FC01 says; ``index`` from 0."""
        return self._coils[index]

    def contact(self, relay: int) -> bool:
        """Whether the relay printed as ``relay`` lets the door open."""
        return self._contacts[relay - 1]

    def pulses(self, relay: int) -> int:
        """How often the contact has closed."""
        return sum(e.on for e in self.edges if e.relay == relay)

    def write(self, index: int, *, on: bool, why: str) -> None:
        """Switch for good, or until the next write."""
        self._stop(index)
        self._move(index, on, why)

    def flash(self, index: int, ticks: float, *, on: bool) -> None:
        """Switch, and back after ``ticks`` of 100 ms: the device's own timer."""
        self._stop(index)
        self._move(index, on, f"flash {'on' if on else 'off'} {ticks:g}")
        loop = asyncio.get_running_loop()
        self._timers[index] = loop.call_later(ticks * TICK_S, self._time_up, index, not on)

    def weld(self, relay: int) -> None:
        """From its next closing on the contact of this relay never opens again."""
        self._welded.add(relay)

    def power_off(self, why: str) -> None:
        """All outputs drop, all timers are forgotten."""
        for index in range(self.count):
            self.write(index, on=False, why=why)

    async def wait_edge(
        self, seen: int = 0, *, relay: int | None = None, on: bool | None = None, timeout_s: float = 5.0
    ) -> Edge:
        """The first edge after the first ``seen`` ones that fits. Raises TimeoutError."""
        async with asyncio.timeout(timeout_s):
            while True:
                self._moved.clear()
                for edge in self.edges[seen:]:
                    if relay in {None, edge.relay} and on in {None, edge.on}:
                        return edge
                await self._moved.wait()

    def _time_up(self, index: int, on: bool) -> None:  # noqa: FBT001  # called by a timer
        del self._timers[index]
        self._move(index, on, "timer")

    def _stop(self, index: int) -> None:
        timer = self._timers.pop(index, None)
        if timer is not None:
            timer.cancel()

    def _move(self, index: int, on: bool, why: str) -> None:  # noqa: FBT001  # the relay's level
        relay = index + 1
        if relay in self.dead:
            return
        self._coils[index] = on
        if self._contacts[index] == on or (not on and relay in self._welded):
            return
        self._contacts[index] = on
        edge = Edge(relay, on, time.monotonic_ns(), why)
        self.edges.append(edge)
        if self._on_edge is not None:
            self._on_edge(edge)
        self._moved.set()

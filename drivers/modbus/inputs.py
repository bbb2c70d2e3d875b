"""The inputs in use of one unit, asked ten times a second in as few requests as possible."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog

from drivers.modbus.edges import Edges
from drivers.modbus.frames import Echoed, Job, NotSent, Priority, Read, Result
from drivers.modbus.plan import Field, InputPlan, reads_of
from drivers.modbus.rows import Placed, merged
from drivers.modbus.unit_link import PATIENCE_NS, UnitLink

_log = structlog.get_logger(__name__)

POLL_S: Final = 0.1
_STALE_NS: Final = 1_000_000_000
"""What was read so long ago says nothing of now."""
_DOUBLINGS: Final = 5
"""How often the time to the next question doubles for a unit that does not answer."""


@dataclass(slots=True)
class _Input:
    """One input: how to read it, and what was read."""

    number: int
    state: Field
    counter: Field | None
    high: Field | None
    low: Field | None
    edges: Edges = field(default_factory=Edges)
    on: bool | None = None

    def take(self, replies: dict[Read, Echoed], at_ns: int) -> bool:
        """Take in one round; True when a latch is set and wants clearing."""
        state = self.state.bit(replies[self.state.read])
        high = self.high.bit(replies[self.high.read]) if self.high else None
        low = self.low.bit(replies[self.low.read]) if self.low else None
        counter = None
        if self.counter is not None:
            size = 1 << min(16 * self.counter.words, self.counter.mask.bit_length())
            counter = (self.counter.number(replies[self.counter.read]), size)
        self.edges.take(state, at_ns, counter=counter, high=high, low=low)
        self.on = state
        return bool(high or low)


class Inputs:
    """Keeps the last look at each input. A failure here says nothing about a relay.

    ``listeners`` are called after every round and when the inputs become unreadable; they must not raise.
    """

    def __init__(self, link: UnitLink, plans: Sequence[InputPlan], *, poll_s: float = POLL_S) -> None:
        self.poll_s = poll_s
        self.at_ns = 0
        """When the last whole look was answered."""
        self.why_unreadable: str | None = "not read yet"
        self.listeners: list[Callable[[], None]] = []
        self._link, self._plans = link, tuple(plans)
        self._inputs = {i.number: i for i in _inputs(plans)}
        self._reads = reads_of([f for i in self._inputs.values() for f in (i.high, i.low) if f]) + reads_of(
            [f for i in self._inputs.values() for f in (i.counter, i.state) if f]
        )
        self._clear = tuple(dict.fromkeys(w for p in plans if p.counter is None for w in p.clear))
        self._prepared_epoch: int | None = None
        self._misses = 0

    def __bool__(self) -> bool:
        """Whether there is anything to read."""
        return bool(self._inputs)

    def on(self, number: int) -> bool | None:
        """The input's level; None when it cannot be read."""
        return None if self.why_unreadable else self._inputs[number].on

    def edges(self, number: int) -> Edges:
        """What has been counted of an input."""
        return self._inputs[number].edges

    def lost(self, why: str) -> None:
        """Nothing is known of them any more."""
        self._prepared_epoch = None
        self._unreadable(why)

    def stopped(self) -> None:
        """Nobody reads them any more; that is no trouble."""
        self._prepared_epoch = None
        if self._inputs:
            self.why_unreadable = "closed"
            self._tell()

    async def prepare(self) -> None:
        """Start their counters, once a connection; until then they are not read."""
        epoch = self._link.epoch
        if self._prepared_epoch == epoch or not self._inputs:
            return
        for write in dict.fromkeys(w for p in self._plans for w in p.prepare):
            result = await self._link.ask(write, Priority.LOCK)
            if not isinstance(result, Echoed):
                self._unreadable(f"a counter could not be started: {result.why}")
                return
        if self._link.epoch == epoch:
            self._prepared_epoch = epoch
            self._misses = 0

    async def round(self) -> float:
        """Ask once for everything; returns seconds until the next time."""
        link = self._link
        if not link.connected or link.quiet is not None or self._prepared_epoch != link.epoch:
            self._age(link.quiet or self.why_unreadable or "the device is being proven anew")
            return self.poll_s
        replies: dict[Read, Echoed] = {}
        began_ns, at_ns = link.clock.monotonic_ns(), 0
        for read in self._reads:
            deadline_ns = link.clock.monotonic_ns() + PATIENCE_NS
            result = await link.carry_out(Job(read, Priority.POLL, deadline_ns, link.why_quiet))
            if not isinstance(result, Echoed):
                return self._missed(result)
            replies[read] = result
            at_ns = at_ns or result.done_ns
        await self._take(replies, at_ns)
        # On the beat: what took longer than a beat has cost the next one.
        return self.poll_s - (link.clock.monotonic_ns() - began_ns) / 1e9 % self.poll_s

    async def _take(self, replies: dict[Read, Echoed], at_ns: int) -> None:
        latched = False
        for known in self._inputs.values():
            latched = known.take(replies, at_ns) or latched
        self._misses = 0
        self.at_ns, self.why_unreadable = at_ns, None
        self._tell()
        if latched:
            await self._forget()

    async def _forget(self) -> None:
        """Clear the latches; what cannot be cleared is not counted again."""
        for write in self._clear:
            if not isinstance(await self._link.ask(write, Priority.POLL, self._link.why_quiet), Echoed):
                return
        for known in self._inputs.values():
            known.edges.cleared()

    def _missed(self, result: Result) -> float:
        if isinstance(result, NotSent):  # it had to give way: that says nothing about the device
            self._age(result.why)
            return self.poll_s
        if not isinstance(result, Echoed):
            self._unreadable(result.why)
        doublings, self._misses = min(self._misses, _DOUBLINGS), self._misses + 1
        return self.poll_s * (1 << doublings)

    def _age(self, why: str) -> None:
        if self._link.clock.monotonic_ns() - self.at_ns > _STALE_NS:
            self._unreadable(why)

    def _unreadable(self, why: str) -> None:
        if not self._inputs:
            return
        news = self.why_unreadable is None
        self.why_unreadable = why
        if news:
            _log.warning("inputs_unreadable", unit=self._link.unit, endpoint=self._link.bus.endpoint, why=why)
            self._tell()

    def _tell(self) -> None:
        for listener in tuple(self.listeners):
            listener()


def _inputs(plans: Sequence[InputPlan]) -> Iterable[_Input]:
    """The plans with their reads joined. What is counted needs no latch."""
    states = merged(Placed(p.number, p.state) for p in plans)
    counters = merged(Placed(p.number, p.counter) for p in plans if p.counter)
    latched = [p for p in plans if p.counter is None]
    highs = merged(Placed(p.number, p.latched_high) for p in latched if p.latched_high)
    lows = merged(Placed(p.number, p.latched_low) for p in latched if p.latched_low)
    for plan in plans:
        number = plan.number
        yield _Input(number, states[number], counters.get(number), highs.get(number), lows.get(number))

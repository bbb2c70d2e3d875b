"""One relay of a board: its requests, and what was last seen of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from drivers.modbus.claim import Claim
from drivers.modbus.frames import UNREACHED, Ambiguous, Echoed, Job, NotSent, Priority, Refused, Write, always
from drivers.modbus.plan import Field, OutputPlan
from drivers.modbus.unit_link import PATIENCE_NS, UnitLink
from gateway.domain.doors import Release

_MS: Final = 1_000_000


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
    answered: bool = False
    """The device itself replied that it does not: its other outputs may be as good as ever."""

    @classmethod
    def of(cls, result: NotSent | Refused | Ambiguous) -> "Trouble":
        """What went wrong with a request that has no good reply."""
        lied = isinstance(result, Ambiguous) and result.lied
        code = None if isinstance(result, NotSent) else result.code
        return cls(
            result.why,
            unsent=isinstance(result, NotSent),
            refused=isinstance(result, Refused),
            lied=lied,
            answered=code is not None and code not in UNREACHED,
        )


class RelayLine:
    """Talks to one relay. ``extended`` is the longer pulse of the same relay, by default the same one."""

    def __init__(self, link: UnitLink, plan: OutputPlan, extended: OutputPlan | None = None) -> None:
        self.link, self.plan = link, plan
        self.extended = extended or plan
        self.held = not plan.timed
        self.claim = Claim(link.clock, held=self.held, timeout_s=link.bus.timeout_s)
        self.seen: Seen | None = None
        """The last look on this connection."""

    @property
    def may_be_on(self) -> bool:
        """The output may be ON: unless it was seen OFF since our last pulse, and that pulse is over."""
        seen = self.seen
        return self.claim.has_left or seen is None or seen.on or seen.asked_ns < self.claim.sent_ns

    def plan_of(self, order: Release) -> OutputPlan:
        """The pulse that an order asks for."""
        return self.extended if order.extended else self.plan

    def foreign(self, seen: Seen) -> bool:
        """The output was ON when no pulse of ours can have been running."""
        return seen.on and seen.asked_ns >= self.claim.until_ns

    def pulse_job(self, order: Release, unless: Callable[[], str | None]) -> Job:
        """The one frame that opens. Claims the ON it causes before it can leave."""
        plan = self.plan_of(order)
        job = Job(plan.pulse, Priority.UNLOCK, order.expires_ns, unless, opens=True)
        self.claim.begin(job, plan.pulse_ms * _MS)
        return job

    def see(self, reply: Echoed, field: Field) -> Seen:
        """What a reply says of the output; ``field`` is where in it."""
        seen = Seen(on=field.bit(reply), asked_ns=reply.sent_ns)
        if self.seen is None or self.seen.asked_ns <= seen.asked_ns:
            self.seen = seen
        return seen

    async def read(self, priority: Priority, *, before_ns: int | None = None) -> Seen | Trouble:
        """The state of the output as the device reports it."""
        deadline = before_ns or self.link.clock.monotonic_ns() + PATIENCE_NS
        result = await self.link.carry_out(Job(self.plan.state.read, priority, deadline))
        return self.see(result, self.plan.state) if isinstance(result, Echoed) else Trouble.of(result)

    async def cycles(self, before_ns: int) -> int | None:
        """How often the relay has closed, as the device counts; None where it does not or cannot be asked."""
        field = self.plan.cycles
        if field is None:
            return None
        result = await self.link.carry_out(Job(field.read, Priority.LOCK, before_ns))
        return field.number(result) if isinstance(result, Echoed) else None

    async def off(self, priority: Priority, unless: Callable[[], str | None] = always) -> Seen | Trouble:
        """Write all that closes, and read the output back."""
        trouble = await self.switch_off(priority, unless)
        if trouble is not None:
            return trouble
        seen = await self.read(priority)
        if isinstance(seen, Seen) and not seen.on:
            self.claim.seen_off(seen.asked_ns, after_off=True)
        return seen

    async def switch_off(
        self, priority: Priority, unless: Callable[[], str | None] = always
    ) -> Trouble | None:
        """Write all that closes. Returns what went wrong.

        A device may refuse one of two ways to switch OFF, if it echoes the other: a look decides.
        """
        trouble: Trouble | None = None
        echoes = 0
        for write in self.plan.off:
            refusal = await self._write(write, priority, unless)
            if refusal is None:
                echoes += 1
            elif trouble is None or trouble.refused:
                trouble = refusal
        return None if trouble is None or (trouble.refused and echoes) else trouble

    async def _write(
        self, write: Write, priority: Priority, unless: Callable[[], str | None]
    ) -> Trouble | None:
        result = await self.link.ask(write, priority, unless)
        return None if isinstance(result, Echoed) else Trouble.of(result)


class Exclusive:
    """Outputs of which at most one may be ON, such as the directions of a turnstile and its Stop."""

    def __init__(self) -> None:
        self._lines: list[RelayLine] = []

    def join(self, line: RelayLine) -> None:
        """One more output of the group."""
        self._lines.append(line)

    def why_not(self, line: RelayLine) -> str | None:
        """Why this output must not go ON now; asked at the last moment."""
        for other in self._lines:
            if other is not line and other.may_be_on:
                return f"relay {other.plan.channel} of the same group may be ON"
        return None

    async def look(self, line: RelayLine) -> None:
        """Look at those of the others that have not been looked at since their last pulse."""
        for other in self._lines:
            if other is not line and other.may_be_on and not other.claim.has_left:
                await other.read(Priority.LOCK)

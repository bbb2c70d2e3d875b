"""A door on one relay of a Modbus device, whoever ends its pulse."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

import structlog

from drivers.modbus.alarms import UNSAFE_PROFILE
from drivers.modbus.attempt import Attempt
from drivers.modbus.board import HealthBoard
from drivers.modbus.facts import describe
from drivers.modbus.frames import Priority
from drivers.modbus.grant_memory import GrantMemory
from drivers.modbus.held_output import HeldOutput
from drivers.modbus.plan import OutputPlan, PulseClass
from drivers.modbus.relay_line import Exclusive, RelayLine, Trouble
from drivers.modbus.unit import Unit
from drivers.modbus.watch import Watch
from gateway.domain.doors import Actuation, DoorHealth, Link, Outcome, Release
from gateway.domain.errors import ConfigError, InvariantBroken
from gateway.domain.ids import AccessPointId, DoorId

_log = structlog.get_logger(__name__)

QUEUE: Final = 2
"""Orders that may wait while one is carried out."""
_LAST_CHANCE_S: Final = 1.0
"""How long a closing door with a pulse running waits for a broken link."""
_LAST_TRIES: Final = 3
_LAST_PAUSE_S: Final = 0.25


def _nobody(_health: DoorHealth) -> None:
    """Nobody listens."""


class RelayDoor:
    """``ports.Door`` on one relay of a unit. Raises ConfigError for a class C device nobody allowed.

    ``serves`` are the access points whose grants it takes; ``plan`` and ``extended`` the two lengths of its
    pulse; ``exclusive`` the outputs never to be ON together with this one. On a ``turnstile`` nothing is ever
    sent twice. ``facts`` are put before those the door knows of itself.
    """

    def __init__(
        self,
        *,
        door_id: DoorId,
        serves: frozenset[AccessPointId],
        unit: Unit,
        plan: OutputPlan,
        extended: OutputPlan | None = None,
        exclusive: Exclusive | None = None,
        turnstile: bool = False,
        unsafe_allowed: bool = False,
        facts: Mapping[str, str] | None = None,
        on_health: Callable[[DoorHealth], None] = _nobody,
    ) -> None:
        unsafe = unit.plan.pulse_class is PulseClass.C
        if unsafe and not unsafe_allowed:
            raise ConfigError(
                f"door {door_id}: unit {unit.plan.unit} of {unit.bus.endpoint} keeps its outputs ON when the "
                "gateway dies (class C); use another device, or allow it in words with unsafe_pulse"
            )
        self.door_id, self.serves = door_id, serves
        self.line = RelayLine(unit.link, plan, extended)
        known = {**(facts or {}), **describe(unit.plan, self.line)}
        self.board = HealthBoard(door_id, unit.link, known, on_health)
        self.watch = Watch(self.line, self.board, unit.why_unarmed)
        self._unit, self._clock, self._turnstile = unit, unit.link.clock, turnstile
        self._held = None if plan.timed else HeldOutput(self.line, self.board, unit.plan.watchdog)
        self._exclusive = exclusive
        self._memory = GrantMemory()
        self._turn = asyncio.Lock()
        self._inside = 0
        self._started = self._closing = False
        if exclusive is not None:
            exclusive.join(self.line)
        if unsafe:
            self.board.stand(UNSAFE_PROFILE, "nothing ends a pulse if the gateway dies")

    async def start(self) -> None:
        """Begin connecting; returns at once. Idempotent."""
        if self._started or self._closing:
            return
        self._started = True
        self._unit.enter(self)

    def health(self) -> DoorHealth:
        """Last known state; never blocks."""
        return self.board.health()

    def neglected(self) -> bool:
        """For the unit: an OFF is overdue and nobody writes it."""
        return self._held is not None and self._held.neglected()

    async def unlock(self, order: Release) -> Actuation:
        """At most one pulse per order, and none after it expires. Raises InvariantBroken for another's grant.

        A frame that left is never sent again, whatever the reply; only "busy, nothing done" is, once.
        """
        point = getattr(order, "access_point_id", None)
        if point is not None and point not in self.serves:
            raise InvariantBroken(f"grant for {point} was given to door {self.door_id}")
        known = self._memory.find(order.grant_id)
        if known is not None:
            return await asyncio.shield(known)
        outcome = self._memory.begin(order, self._clock.monotonic_ns())
        if outcome is None:
            return self._not_sent("busy: too many grants at once")
        attempt = Attempt(
            order,
            self.line,
            self.watch,
            unless=self._why_not,
            held=self._held,
            again_if_busy=not self._turnstile,
        )
        try:
            outcome.set_result(await self._in_turn(attempt))
        except BaseException:
            outcome.set_result(attempt.cancelled())
            raise
        return outcome.result()

    async def lock(self) -> bool:
        """Output OFF; True when the device echoed that and reads it back. Always allowed."""
        seen = await self.line.off(Priority.LOCK)
        if isinstance(seen, Trouble):
            self.watch.trouble(seen)
            return False
        return not seen.on

    async def aclose(self) -> None:
        """OFF, then let go of the unit. Idempotent; one out of reach is left to its timer or watchdog."""
        if self._closing:
            return
        self._closing = True
        if not self._started:
            return
        self._unit.forget(self)
        try:
            if self._held is not None:
                await self._held.stop()
            await self._lock_at_last()
        finally:
            await self._unit.leave()
            self.board.set_link(Link.DOWN, "closed")

    async def _lock_at_last(self) -> None:
        running = self.line.claim.running
        if running:
            await self._unit.bus.wait_connected(_LAST_CHANCE_S)
        for again in range(_LAST_TRIES if running and self.line.held else 1):
            if again:
                await asyncio.sleep(_LAST_PAUSE_S)
            if await self.lock():
                return
        _log.warning("door_not_locked_at_stop", door=self.door_id)

    async def _in_turn(self, attempt: Attempt) -> Actuation:
        if self._inside > QUEUE:
            return self._not_sent("busy")
        self._inside += 1
        try:
            async with self._turn:
                why = self._why_not_ready()
                if why is not None:  # nothing is asked either: a proof of the watchdog needs silence
                    return self._not_sent(why)
                if self._exclusive is not None:
                    await self._exclusive.look(self.line)
                return await attempt.run()
        finally:
            self._inside -= 1

    def _why_not_ready(self) -> str | None:
        return "the door is closing" if self._closing else self.watch.why_not_ready()

    def _why_not(self) -> str | None:
        """Asked again right before the frame leaves."""
        why = self._why_not_ready()
        if why is None and self._exclusive is not None:
            why = self._exclusive.why_not(self.line)
        return why

    def _not_sent(self, why: str) -> Actuation:
        return Actuation(
            outcome=Outcome.NOT_SENT, sent_ns=None, done_ns=self._clock.monotonic_ns(), evidence=why
        )

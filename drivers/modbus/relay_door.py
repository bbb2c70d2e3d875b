"""A door on one relay of a Modbus board that times its pulses itself."""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from drivers.modbus.attempt import Attempt
from drivers.modbus.board import HealthBoard
from drivers.modbus.bus import ModbusBus
from drivers.modbus.frames import Priority
from drivers.modbus.grant_memory import GrantMemory
from drivers.modbus.planning import output_plan
from drivers.modbus.profile import Profile
from drivers.modbus.relay_line import RelayLine, Trouble
from drivers.modbus.watch import POLL_S, Watch
from gateway.domain.decisions import Grant
from gateway.domain.doors import Actuation, DoorHealth, Link, Outcome
from gateway.domain.errors import InvariantBroken
from gateway.domain.ids import AccessPointId

_log = structlog.get_logger(__name__)

QUEUE: Final = 2
"""Grants that may wait while one is carried out."""
_LAST_CHANCE_S: Final = 1.0
"""How long a closing door with a pulse running waits for a broken link."""


def _nobody(_health: DoorHealth) -> None:
    """Nobody listens."""


class RelayDoor:
    """``ports.Door`` on a shared bus. Raises ConfigError for a channel or pulse the profile cannot hold.

    ``where`` names file and key in that error; ``pulse_ms`` is the length of the pulse, timed by the device.
    """

    def __init__(
        self,
        *,
        access_point_id: AccessPointId,
        bus: ModbusBus,
        profile: Profile,
        unit: int,
        channel: int,
        pulse_ms: int,
        on_health: Callable[[DoorHealth], None] = _nobody,
        where: str = "access point",
        poll_s: float = POLL_S,
    ) -> None:
        plan = output_plan(profile, unit=unit, channel=channel, pulse_ms=pulse_ms, where=where)
        facts = {
            "profile": profile.name,
            "class": "A: one frame, the device ends the pulse",
            "verified": profile.verified,
            "endpoint": bus.endpoint,
            "unit": str(unit),
            "relay": str(channel),
            "pulse_ms": str(pulse_ms),
        }
        self.access_point_id = access_point_id
        self._bus, self._clock = bus, bus.clock
        self._line = RelayLine(bus, plan)
        self._board = HealthBoard(access_point_id, bus, facts, on_health)
        self._watch = Watch(self._line, self._board, poll_s=poll_s)
        self._memory = GrantMemory()
        self._turn = asyncio.Lock()
        self._inside = 0
        self._closing = False
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin connecting; returns at once. Idempotent."""
        if self._task is not None or self._closing:
            return
        self._bus.attach(self._watch.link_changed)
        self._task = asyncio.create_task(self._watch.run(), name=f"door {self.access_point_id}")
        self._task.add_done_callback(self._watch_ended)
        self._watch.link_changed()

    def health(self) -> DoorHealth:
        """Last known state; never blocks."""
        return self._board.health()

    async def unlock(self, grant: Grant) -> Actuation:
        """At most one pulse per grant, and none after it expires. Raises InvariantBroken for another's grant.

        A frame that left is never sent again, whatever the reply; only "busy, nothing done" is, once.
        """
        if grant.access_point_id != self.access_point_id:
            raise InvariantBroken(f"grant for {grant.access_point_id} was given to {self.access_point_id}")
        known = self._memory.find(grant.grant_id)
        if known is not None:
            return await asyncio.shield(known)
        outcome = self._memory.begin(grant, self._clock.monotonic_ns())
        if outcome is None:
            return self._not_sent("busy: too many grants at once")
        attempt = Attempt(grant, self._line, self._watch, self._why_not)
        try:
            outcome.set_result(await self._in_turn(attempt))
        except BaseException:
            outcome.set_result(attempt.cancelled())
            raise
        return outcome.result()

    async def lock(self) -> bool:
        """Output OFF; True when the device echoed that and reads it back. Always allowed."""
        seen = await self._line.off(Priority.LOCK)
        if isinstance(seen, Trouble):
            self._watch.trouble(seen)
            return False
        return not seen.on

    async def aclose(self) -> None:
        """OFF, then let go of the bus. Idempotent; a device out of reach ends its pulse by itself."""
        if self._closing:
            return
        self._closing = True
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        try:
            await asyncio.wait([task])
            if self._line.may_be_ours:
                await self._bus.wait_connected(_LAST_CHANCE_S)
            if not await self.lock():
                _log.warning("door_not_locked_at_stop", access_point=self.access_point_id)
        finally:
            await self._bus.detach(self._watch.link_changed)
            self._board.set_link(Link.DOWN, "closed")

    async def _in_turn(self, attempt: Attempt) -> Actuation:
        if self._inside > QUEUE:
            return self._not_sent("busy")
        self._inside += 1
        try:
            async with self._turn:
                return await attempt.run()
        finally:
            self._inside -= 1

    def _why_not(self) -> str | None:
        """Asked again right before the frame leaves."""
        return "the door is closing" if self._closing else self._watch.why_not_ready()

    def _not_sent(self, why: str) -> Actuation:
        return Actuation(
            outcome=Outcome.NOT_SENT, sent_ns=None, done_ns=self._clock.monotonic_ns(), evidence=why
        )

    def _watch_ended(self, task: asyncio.Task[None]) -> None:
        """A watch that died of a bug leaves the door shut and says so."""
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("door_watch_failed", access_point=self.access_point_id, exc_info=error)
            self._watch.link_changed()
            self._board.set_link(Link.DEGRADED, f"internal error: {error!r}")

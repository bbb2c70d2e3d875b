"""A door at work: its machine fed with readings, grants, orders and time; its wishes carried out."""

from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from gateway.domain.decisions import DenyReason, Grant
from gateway.domain.door_machine import REX_ORDER, advance, closed, due_ns
from gateway.domain.door_state import (
    Acknowledge,
    DoorConfig,
    DoorState,
    Effect,
    EndHold,
    HoldOpen,
    LockDown,
    Looked,
    Notice,
    Released,
    RelockNow,
    Renew,
    Settled,
    Stimulus,
    Tick,
)
from gateway.domain.doors import Actuation, Lease, Outcome
from gateway.domain.errors import Rejected
from gateway.domain.events import EventDraft, EventKind, Json
from gateway.domain.ids import DoorId, GrantId, uuid7
from gateway.domain.interlock import Secure
from gateway.domain.readings import Direction, Readings, Sensor
from gateway.ports import Clock, Door, Journal
from gateway.walkup.interlocks import InterlockGroup
from gateway.walkup.minutes import Minutes, Wishes

_log = structlog.get_logger(__name__)

_LEASE_TTL_NS = 500_000_000
_MOVED = frozenset({Outcome.CONFIRMED, Outcome.SENT, Outcome.AMBIGUOUS})

Order = HoldOpen | EndHold | LockDown | Acknowledge
"""What an operator may tell a door."""


@dataclass(slots=True, kw_only=True)
class DoorPortal:
    """``Portal`` of a door. ``run`` is owned by the application's task group."""

    door_id: DoorId
    config: DoorConfig
    lock: Door
    journal: Journal
    minutes: Minutes
    clock: Clock
    group: InterlockGroup | None = None
    on_state: Callable[[DoorId, DoorState], None] = lambda _door, _state: None
    state: DoorState = field(default_factory=DoorState)
    _wishes: Wishes = field(init=False)

    def __post_init__(self) -> None:
        self._wishes = Wishes(self.clock)
        if self.group is not None:
            self.group.join(self.door_id, self.secure)

    def look(self, readings: Readings) -> None:
        """The sensors were read, or can be read no more."""
        self._advance(Looked(readings))
        if self.group is not None:
            self.group.settle()

    def obstacle(self, direction: Direction) -> DenyReason | None:
        """Why nobody would be let in now."""
        del direction
        if closed(self.state):
            return DenyReason.DOOR_LOCKED_DOWN
        return None if self.group is None else self.group.obstacle(self.door_id)

    def reserve(self, grant: Grant, direction: Direction) -> DenyReason | None:
        """Check once more and take the interlock's place, in one step."""
        del direction
        if closed(self.state):
            return DenyReason.DOOR_LOCKED_DOWN
        return None if self.group is None else self.group.reserve(self.door_id, grant.grant_id)

    def released(self, grant: Grant, direction: Direction) -> None:
        """The frame is about to leave."""
        self.minutes.granted(grant)
        self._advance(Released(grant_id=grant.grant_id, direction=direction, extended=grant.extended))

    def settled(self, grant: Grant, actuation: Actuation | None) -> None:
        """What became of it."""
        if actuation is None or actuation.outcome not in _MOVED:
            self.minutes.forget(grant.grant_id)
            if self.group is not None:
                self.group.release(grant.grant_id)
        self._advance(Settled(grant.grant_id, actuation))

    def secure(self) -> Secure:
        """For the interlock: what is known of this door."""
        state, now_ns = self.state, self.clock.monotonic_ns()
        off = None if state.output_on is None else not state.output_on and now_ns >= state.released_until_ns
        shut = None if state.open is None or state.changing_ns is not None else not state.open
        fire = state.on.get(Sensor.FIRE) is True or state.fire
        return Secure(shut=shut, output_off=off, seen_ns=state.seen_ns, fire=fire)

    async def order(self, order: Order, by: str) -> None:
        """Carry out an operator's order; it is on record first. Raises Rejected, JournalUnavailable."""
        if isinstance(order, HoldOpen) and self.group is not None:
            raise Rejected(f"{self.door_id} belongs to an interlock: it cannot be held open")
        if isinstance(order, HoldOpen) and self.state.locked_down:
            raise Rejected(f"{self.door_id} is locked down: lift that before it is held open")
        now = self.clock.now()
        data: dict[str, Json] = {"door": self.door_id, "order": type(order).__name__, "by": by}
        if isinstance(order, HoldOpen):
            data["for_s"] = round((order.until_ns - self.clock.monotonic_ns()) / 1e9, 1)
        if isinstance(order, LockDown):
            data["on"] = order.on
        draft = EventDraft(kind=EventKind.DOOR_ORDER, at=now, mono_ns=self.clock.monotonic_ns(), data=data)
        await self.journal.append(draft)
        self._advance(order)

    async def run(self) -> None:
        """Carry out what the machine wants, and tell it the time, until cancelled."""
        self._advance(Tick())  # sensors that never say anything are missed from now on
        while True:
            wish = await self._wishes.next(due_ns(self.config, self.state))
            if wish is None:
                self._advance(Tick())
            else:
                await self._carry_out(wish)

    def _advance(self, stimulus: Stimulus) -> None:
        step = advance(self.config, self.state, stimulus, self.clock.monotonic_ns())
        before, self.state = self.state, step.state
        for effect in step.effects:
            if isinstance(effect, Notice):
                self.minutes.write(effect)
            else:
                self._wishes.add(effect)
        if (before.phase, before.alarms) != (self.state.phase, self.state.alarms):
            self.on_state(self.door_id, self.state)
        self._wishes.wake()

    async def _carry_out(self, wish: Effect) -> None:
        match wish:
            case RelockNow():
                if self.state.fire or self.state.hold is not None:
                    return  # it was wanted before
                if not await self.lock.lock():
                    _log.warning("relock_not_confirmed", door=self.door_id)
            case Renew(order_id):
                await self._lease(order_id)
            case Notice():
                self.minutes.write(wish)

    async def _lease(self, order_id: str) -> None:
        """Open once more. The order, or the request to exit, must be on record before."""
        if not await self.minutes.recorder.flush():
            _log.error("lease_not_given", door=self.door_id, why="nothing can be recorded")
            return
        hold = self.state.hold
        if order_id != REX_ORDER and (hold is None or hold.order_id != order_id):
            return  # it ended while the record was written
        lease = Lease(
            grant_id=GrantId(uuid7(int(self.clock.now().timestamp() * 1000))),
            expires_ns=self.clock.monotonic_ns() + _LEASE_TTL_NS,
        )
        actuation = await self.lock.unlock(lease)
        if actuation.outcome not in _MOVED:
            _log.warning("lease_not_given", door=self.door_id, order=order_id, why=actuation.evidence)

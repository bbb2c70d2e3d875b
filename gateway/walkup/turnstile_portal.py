"""A turnstile at work: one machine for both directions, two locks that are never ON together."""

from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.domain.decisions import DenyReason, Grant
from gateway.domain.door_state import Acknowledge, Looked, Notice, Released, Settled, Tick
from gateway.domain.doors import Actuation, Outcome
from gateway.domain.events import EventDraft, EventKind
from gateway.domain.ids import DoorId
from gateway.domain.readings import Direction, Readings
from gateway.domain.turnstile import advance, due_ns, taken, usable
from gateway.domain.turnstile_state import TurnstileConfig, TurnstileState, TurnstileStimulus
from gateway.ports import Clock, Journal
from gateway.walkup.minutes import Minutes, Wishes

_MOVED = frozenset({Outcome.CONFIRMED, Outcome.SENT, Outcome.AMBIGUOUS})


@dataclass(slots=True, kw_only=True)
class TurnstilePortal:
    """``Portal`` of both directions. ``run`` is owned by the application's task group."""

    door_id: DoorId
    config: TurnstileConfig
    journal: Journal
    minutes: Minutes
    clock: Clock
    on_state: Callable[[DoorId, TurnstileState], None] = lambda _door, _state: None
    state: TurnstileState = field(default_factory=TurnstileState)
    _wishes: Wishes = field(init=False)

    def __post_init__(self) -> None:
        self._wishes = Wishes(self.clock)

    def look(self, readings: Readings) -> None:
        """The sensors were read, or can be read no more."""
        self._advance(Looked(readings))

    def obstacle(self, direction: Direction) -> DenyReason | None:
        """Why nobody would be let through now."""
        if not usable(self.state):
            return DenyReason.DOOR_NOT_READY
        return DenyReason.BUSY if taken(self.config, self.state, direction) else None

    def reserve(self, grant: Grant, direction: Direction) -> DenyReason | None:
        """Check once more and give out the token, in one step: the other direction may ask any moment."""
        reason = self.obstacle(direction)
        if reason is None:
            self.minutes.granted(grant)
            self._advance(Released(grant_id=grant.grant_id, direction=direction))
        return reason

    def released(self, grant: Grant, direction: Direction) -> None:
        """The frame is about to leave; the token is out already."""

    def settled(self, grant: Grant, actuation: Actuation | None) -> None:
        """What became of it."""
        if actuation is None or actuation.outcome not in _MOVED:
            self.minutes.forget(grant.grant_id)
        self._advance(Settled(grant.grant_id, actuation))

    async def acknowledge(self, by: str) -> None:
        """An operator has seen to a free or burning turnstile. Raises JournalUnavailable."""
        draft = EventDraft(
            kind=EventKind.DOOR_ORDER,
            at=self.clock.now(),
            mono_ns=self.clock.monotonic_ns(),
            data={"door": self.door_id, "order": "Acknowledge", "by": by},
        )
        await self.journal.append(draft)
        self._advance(Acknowledge())

    async def run(self) -> None:
        """Tell the machine the time, until cancelled."""
        self._advance(Tick())  # sensors that never say anything are missed from now on
        while True:
            await self._wishes.next(due_ns(self.config, self.state))
            self._advance(Tick())

    def _advance(self, stimulus: TurnstileStimulus) -> None:
        step = advance(self.config, self.state, stimulus, self.clock.monotonic_ns())
        before, self.state = self.state, step.state
        for effect in step.effects:
            if isinstance(effect, Notice):
                self.minutes.write(effect)
        if (before.phase, before.alarms) != (self.state.phase, self.state.alarms):
            self.on_state(self.door_id, self.state)
        if not isinstance(stimulus, Tick):
            self._wishes.wake()

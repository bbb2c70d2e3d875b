"""A site's doors, turnstiles and interlocks as the walk-up uses them: portals, and who carries out grants."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from gateway.domain.door_state import DoorConfig, DoorState, Relock
from gateway.domain.errors import InvalidInput
from gateway.domain.ids import DoorId
from gateway.domain.interlock import Interlock
from gateway.domain.readings import Direction, Sensor
from gateway.domain.turnstile_state import TurnstileConfig, TurnstileState
from gateway.doors import Doors
from gateway.ports import Clock, Journal
from gateway.settings import Door, Site, Turnstile
from gateway.walkup.door_actor import DoorActor, Passage
from gateway.walkup.door_portal import DoorPortal
from gateway.walkup.interlocks import InterlockGroup
from gateway.walkup.minutes import Minutes
from gateway.walkup.recorder import Recorder
from gateway.walkup.turnstile_portal import TurnstilePortal

_MS = 1_000_000
_S = 1_000_000_000
_FRESH_NS = 250 * _MS
"""Twice the time between two looks at the inputs, and a little for the bus."""

State = DoorState | TurnstileState


def _nobody(_door: DoorId, _state: State) -> None:
    """Nobody listens."""


@dataclass(slots=True, kw_only=True)
class Portals:
    """Made by ``of_site``; the parts run under the application's task group."""

    site: Site
    doors: Doors
    journal: Journal
    recorder: Recorder
    clock: Clock
    on_passage: Callable[[Passage], None]
    on_state: Callable[[DoorId, State], None] = _nobody
    portals: dict[str, DoorPortal | TurnstilePortal] = field(default_factory=dict)
    """By the id of the door or turnstile."""
    actors: dict[str, DoorActor] = field(default_factory=dict)
    """By lock id."""

    def compose(self) -> "Portals":
        """Make every portal and hang it onto its sensors; nothing runs yet."""
        groups = self._groups()
        for door in self.site.doors:
            if door.id in self.doors.sensors:
                self._add(door.id, self._door(door, groups.get(door.id)))
        for turnstile in self.site.turnstiles:
            if turnstile.id in self.doors.sensors:
                self._add(turnstile.id, self._turnstile(turnstile))
        for lock_id, lock in self.doors.locks.items():
            self.actors[lock_id] = DoorActor(
                door=lock,
                portal=self.portals[lock_id.partition(".")[0]],
                journal=self.journal,
                clock=self.clock,
                on_passage=self.on_passage,
            )
        return self

    def actor(self, door: str, direction: str) -> DoorActor:
        """Who carries out grants for this side of a door."""
        return self.actors.get(f"{door}.{direction}") or self.actors[door]

    def door(self, door_id: str) -> DoorPortal:
        """A door, for an operator's orders. Raises InvalidInput for one that is not there."""
        found = self.portals.get(door_id)
        if not isinstance(found, DoorPortal):
            raise InvalidInput(f'no door has the id "{door_id}"')
        return found

    def parts(self) -> dict[str, Callable[[], Awaitable[None]]]:
        """What must run, by name."""
        return {
            **{f"portal-{name}": portal.run for name, portal in self.portals.items()},
            **{f"door-actor-{name}": actor.run for name, actor in self.actors.items()},
        }

    def _add(self, door_id: str, portal: DoorPortal | TurnstilePortal) -> None:
        self.portals[door_id] = portal
        self.doors.sensors[door_id].subscribe(portal.look)

    def _minutes(self, door_id: str) -> Minutes:
        return Minutes(door_id=DoorId(door_id), recorder=self.recorder, clock=self.clock)

    def _groups(self) -> dict[str, InterlockGroup]:
        groups = {}
        for interlock in self.site.interlocks:
            group = InterlockGroup(
                Interlock(
                    doors=frozenset(DoorId(d) for d in interlock.doors),
                    reserve_ns=int(interlock.reserve_s * _S),
                    fresh_ns=_FRESH_NS,
                ),
                self.clock,
            )
            groups.update(dict.fromkeys(interlock.doors, group))
        return groups

    def _door(self, door: Door, group: InterlockGroup | None) -> DoorPortal:
        names = ("contact", "bolt", "rex", "tamper", "fire")
        return DoorPortal(
            door_id=DoorId(door.id),
            config=DoorConfig(
                fitted=frozenset(Sensor(n) for n in names if getattr(door.sensors, n) is not None),
                pulse_ns=door.pulse_ms * _MS,
                extended_pulse_ns=(door.extended_pulse_ms or door.pulse_ms) * _MS,
                relock=Relock(door.relock),
                held_warning_ns=int(door.held_warning_s * _S),
                held_alarm_ns=int(door.held_alarm_s * _S),
                extended_held_ns=int(door.extended_held_s * _S),
                debounce_ns=door.debounce_ms * _MS,
                rex_shunt_ns=int(door.rex_shunt_s * _S),
                rex_unlocks=door.rex == "unlock",
            ),
            lock=self.doors.locks[door.id],
            journal=self.journal,
            minutes=self._minutes(door.id),
            clock=self.clock,
            group=group,
            on_state=self.on_state,
        )

    def _turnstile(self, turnstile: Turnstile) -> TurnstilePortal:
        lanes = dict(turnstile.lanes())
        names = ("free", "tamper", "fire")
        return TurnstilePortal(
            door_id=DoorId(turnstile.id),
            config=TurnstileConfig(
                directions=frozenset(Direction(way) for way in lanes),
                counted=frozenset(Direction(way) for way, lane in lanes.items() if lane.passed is not None),
                fitted=frozenset(Sensor(n) for n in names if getattr(turnstile.sensors, n) is not None),
                pulse_ns=turnstile.pulse_ms * _MS,
                wait_ns=int(turnstile.wait_s * _S),
                both_ways=turnstile.opposite == "allow",
            ),
            journal=self.journal,
            minutes=self._minutes(turnstile.id),
            clock=self.clock,
            on_state=self.on_state,
        )

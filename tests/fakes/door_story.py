"""One door and its machine, told a story: what the sensors say, what people are granted, and time."""

from typing import Any

from gateway.domain.door_machine import advance, due_ns
from gateway.domain.door_state import (
    DoorConfig,
    DoorState,
    Effect,
    Looked,
    Notice,
    Released,
    RelockNow,
    Renew,
    Settled,
    Stimulus,
    Tick,
)
from gateway.domain.doors import Actuation, Outcome
from gateway.domain.events import EventKind
from gateway.domain.ids import GrantId
from gateway.domain.readings import Readings, Sensor

MS = 1_000_000
S = 1_000_000_000
LOOK_NS = 100 * MS
FITTED = frozenset({Sensor.CONTACT, Sensor.REX, Sensor.TAMPER, Sensor.FIRE})
PASSAGES = (EventKind.ACCESS_TAKEN, EventKind.ACCESS_NOT_TAKEN)


def config(**changes: Any) -> DoorConfig:
    return DoorConfig(**{"fitted": FITTED, "pulse_ns": 3 * S, "extended_pulse_ns": 6 * S, **changes})


def acted(outcome: Outcome = Outcome.CONFIRMED) -> Actuation:
    return Actuation(outcome=outcome, sent_ns=1, done_ns=1, evidence="test", frames_sent=1)


class DoorStory:
    """The time is monotonic; the machine is ticked when it asks to be, and at no other time."""

    def __init__(self, *, shut: bool = True, **changes: Any) -> None:
        self.config = config(**changes)
        self.state = DoorState()
        self.now_ns = 1_000 * S
        self.told: list[tuple[int, Effect]] = []
        self.sensors: dict[str, bool | None] = {s.value: False for s in sorted(self.config.fitted)}
        self.output_on: bool | None = False
        self.presses = 0
        if shut:
            self.look()

    def do(self, stimulus: Stimulus) -> tuple[Effect, ...]:
        step = advance(self.config, self.state, stimulus, self.now_ns)
        self.state = step.state
        self.told += [(self.now_ns, effect) for effect in step.effects]
        return step.effects

    def look(self, *, output_on: bool | None = False, **says: bool | None) -> tuple[Effect, ...]:
        """The sensors are read; what is not named says what it said before."""
        self.sensors.update(says)
        self.output_on = output_on
        return self.do(
            Looked(
                Readings(
                    at_ns=self.now_ns,
                    seq=1,
                    on={Sensor(name): on for name, on in self.sensors.items()},
                    edges={Sensor.REX: self.presses},
                    output_on=output_on,
                )
            )
        )

    def wait(self, seconds: float) -> None:
        """Nothing is read meanwhile."""
        end_ns = self.now_ns + int(seconds * S)
        while (due := due_ns(self.config, self.state)) is not None and due <= end_ns:
            self.now_ns = due
            self.do(Tick())
        self.now_ns = end_ns

    def watch(self, seconds: float, **says: bool | None) -> None:
        """The sensors say so, ten times a second."""
        for _ in range(round(seconds * S / LOOK_NS)):
            self.look(**says)
            self.wait(LOOK_NS / S)

    def release(self, grant: str = "g", *, extended: bool = False) -> None:
        self.do(Released(grant_id=GrantId(grant), extended=extended))

    def settle(self, grant: str = "g", outcome: Outcome | None = Outcome.CONFIRMED) -> None:
        self.do(Settled(GrantId(grant), None if outcome is None else acted(outcome)))

    def grant(self, grant: str = "g", *, extended: bool = False) -> None:
        """A frame that left and did what it should."""
        self.release(grant, extended=extended)
        self.settle(grant)

    def notices(self, *kinds: EventKind) -> list[Notice]:
        return [e for _, e in self.told if isinstance(e, Notice) and (not kinds or e.kind in kinds)]

    @property
    def alarms(self) -> list[tuple[str, bool]]:
        """Every alarm raised and cleared."""
        return [(n.data["alarm"], n.data["raised"]) for n in self.notices(EventKind.DOOR_ALARM)]

    @property
    def passages(self) -> list[str]:
        return [f"{n.kind.value} {n.data['passage']}" for n in self.notices(*PASSAGES)]

    @property
    def relocks(self) -> int:
        return sum(isinstance(e, RelockNow) for _, e in self.told)

    @property
    def leases(self) -> list[str]:
        return [e.order_id for _, e in self.told if isinstance(e, Renew)]

"""One turnstile and its machine, told a story: who is granted, who passes, and time."""

from typing import Any

from gateway.domain.door_state import Looked, Notice, Released, Settled, Tick
from gateway.domain.doors import Outcome
from gateway.domain.events import EventKind
from gateway.domain.ids import GrantId
from gateway.domain.readings import Direction, Readings, Sensor
from gateway.domain.turnstile import advance, due_ns
from gateway.domain.turnstile_state import TurnstileConfig, TurnstileState, TurnstileStimulus
from tests.fakes.door_story import PASSAGES, S, acted

IN, OUT = Direction.IN, Direction.OUT


class GateStory:
    """The time is monotonic; the machine is ticked when it asks to be, and at no other time."""

    def __init__(self, **changes: Any) -> None:
        both = frozenset(Direction)
        self.config = TurnstileConfig(**{"directions": both, "counted": both, **changes})
        self.state = TurnstileState()
        self.now_ns = 1_000 * S
        self.told: list[Notice] = []
        self.counts: dict[Direction, int | None] = dict.fromkeys(sorted(self.config.counted), 0)
        self.look()

    def do(self, stimulus: TurnstileStimulus) -> None:
        step = advance(self.config, self.state, stimulus, self.now_ns)
        self.state = step.state
        assert all(isinstance(e, Notice) for e in step.effects), (
            "a turnstile is never written to by its machine"
        )
        self.told += [e for e in step.effects if isinstance(e, Notice)]

    def look(self, *, output_on: bool | None = False, **on: bool | None) -> None:
        readings = Readings(
            at_ns=self.now_ns,
            seq=1,
            on={Sensor(name): says for name, says in on.items()},
            passages=dict(self.counts),
            output_on=output_on,
        )
        self.do(Looked(readings))

    def wait(self, seconds: float) -> None:
        end_ns = self.now_ns + int(seconds * S)
        while (due := due_ns(self.config, self.state)) is not None and due <= end_ns:
            self.now_ns = due
            self.do(Tick())
        self.now_ns = end_ns

    def release(self, grant: str = "g", way: Direction = IN) -> None:
        self.do(Released(grant_id=GrantId(grant), direction=way))

    def settle(self, grant: str = "g", outcome: Outcome | None = Outcome.CONFIRMED) -> None:
        self.do(Settled(GrantId(grant), None if outcome is None else acted(outcome)))

    def grant(self, grant: str = "g", way: Direction = IN) -> None:
        self.release(grant, way)
        self.settle(grant)

    def walk(self, way: Direction = IN, people: int = 1, **on: bool | None) -> None:
        self.counts[way] = (self.counts[way] or 0) + people
        self.look(**on)

    @property
    def passages(self) -> list[tuple[str | None, str]]:
        return [(n.grant_id, f"{n.kind.value} {n.data['passage']}") for n in self.told if n.kind in PASSAGES]

    @property
    def alarms(self) -> list[tuple[str, bool]]:
        return [(n.data["alarm"], n.data["raised"]) for n in self.told if n.kind is EventKind.DOOR_ALARM]

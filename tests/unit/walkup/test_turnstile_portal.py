"""A turnstile at work with fakes at its ends: one token at a time, and its record."""

import asyncio

import pytest

from gateway.domain.decisions import DenyReason
from gateway.domain.doors import Outcome
from gateway.domain.errors import JournalUnavailable
from gateway.domain.events import EventKind
from gateway.domain.ids import DoorId
from gateway.domain.readings import Direction, Sensor
from gateway.domain.turnstile_state import TurnstileAlarm, TurnstileConfig, TurnstilePhase
from gateway.telemetry.clock import SystemClock
from gateway.walkup.turnstile_portal import TurnstilePortal
from tests.fakes.door_story import MS, PASSAGES, acted
from tests.fakes.portal_stage import PERSON, Stage, running, turn

IN, OUT = Direction.IN, Direction.OUT
BOTH = frozenset(Direction)


class Gate(Stage):
    def __init__(self, **changes: object) -> None:
        super().__init__()
        fitted = frozenset({Sensor.FREE, Sensor.FIRE})
        self.states: list[TurnstilePhase] = []
        self.portal = TurnstilePortal(
            door_id=DoorId("gate"),
            config=TurnstileConfig(**{"directions": BOTH, "counted": BOTH, "fitted": fitted, **changes}),
            journal=self.journal,
            minutes=self.minutes("gate"),
            clock=self.clock,
            on_state=lambda _door, state: self.states.append(state.phase),
        )
        self.walked = dict.fromkeys(sorted(BOTH), 0)
        self.look()

    def look(self, **on: bool | None) -> None:
        says = {s: on.get(s.value, False) for s in sorted(self.portal.config.fitted)}
        self.portal.look(self.readings(on=says, passages=dict(self.walked)))

    def walk(self, way: Direction = IN) -> None:
        self.walked[way] += 1
        self.look()

    def ask(self, name: str = "g", way: Direction = IN) -> DenyReason | None:
        return self.portal.reserve(self.grant(name, "gate"), way)

    def send(self, name: str = "g", way: Direction = IN, outcome: Outcome | None = Outcome.CONFIRMED) -> None:
        grant = self.grant(name, "gate")
        if outcome is not None:
            self.portal.released(grant, way)
        self.portal.settled(grant, None if outcome is None else acted(outcome))

    async def passages(self) -> list[tuple[str, str | None, str | None]]:
        return [(d.kind.value, d.grant_id, d.person_id) for d in await self.recorded() if d.kind in PASSAGES]


async def test_of_two_ways_at_one_instant_one_gets_the_token() -> None:
    gate = Gate()
    assert [gate.portal.obstacle(way) for way in (IN, OUT)] == [None, None]

    async def come(way: Direction) -> DenyReason | None:
        await asyncio.sleep(0)
        return gate.ask(f"grant-{way}", way)

    assert await asyncio.gather(come(OUT), come(IN)) == [None, DenyReason.BUSY]
    assert list(gate.portal.state.tokens) == [OUT]


def test_both_ways_get_one_each_where_the_turnstile_allows_it() -> None:
    gate = Gate(both_ways=True)
    assert gate.ask("one", IN) is None
    assert gate.ask("other", OUT) is None
    assert gate.ask("third", IN) is DenyReason.BUSY


async def test_a_passage_is_recorded_once_with_its_person() -> None:
    gate = Gate()
    gate.ask()
    gate.send()
    gate.walk()
    assert await gate.passages() == [("access_taken", "g", PERSON)]
    assert gate.portal.minutes._grants == {}
    assert gate.ask("next") is None


@pytest.mark.parametrize("outcome", [None, Outcome.NOT_SENT, Outcome.REFUSED])
async def test_a_frame_that_moved_nothing_gives_the_token_back(outcome: Outcome | None) -> None:
    gate = Gate()
    gate.ask()
    gate.send(outcome=outcome)
    assert gate.portal.minutes._grants == {}
    assert gate.ask("next", OUT) is None
    assert await gate.passages() == []


def test_a_frame_whose_fate_is_not_known_keeps_it() -> None:
    gate = Gate()
    gate.ask()
    gate.send(outcome=Outcome.AMBIGUOUS)
    assert gate.ask("next", OUT) is DenyReason.BUSY


async def test_nobody_is_let_in_by_pulses_while_everybody_may_pass() -> None:
    gate = Gate()
    gate.look(free=True)
    assert gate.ask() is DenyReason.DOOR_NOT_READY
    gate.look(free=False)
    assert gate.ask() is None


async def test_a_fire_refuses_nobody() -> None:
    gate = Gate()
    gate.look(fire=True, free=True)
    assert gate.ask() is None


async def test_it_is_acknowledged_on_record_before_it_is_over() -> None:
    gate = Gate()
    gate.look(fire=True)
    gate.look(fire=False)
    gate.journal.gate.clear()
    seen = asyncio.ensure_future(gate.portal.acknowledge("guard"))
    await turn()
    assert gate.portal.state.fire, "it is not on disk yet"
    gate.journal.gate.set()
    await seen
    assert not gate.portal.state.fire
    orders = [d.data for d in await gate.recorded() if d.kind is EventKind.DOOR_ORDER]
    assert orders == [{"door": "gate", "order": "Acknowledge", "by": "guard"}]


async def test_what_cannot_be_recorded_is_not_acknowledged() -> None:
    gate = Gate()
    gate.look(fire=True)
    gate.look(fire=False)
    before = gate.portal.state
    gate.journal.full = True
    with pytest.raises(JournalUnavailable):
        await gate.portal.acknowledge("guard")
    assert gate.portal.state == before


async def test_the_time_of_a_token_runs_out_by_itself() -> None:
    gate = Gate()
    gate.ask()
    gate.send()
    gate.clock.advance(7)
    async with running(gate.portal.run):
        await asyncio.sleep(0.01)
        assert gate.portal.state.tokens == {}
    assert await gate.passages() == [("access_not_taken", "g", PERSON)]


async def test_a_token_given_out_while_it_waits_is_timed_too() -> None:
    gate = Gate(wait_ns=20 * MS, grace_ns=0, pulse_ns=10 * MS)
    gate.portal.clock = gate.portal._wishes.clock = SystemClock()
    async with running(gate.portal.run):
        gate.ask()
        gate.send()
        await asyncio.sleep(0.2)
        assert gate.portal.state.tokens == {}


async def test_sensors_that_never_say_anything_are_told() -> None:
    gate = Gate(dark_ns=20 * MS)
    portal = TurnstilePortal(
        door_id=DoorId("gate"),
        config=gate.portal.config,
        journal=gate.journal,
        minutes=gate.minutes("gate"),
        clock=SystemClock(),
    )
    async with running(portal.run):
        await asyncio.sleep(0.2)
        assert portal.state.alarms == {TurnstileAlarm.PASSAGES_UNKNOWN, TurnstileAlarm.FIRE_UNKNOWN}


async def test_cancelled_with_a_token_out_it_is_still_its_persons() -> None:
    gate = Gate()
    async with running(gate.portal.run) as task:
        gate.ask()
        gate.send()
    assert task.cancelled()
    async with running(gate.portal.run):
        gate.walk()
        await turn()
    assert await gate.passages() == [("access_taken", "g", PERSON)]


def test_whoever_shows_the_turnstile_hears_of_each_change_once() -> None:
    gate = Gate()
    gate.states.clear()
    gate.ask()
    gate.send()
    gate.look()
    gate.walk()
    assert gate.states == [TurnstilePhase.ARMED, TurnstilePhase.LOCKED]

"""A door under orders and in a fire: held open by leases, locked down, and free while it burns."""

import pytest

from gateway.domain.door_machine import closed
from gateway.domain.door_state import (
    Acknowledge,
    DoorAlarm,
    EndHold,
    HoldOpen,
    LockDown,
    Lost,
    Phase,
    Relock,
    Stimulus,
)
from gateway.domain.readings import Sensor
from tests.fakes.door_story import DoorStory, S


def held(seconds: float = 60, **changes: object) -> DoorStory:
    door = DoorStory(**changes)
    door.do(HoldOpen(order_id="order", until_ns=door.now_ns + int(seconds * S)))
    return door


def burning(**changes: object) -> DoorStory:
    door = DoorStory(**changes)
    door.look(fire=True)
    return door


def test_a_held_door_gets_one_lease_before_the_last_one_ends() -> None:
    door = held()
    door.watch(10)
    assert door.leases == ["order"] * 6, "at once, and every two seconds of a pulse of three"
    assert door.state.phase is Phase.RELEASED


def test_a_held_door_that_stands_open_is_no_alarm() -> None:
    door = held()
    door.watch(50, contact=True)
    assert door.alarms == []
    assert door.state.phase is Phase.OPEN


def test_a_hold_ends_by_itself_and_relocks() -> None:
    door = held(5)
    door.watch(5)
    assert door.state.hold is None
    assert door.relocks == 1
    leases = len(door.leases)
    door.watch(5)
    assert len(door.leases) == leases
    assert door.state.phase is Phase.LOCKED


def test_a_hold_ends_by_order() -> None:
    door = held()
    door.watch(1)
    door.do(EndHold())
    assert (door.state.hold, door.relocks) == (None, 1)
    door.do(EndHold())
    assert door.relocks == 1, "there was nothing left to end"


def test_the_time_to_shut_it_starts_when_the_hold_ends() -> None:
    door = held(40)
    door.watch(40, contact=True)
    door.watch(14)
    assert door.alarms == []
    door.watch(2)
    assert door.alarms == [("held_warning", True)]


def test_a_later_order_takes_the_place_of_the_one_before() -> None:
    door = held(5)
    door.do(HoldOpen(order_id="longer", until_ns=door.now_ns + 30 * S))
    door.watch(20)
    assert door.state.hold is not None
    assert door.leases[-1] == "longer"
    assert door.relocks == 0


@pytest.mark.parametrize("mode", [Relock.OPEN, Relock.CLOSE])
def test_a_held_door_is_not_relocked_by_its_leaf(mode: Relock) -> None:
    door = held(relock=mode)
    door.watch(2, contact=True)
    door.watch(2, contact=False)
    assert door.relocks == 0


def test_a_hold_ends_when_the_sensors_are_lost() -> None:
    door = held()
    door.watch(1)
    door.do(Lost())
    assert (door.state.hold, door.relocks) == (None, 1)


def test_a_hold_ends_when_nothing_is_read_any_more() -> None:
    door = held()
    door.wait(4)
    assert (door.state.hold, door.relocks) == (None, 1)


@pytest.mark.parametrize("sensor", ["contact", "fire"])
def test_a_hold_ends_when_a_device_says_that_it_cannot_read(sensor: str) -> None:
    door = held()
    door.watch(1)
    door.watch(2, **{sensor: None})
    assert (door.state.hold, door.relocks) == (None, 1)


def test_a_hold_outlives_a_link_that_is_made_anew() -> None:
    door = held()
    door.watch(0.5, contact=None, fire=None)
    door.watch(1, contact=False, fire=False)
    assert door.state.hold is not None
    assert door.relocks == 0


def test_a_door_never_looked_at_is_not_held() -> None:
    door = DoorStory(shut=False)
    door.do(HoldOpen(order_id="order", until_ns=door.now_ns + S))
    assert (door.state.hold, door.leases) == (None, [])


def test_lockdown_ends_the_hold_and_relocks() -> None:
    door = held()
    door.watch(1)
    leases = len(door.leases)
    door.do(LockDown(on=True))
    assert closed(door.state)
    assert door.state.hold is None
    assert door.relocks >= 1
    door.watch(5)
    assert len(door.leases) == leases


def test_a_door_in_lockdown_is_not_held_open() -> None:
    door = DoorStory()
    door.do(LockDown(on=True))
    door.do(HoldOpen(order_id="order", until_ns=door.now_ns + 10 * S))
    door.watch(5)
    assert (door.state.hold, door.leases) == (None, [])


def test_lockdown_ends_by_order_alone() -> None:
    door = DoorStory()
    door.do(LockDown(on=True))
    door.watch(60)
    door.do(Acknowledge())
    assert closed(door.state)
    door.do(LockDown(on=False))
    assert not closed(door.state)


def test_lockdown_relocks_a_pulse_that_has_begun() -> None:
    door = DoorStory()
    door.grant()
    door.do(LockDown(on=True))
    assert door.relocks == 1


@pytest.mark.parametrize("order", [LockDown(on=True), EndHold(), Lost()])
def test_nothing_relocks_in_a_fire(order: Stimulus) -> None:
    door = held()
    door.look(fire=True)
    door.do(order)
    door.wait(100)
    assert door.state.phase is Phase.FIRE
    assert door.relocks == 0


@pytest.mark.parametrize("mode", [Relock.OPEN, Relock.CLOSE])
def test_a_leaf_that_moves_in_a_fire_does_not_relock(mode: Relock) -> None:
    door = burning(relock=mode)
    door.grant()
    door.watch(1, contact=True)
    door.watch(1, contact=False)
    assert door.relocks == 0


def test_people_running_out_are_neither_forced_nor_held() -> None:
    door = burning()
    door.watch(60, contact=True)
    assert door.alarms == [("fire", True)]
    assert door.state.phase is Phase.FIRE


def test_a_fire_silences_what_was_forced_and_brings_it_back_after() -> None:
    door = DoorStory()
    door.watch(1, contact=True)
    door.watch(1, fire=True)
    assert door.state.alarms == {DoorAlarm.FIRE}
    door.look(fire=False)
    door.do(Acknowledge())
    assert door.state.alarms == {DoorAlarm.FORCED}


def test_a_fire_stays_until_it_is_clear_and_acknowledged() -> None:
    door = burning()
    door.do(Acknowledge())
    assert door.state.fire, "it still burns"
    door.watch(60, fire=False)
    assert door.state.fire, "nobody has seen to it"
    door.do(Acknowledge())
    assert not door.state.fire
    assert door.state.phase is Phase.LOCKED


def test_a_fire_that_cannot_be_read_any_more_is_not_clear() -> None:
    door = burning()
    door.do(Lost())
    door.do(Acknowledge())
    assert door.state.fire


def test_an_input_that_cannot_be_read_is_no_fire() -> None:
    door = DoorStory()
    door.watch(2, fire=None)
    assert not door.state.fire
    assert door.alarms == [("fire_unknown", True)]


def test_nobody_is_shut_out_by_a_lockdown_in_a_fire() -> None:
    door = burning()
    door.do(LockDown(on=True))
    assert not closed(door.state)
    door.look(fire=False)
    door.do(Acknowledge())
    assert closed(door.state), "it holds again when the fire is over"


def test_a_hold_sends_no_leases_in_a_fire_and_goes_on_after() -> None:
    door = held()
    door.watch(1)
    leases = len(door.leases)
    door.watch(10, fire=True)
    assert len(door.leases) == leases, "the panel releases the door"
    door.look(fire=False)
    door.do(Acknowledge())
    assert len(door.leases) == leases + 1


def test_a_stuck_lock_is_no_matter_in_a_fire() -> None:
    door = burning(fitted=frozenset({Sensor.FIRE}))
    for _ in range(100):
        door.look(output_on=True)
        door.wait(0.1)
    assert door.alarms == [("fire", True)]

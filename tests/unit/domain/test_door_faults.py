"""Sensors that cannot be read, and locks that do not lock."""

import pytest

from gateway.domain.door_machine import due_ns
from gateway.domain.door_state import DoorAlarm, Lost, Phase, Tick
from gateway.domain.doors import Outcome
from gateway.domain.readings import Sensor
from tests.fakes.door_story import FITTED, MS, DoorStory, S


def test_old_readings_say_nothing() -> None:
    door = DoorStory()
    door.wait(3.0)
    assert door.state.phase is Phase.LOCKED
    door.wait(0.1)
    assert door.state.phase is Phase.UNKNOWN
    door.wait(1.0)
    assert door.alarms == [("contact_unknown", True), ("fire_unknown", True)]


def test_a_lost_link_that_comes_back_at_once_is_no_alarm() -> None:
    door = DoorStory()
    door.do(Lost())
    assert door.state.phase is Phase.UNKNOWN
    door.wait(0.5)
    door.watch(1)
    assert door.alarms == []
    assert door.state.phase is Phase.LOCKED


def test_a_leaf_that_was_shut_and_comes_back_open_was_forced() -> None:
    door = DoorStory()
    door.watch(2, contact=None)
    door.watch(2, contact=True)
    assert ("forced", True) in door.alarms
    door.watch(1, contact=False)
    assert ("forced", False) in door.alarms


def test_an_opening_in_the_dark_by_somebody_let_in_accuses_nobody() -> None:
    door = DoorStory()
    door.watch(0.5, contact=None)
    door.grant()
    door.watch(2, contact=None)
    door.watch(2, contact=True)
    assert ("forced", True) not in door.alarms
    assert door.state.phase is Phase.OPEN


def test_a_leaf_that_was_open_before_the_dark_accuses_nobody() -> None:
    door = DoorStory()
    door.grant()
    door.watch(1, contact=True)
    door.watch(10, contact=None)
    door.watch(1, contact=True)
    assert ("forced", True) not in door.alarms


def test_without_a_contact_the_phase_is_assumed_from_the_relay() -> None:
    door = DoorStory(fitted=frozenset())
    assert (door.state.phase, door.state.assumed) == (Phase.LOCKED, True)
    door.look(output_on=True)
    assert (door.state.phase, door.state.assumed) == (Phase.FAULT, True)
    door.look(output_on=None)
    assert (door.state.phase, door.state.assumed) == (Phase.UNKNOWN, True)


def test_tamper_is_told_even_in_a_fire() -> None:
    door = DoorStory()
    door.watch(0.2, tamper=True, fire=True)
    assert door.state.alarms == {DoorAlarm.TAMPER, DoorAlarm.FIRE}


@pytest.mark.parametrize("outcome", [Outcome.CONFIRMED, Outcome.AMBIGUOUS])
def test_a_relay_that_stays_on_after_its_pulse_is_stuck(outcome: Outcome) -> None:
    door = DoorStory()
    door.release()
    door.settle(outcome=outcome)
    for _ in range(59):
        door.look(output_on=True)
        door.wait(0.1)
    assert door.alarms == []
    for _ in range(3):
        door.look(output_on=True)
        door.wait(0.1)
    assert door.alarms == [("stuck", True)]
    assert door.state.phase is Phase.FAULT
    door.look(output_on=False)
    assert door.alarms == [("stuck", True), ("stuck", False)]


def test_a_bolt_that_does_not_throw_is_stuck() -> None:
    door = DoorStory(shut=False, fitted=FITTED | {Sensor.BOLT})
    door.watch(1, bolt=True)
    door.grant()
    door.watch(5.9, bolt=False)
    assert door.alarms == []
    door.watch(0.3)
    assert door.alarms == [("stuck", True)]


def test_a_bolt_has_its_time_to_throw_after_the_leaf_has_shut() -> None:
    door = DoorStory(shut=False, fitted=FITTED | {Sensor.BOLT})
    door.watch(1, bolt=True)
    door.grant()
    door.watch(10, contact=True, bolt=False)
    door.watch(1, contact=False)
    door.watch(5, bolt=True)
    assert door.alarms == []


def test_a_tick_that_is_not_due_changes_nothing_but_the_time() -> None:
    door = DoorStory()
    door.watch(1)
    door.now_ns += MS
    assert door.do(Tick()) == ()
    assert due_ns(door.config, door.state) == door.state.seen_ns + 3 * S + 1

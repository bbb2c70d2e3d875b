"""A turnstile: one grant is one token, one token is one person, and a lost link is no passage."""

import pytest

from gateway.domain.door_state import Acknowledge, Lost
from gateway.domain.doors import Outcome
from gateway.domain.readings import Sensor
from gateway.domain.turnstile import due_ns, taken, usable
from gateway.domain.turnstile_state import TurnstileAlarm, TurnstilePhase
from tests.fakes.gate_story import IN, OUT, GateStory


def test_nobody_granted_it_is_locked_and_lets_nobody_wait() -> None:
    gate = GateStory()
    assert gate.state.phase is TurnstilePhase.LOCKED
    assert due_ns(gate.config, gate.state) is None


def test_one_grant_is_one_token_and_one_person() -> None:
    gate = GateStory()
    gate.grant()
    assert gate.state.phase is TurnstilePhase.ARMED
    gate.wait(2)
    gate.walk()
    assert gate.state.phase is TurnstilePhase.LOCKED
    gate.wait(60)
    assert gate.passages == [("g", "access_taken passed")]
    assert gate.alarms == []


def test_a_token_nobody_used_expires_after_pulse_wait_and_grace() -> None:
    gate = GateStory()
    gate.grant()
    gate.wait(6.3)
    assert gate.passages == []
    gate.wait(0.001)
    assert gate.passages == [("g", "access_not_taken not_passed")]
    assert gate.state.phase is TurnstilePhase.LOCKED


def test_who_comes_after_the_token_has_expired_has_none() -> None:
    gate = GateStory()
    gate.grant()
    gate.wait(7)
    gate.walk()
    assert gate.alarms == [("forced", True)]


def test_where_no_passages_are_wired_nothing_can_tell() -> None:
    gate = GateStory(counted=frozenset({OUT}))
    gate.grant()
    gate.wait(7)
    assert gate.passages == [("g", "access_not_taken unknown")]


def test_the_wrong_way_leaves_the_token_to_its_person() -> None:
    gate = GateStory()
    gate.grant()
    gate.walk(OUT)
    assert gate.alarms == [("wrong_way", True)]
    gate.walk(IN)
    assert gate.passages == [("g", "access_taken passed")]


def test_a_second_person_close_behind_is_a_tailgate() -> None:
    gate = GateStory()
    gate.grant()
    gate.walk(people=2)
    assert gate.passages == [("g", "access_taken passed")]
    assert gate.alarms == [("tailgate", True)]


def test_a_passage_long_after_the_last_one_is_forced() -> None:
    gate = GateStory()
    gate.grant()
    gate.walk()
    gate.wait(3.1)
    gate.walk()
    assert gate.alarms == [("forced", True)]


def test_an_alarm_of_one_moment_is_shown_for_a_while() -> None:
    gate = GateStory()
    gate.walk()
    gate.wait(30)
    assert gate.state.alarms == {TurnstileAlarm.FORCED}
    gate.wait(0.1)
    assert gate.alarms == [("forced", True), ("forced", False)]


def test_the_free_input_is_said_and_stops_the_pulses_until_it_is_clear() -> None:
    gate = GateStory(fitted=frozenset({Sensor.FREE}))
    gate.look(free=True)
    assert gate.state.phase is TurnstilePhase.FREE
    assert not usable(gate.state)
    gate.walk(people=5, free=True)
    assert gate.alarms == [("free", True)], "everybody may pass"
    gate.look(free=None)
    assert gate.state.free, "what cannot be read is not clear"
    gate.look(free=False)
    assert usable(gate.state)
    assert gate.state.phase is TurnstilePhase.LOCKED


def test_a_burst_without_tokens_means_that_everybody_may_pass() -> None:
    gate = GateStory()
    for _ in range(3):
        gate.walk()
        gate.wait(1)
    assert gate.state.phase is TurnstilePhase.FREE
    assert not usable(gate.state)
    gate.do(Acknowledge())
    assert gate.state.phase is TurnstilePhase.LOCKED
    assert usable(gate.state)


def test_passages_far_apart_are_no_burst() -> None:
    gate = GateStory()
    for _ in range(5):
        gate.walk()
        gate.wait(6)
    assert not gate.state.free


def test_people_with_tokens_are_no_burst() -> None:
    gate = GateStory()
    for n in range(6):
        gate.grant(f"g{n}")
        gate.walk()
        gate.wait(0.5)
    assert not gate.state.free
    assert gate.alarms == []


def test_free_by_the_input_is_not_acknowledged_away() -> None:
    gate = GateStory(fitted=frozenset({Sensor.FREE}))
    gate.look(free=True)
    gate.do(Acknowledge())
    assert gate.state.free


def test_a_relay_that_stays_on_is_stuck_and_stops_the_pulses() -> None:
    gate = GateStory()
    gate.grant()
    gate.look(output_on=True)
    gate.wait(2.3)
    assert gate.alarms == []
    gate.wait(0.1)
    assert gate.alarms == [("stuck", True)]
    assert gate.state.phase is TurnstilePhase.FAULT
    assert not usable(gate.state)
    gate.look(output_on=False)
    assert usable(gate.state)


def test_a_token_is_in_the_way_of_the_other_side_unless_both_may() -> None:
    for both in (False, True):
        gate = GateStory(both_ways=both)
        gate.grant("one", IN)
        assert taken(gate.config, gate.state, IN)
        assert taken(gate.config, gate.state, OUT) is not both


def test_both_ways_at_once_each_passage_takes_its_own_token() -> None:
    gate = GateStory(both_ways=True)
    gate.grant("in", IN)
    gate.grant("out", OUT)
    gate.walk(OUT)
    gate.walk(IN)
    assert gate.passages == [("out", "access_taken passed"), ("in", "access_taken passed")]
    assert gate.alarms == []


@pytest.mark.parametrize("outcome", [Outcome.NOT_SENT, Outcome.REFUSED, None])
def test_a_frame_that_moved_nothing_takes_its_token_back(outcome: Outcome | None) -> None:
    gate = GateStory()
    gate.release()
    gate.settle(outcome=outcome)
    assert not taken(gate.config, gate.state, IN)
    gate.wait(60)
    assert gate.passages == []


def test_a_token_without_an_answer_waits_for_it() -> None:
    gate = GateStory()
    gate.release()
    gate.wait(60)
    assert gate.passages == []
    gate.settle()
    assert gate.passages == [("g", "access_not_taken not_passed")]


def test_somebody_who_is_quicker_than_the_answer_has_passed() -> None:
    gate = GateStory()
    gate.release()
    gate.walk()
    gate.settle()
    assert gate.passages == [("g", "access_taken passed")]
    assert gate.alarms == []


@pytest.mark.parametrize("outcome", [Outcome.NOT_SENT, Outcome.REFUSED, None])
def test_who_goes_while_a_frame_fails_was_not_let_through(outcome: Outcome | None) -> None:
    gate = GateStory()
    gate.release()
    gate.walk()
    gate.settle(outcome=outcome)
    assert gate.passages == [], "nothing was granted that moved anything"
    assert gate.alarms == [("forced", True)]


def test_two_people_before_the_answer_are_one_and_a_tailgate() -> None:
    gate = GateStory()
    gate.release()
    gate.walk(people=2)
    gate.settle()
    assert gate.passages == [("g", "access_taken passed")]
    assert gate.alarms == [("tailgate", True)]


def test_a_fire_lets_everybody_pass_until_clear_and_acknowledged() -> None:
    gate = GateStory(fitted=frozenset({Sensor.FIRE}))
    gate.look(fire=True)
    assert gate.state.phase is TurnstilePhase.FIRE
    gate.walk(people=9, fire=True)
    assert gate.alarms == [("fire", True)]
    assert usable(gate.state)
    gate.do(Acknowledge())
    assert gate.state.fire, "it still burns"
    gate.look(fire=False)
    assert gate.state.fire, "nobody has seen to it"
    gate.do(Acknowledge())
    assert gate.state.phase is TurnstilePhase.LOCKED


def test_a_counter_that_goes_back_is_no_passage() -> None:
    gate = GateStory()
    gate.counts[IN] = 7
    gate.look()
    gate.told.clear()
    gate.grant()
    gate.counts[IN] = 2
    gate.look()
    assert gate.passages == []
    gate.walk()
    assert gate.passages == [("g", "access_taken passed")], "counted from there"


@pytest.mark.parametrize("lost", [True, False])
def test_what_was_counted_over_a_lost_link_is_no_passage(*, lost: bool) -> None:
    gate = GateStory()
    gate.grant()
    if lost:
        gate.do(Lost())
    else:
        gate.counts[IN] = None
        gate.look()
    gate.wait(0.5)
    gate.counts[IN] = 5
    gate.look()
    assert gate.passages == []
    assert gate.alarms == []


def test_after_a_lost_link_nobody_is_said_for_certain_not_to_have_passed() -> None:
    gate = GateStory()
    gate.grant()
    gate.do(Lost())
    gate.wait(0.5)
    gate.look()
    gate.wait(7)
    assert gate.passages == [("g", "access_not_taken unknown")]


def test_passages_that_cannot_be_read_are_told_after_a_moment() -> None:
    gate = GateStory(fitted=frozenset({Sensor.FIRE}))
    gate.look(fire=False)
    gate.do(Lost())
    gate.wait(0.9)
    assert gate.alarms == []
    gate.wait(0.2)
    assert gate.alarms == [("fire_unknown", True), ("passages_unknown", True)]
    gate.look(fire=False)
    assert gate.state.alarms == frozenset()


def test_a_cover_that_was_opened_is_told() -> None:
    gate = GateStory(fitted=frozenset({Sensor.TAMPER}))
    gate.look(tamper=True)
    gate.look(tamper=False)
    assert gate.alarms == [("tamper", True), ("tamper", False)]


@pytest.mark.parametrize("why", ["fire", "free"])
def test_who_goes_at_the_very_look_that_sets_everybody_free_is_no_break_in(why: str) -> None:
    gate = GateStory(fitted=frozenset({Sensor(why)}))
    gate.walk(**{why: True})
    assert gate.alarms == [(why, True)]

"""The leaf and the lock: relocking, debounce, held, forced, and requests to exit."""

from gateway.domain.door_machine import due_ns
from gateway.domain.door_state import DoorAlarm, DoorState, LockDown, Phase, Relock
from gateway.domain.events import EventKind
from tests.fakes.door_story import DoorStory


def test_a_door_nobody_has_looked_at_is_unknown_and_wants_no_tick() -> None:
    door = DoorStory(shut=False)
    assert door.state.phase is Phase.UNKNOWN
    assert due_ns(door.config, DoorState()) is None


def test_shut_with_its_relay_off_is_locked() -> None:
    assert DoorStory().state.phase is Phase.LOCKED


def test_by_default_it_relocks_by_time_alone() -> None:
    door = DoorStory()
    door.grant()
    door.watch(1, contact=True)
    door.watch(4, contact=False)
    assert door.relocks == 0
    assert door.state.phase is Phase.LOCKED


def test_relock_on_open_writes_off_once_when_the_leaf_has_opened() -> None:
    door = DoorStory(relock=Relock.OPEN)
    door.grant()
    door.watch(0.5)
    assert door.relocks == 0
    door.watch(1, contact=True)
    door.watch(1, contact=False)
    assert door.relocks == 1


def test_relock_on_close_writes_off_once_when_the_leaf_is_shut_again() -> None:
    door = DoorStory(relock=Relock.CLOSE)
    door.grant()
    door.watch(1, contact=True)
    assert door.relocks == 0
    door.watch(1, contact=False)
    assert door.relocks == 1


def test_relock_on_close_writes_nothing_when_the_pulse_is_over() -> None:
    door = DoorStory(relock=Relock.CLOSE)
    door.grant()
    door.watch(3.5, contact=True)
    door.watch(1, contact=False)
    assert door.relocks == 0


def test_released_ends_with_the_pulse_to_the_moment() -> None:
    door = DoorStory()
    door.grant()
    assert door.state.phase is Phase.RELEASED
    door.wait(2.999)
    assert door.state.phase is Phase.RELEASED
    door.wait(0.001)
    assert door.state.phase is Phase.LOCKED, "not only when something else is due"


def test_bounces_are_ignored() -> None:
    door = DoorStory()
    for _ in range(5):
        door.look(contact=True)
        door.wait(0.02)
        door.look(contact=False)
        door.wait(0.02)
    door.watch(1)
    assert door.alarms == []
    assert door.state.phase is Phase.LOCKED


def test_one_look_is_no_opening_however_long_until_the_next() -> None:
    door = DoorStory()
    door.look(contact=True)
    door.wait(0.1)  # longer than the debounce: nobody has looked again
    door.watch(1, contact=False)
    assert door.alarms == []


def test_without_a_debounce_the_first_look_counts() -> None:
    door = DoorStory(debounce_ns=0)
    door.look(contact=True)
    assert door.state.phase is Phase.FORCED


def test_an_opening_began_after_the_look_before_it() -> None:
    door = DoorStory()
    door.release()
    door.settle()
    door.watch(3.9)
    door.wait(0.2)  # the pulse and its slack end in here, and so may the opening have begun
    door.watch(0.5, contact=True)
    assert door.passages == ["access_taken opened"]
    assert door.alarms == []


def test_held_warns_and_then_alarms_and_is_over_when_shut() -> None:
    door = DoorStory()
    door.grant()
    door.watch(14.5, contact=True)
    assert door.state.phase is Phase.OPEN
    door.watch(1)
    assert door.state.phase is Phase.HELD_WARNING
    door.watch(15)
    assert door.state.phase is Phase.HELD_ALARM
    door.watch(1, contact=False)
    assert door.alarms == [
        ("held_warning", True),
        ("held", True),
        ("held_warning", False),
        ("held", False),
    ]
    assert door.state.phase is Phase.LOCKED


def test_held_comes_later_for_somebody_who_needs_longer() -> None:
    door = DoorStory()
    door.grant(extended=True)
    door.watch(44, contact=True)
    assert door.alarms == []
    door.watch(2)
    assert door.alarms == [("held_warning", True)]


def test_the_next_opening_is_not_extended_any_more() -> None:
    door = DoorStory()
    door.grant("slow", extended=True)
    door.watch(1, contact=True)
    door.watch(8, contact=False)
    door.grant("quick")
    door.watch(16, contact=True)
    assert ("held_warning", True) in door.alarms


def test_a_short_loss_of_the_link_does_not_start_the_time_anew() -> None:
    door = DoorStory()
    door.grant()
    for _ in range(4):
        door.watch(10, contact=True)
        door.watch(0.3, contact=None)
    door.watch(0.2, contact=True)
    assert ("held", True) in door.alarms


def test_after_a_long_loss_nobody_knows_since_when_it_is_open() -> None:
    door = DoorStory()
    door.grant()
    door.watch(10, contact=True)
    door.watch(10, contact=None)
    door.watch(10, contact=True)
    assert door.alarms == [("contact_unknown", True), ("contact_unknown", False)]


def test_forced_is_raised_once_and_stands_until_shut() -> None:
    door = DoorStory()
    door.watch(60, contact=True)
    assert door.alarms == [("forced", True)], "and no held beside it"
    assert door.state.phase is Phase.FORCED
    door.grant()
    assert door.state.phase is Phase.FORCED, "a grant afterwards does not make it good"
    door.watch(0.5, contact=False)
    assert door.alarms == [("forced", True), ("forced", False)]


def test_forced_is_over_when_it_was_shut_in_the_dark() -> None:
    door = DoorStory()
    door.watch(1, contact=True)
    door.watch(0.3, contact=None)
    door.watch(1, contact=False)
    assert door.alarms == [("forced", True), ("forced", False)]


def test_forced_stands_when_it_is_still_open_after_the_dark() -> None:
    door = DoorStory()
    door.watch(1, contact=True)
    door.watch(0.3, contact=None)
    door.watch(1, contact=True)
    assert DoorAlarm.FORCED in door.state.alarms
    assert door.alarms.count(("forced", True)) == 1


def test_a_request_to_exit_is_no_break_in_and_on_record_once() -> None:
    door = DoorStory()
    door.watch(0.5, rex=True)
    door.watch(9, rex=False)
    door.watch(1, contact=True)
    assert door.alarms == []
    assert len(door.notices(EventKind.DOOR_REQUEST)) == 1
    assert door.leases == [], "it only keeps the alarm quiet"


def test_a_press_between_two_looks_counts_as_one() -> None:
    door = DoorStory()
    door.presses += 1
    door.watch(1, rex=False)
    door.watch(1, contact=True)
    assert door.alarms == []
    assert len(door.notices(EventKind.DOOR_REQUEST)) == 1


def test_a_request_to_exit_is_too_old_in_the_end() -> None:
    door = DoorStory()
    door.watch(0.5, rex=True)
    door.watch(11, rex=False)
    door.watch(1, contact=True)
    assert door.alarms == [("forced", True)]


def test_a_request_that_unlocks_does_so_in_lockdown_and_in_a_fire() -> None:
    for fire in (False, True):
        door = DoorStory(rex_unlocks=True)
        door.look(fire=fire)
        door.do(LockDown(on=True))
        door.watch(0.5, rex=True)
        assert door.leases == ["rex"]


def test_each_press_unlocks_once() -> None:
    door = DoorStory(rex_unlocks=True)
    for _ in range(3):
        door.presses += 1
        door.watch(0.3, rex=True)
        door.watch(0.3, rex=False)
    assert door.leases == ["rex"] * 3

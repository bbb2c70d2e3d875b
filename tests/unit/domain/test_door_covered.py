"""Openings that no grant waits for and that are no break-in, and relocks that would cut somebody off."""

from gateway.domain.door_state import EndHold, HoldOpen, Relock
from tests.fakes.door_story import DoorStory, S


def hold(door: DoorStory, seconds: float) -> None:
    door.do(HoldOpen(order_id="h", until_ns=door.now_ns + round(seconds * S)))


def test_a_second_opening_in_one_pulse_is_no_break_in() -> None:
    door = DoorStory()
    door.grant()
    door.watch(0.5, contact=True)
    door.watch(0.5, contact=False)
    door.watch(0.5, contact=True)
    assert ("forced", True) not in door.alarms


def test_a_second_opening_after_the_pulse_is_one() -> None:
    door = DoorStory()
    door.grant()
    door.watch(0.5, contact=True)
    door.watch(5, contact=False)
    door.watch(0.5, contact=True)
    assert ("forced", True) in door.alarms


def test_a_second_opening_after_the_relock_is_one() -> None:
    for relock in (Relock.OPEN, Relock.CLOSE):
        door = DoorStory(relock=relock)
        door.grant()
        door.watch(0.5, contact=True)
        door.watch(0.3, contact=False)
        assert door.relocks == 1
        door.watch(0.5, contact=True)
        assert ("forced", True) in door.alarms, relock


def test_an_opening_as_a_hold_ends_is_no_break_in() -> None:
    door = DoorStory()
    hold(door, 60)
    door.watch(2)
    door.look(contact=True)
    door.do(EndHold())
    door.watch(0.5, contact=True)
    assert ("forced", True) not in door.alarms


def test_a_relock_does_not_cut_off_the_next_person() -> None:
    door = DoorStory(relock=Relock.CLOSE)
    door.grant("first")
    door.watch(0.5, contact=True)
    door.release("second")
    door.watch(0.5, contact=False)
    assert door.relocks == 0


def test_a_relock_does_not_cut_off_who_asked_to_leave() -> None:
    door = DoorStory(relock=Relock.CLOSE, rex_unlocks=True)
    door.grant()
    door.watch(0.5, contact=True)
    door.look(rex=True)
    door.watch(0.5, contact=False, rex=False)
    assert door.relocks == 0


def test_a_button_that_was_lost_while_it_was_held_is_pressed_once() -> None:
    door = DoorStory(rex_unlocks=True)
    door.watch(0.3, rex=True)
    before = len(door.told)
    for _ in range(3):
        door.watch(0.3, rex=None)
        door.watch(0.3, rex=True)
    assert [e for _, e in door.told[before:] if type(e).__name__ == "Renew"] == []
    door.watch(0.3, rex=False)
    door.watch(0.3, rex=True)
    assert len([e for _, e in door.told[before:] if type(e).__name__ == "Renew"]) == 1


def test_a_button_pressed_in_the_dark_and_still_held_lets_out() -> None:
    door = DoorStory(rex_unlocks=True)
    door.watch(0.3, rex=None)
    before = len(door.told)
    door.watch(0.3, rex=True)
    assert "Renew" in [type(e).__name__ for _, e in door.told[before:]]

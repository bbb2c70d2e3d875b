"""One verdict for each grant: taken, not taken, or honestly unknown."""

import pytest

from gateway.domain.door_state import Lost
from gateway.domain.doors import Outcome
from gateway.domain.events import EventKind
from tests.fakes.door_story import PASSAGES, DoorStory


def test_an_opening_by_the_contact_is_taken() -> None:
    door = DoorStory()
    door.grant()
    door.watch(1)
    door.watch(1, contact=True)
    door.watch(10, contact=False)
    assert door.passages == ["access_taken opened"]
    assert door.alarms == []


def test_a_leaf_that_stays_shut_is_not_taken_and_not_said_too_early() -> None:
    door = DoorStory()
    door.grant()
    door.watch(4)
    assert door.passages == [], "the pulse and its slack"
    door.watch(0.3)
    assert door.passages == ["access_not_taken not_opened"]


def test_a_longer_pulse_leaves_more_time() -> None:
    door = DoorStory()
    door.grant(extended=True)
    door.watch(6.5)
    assert door.passages == []
    door.watch(1, contact=True)
    assert door.passages == ["access_taken opened"]


def test_no_verdict_before_the_frame_has_left() -> None:
    door = DoorStory()
    door.release()
    door.watch(1, contact=True)
    assert door.passages == []
    door.settle()
    assert door.passages == ["access_taken opened"]


@pytest.mark.parametrize("outcome", [Outcome.NOT_SENT, Outcome.REFUSED, None])
def test_a_frame_that_moved_nothing_has_no_verdict(outcome: Outcome | None) -> None:
    door = DoorStory()
    door.release()
    door.settle(outcome=outcome)
    door.watch(10)
    assert door.passages == []


@pytest.mark.parametrize("outcome", [Outcome.CONFIRMED, Outcome.SENT, Outcome.AMBIGUOUS])
def test_a_frame_that_may_have_moved_it_has_one(outcome: Outcome) -> None:
    door = DoorStory()
    door.release()
    door.settle(outcome=outcome)
    door.watch(10)
    assert door.passages == ["access_not_taken not_opened"]


def test_a_grant_while_the_leaf_is_open_says_so() -> None:
    door = DoorStory()
    door.grant("first")
    door.watch(1, contact=True)
    door.grant("second")
    assert door.passages == ["access_taken opened", "access_taken already_open"]


def test_a_leaf_that_shut_before_the_frame_had_left_tells_nothing() -> None:
    door = DoorStory()
    door.grant("first")
    door.watch(1, contact=True)
    door.release("second")
    door.watch(0.3, contact=False)
    door.settle("second")
    door.watch(6)
    assert door.passages[1:] == ["access_not_taken unknown"]


def test_two_grants_for_one_opening_share_it() -> None:
    door = DoorStory()
    door.grant("first")
    door.grant("second")
    door.watch(1, contact=True)
    found = door.notices(*PASSAGES)
    assert [(n.grant_id, n.kind) for n in found] == [
        ("first", EventKind.ACCESS_TAKEN),
        ("second", EventKind.ACCESS_TAKEN),
    ]
    assert all(n.data["shared"] for n in found)


def test_a_grant_alone_shares_with_nobody() -> None:
    door = DoorStory()
    door.grant()
    door.watch(1, contact=True)
    assert "shared" not in door.notices(*PASSAGES)[0].data


def test_without_a_contact_nothing_can_tell() -> None:
    door = DoorStory(fitted=frozenset())
    door.grant()
    door.watch(6)
    assert door.passages == ["access_not_taken unknown"]


def test_a_lost_contact_cannot_tell() -> None:
    door = DoorStory()
    door.grant()
    door.watch(6, contact=None)
    assert door.passages == ["access_not_taken unknown"]


def test_a_contact_that_was_lost_within_the_time_cannot_tell_either() -> None:
    door = DoorStory()
    door.grant()
    door.watch(1)
    door.watch(1, contact=None)
    door.watch(6, contact=False)
    assert door.passages == ["access_not_taken unknown"], "it may have been opened and shut in the dark"


def test_lost_sensors_cannot_tell_though_they_come_back() -> None:
    door = DoorStory()
    door.grant()
    door.do(Lost())
    door.wait(0.5)
    door.watch(6)
    assert door.passages == ["access_not_taken unknown"]


def test_no_readings_at_all_end_in_unknown() -> None:
    door = DoorStory()
    door.grant()
    door.wait(20)
    assert door.passages == ["access_not_taken unknown"]


def test_an_opening_after_the_dark_is_taken() -> None:
    door = DoorStory()
    door.grant()
    door.watch(0.5, contact=None)
    door.watch(0.5, contact=False)
    door.watch(1, contact=True)
    assert door.passages == ["access_taken opened"]


def test_each_grant_has_its_own_verdict() -> None:
    door = DoorStory()
    door.grant("goes")
    door.watch(1, contact=True)
    door.watch(1, contact=False)
    door.grant("stays")
    door.watch(6)
    assert [(n.grant_id, n.data["passage"]) for n in door.notices(*PASSAGES)] == [
        ("goes", "opened"),
        ("stays", "not_opened"),
    ]


def test_an_answer_about_a_grant_nobody_knows_changes_nothing() -> None:
    door = DoorStory()
    before = door.state
    door.settle("somebody else's")
    assert door.state == before

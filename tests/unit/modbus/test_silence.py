"""Silence of one unit, and of the link; and replies that may still come."""

from drivers.modbus.late import LateReplies
from drivers.modbus.silence import Silence

S = 1_000_000_000


def test_an_only_unit_that_is_silent_means_a_dead_link() -> None:
    silence = Silence()
    silence.asked(1)
    assert silence.timed_out(1, 0)


def test_a_silent_unit_among_others_does_not_until_all_are_silent() -> None:
    silence = Silence()
    for unit in (1, 2, 3):
        silence.asked(unit)
    assert not silence.timed_out(1, 0)
    assert not silence.timed_out(1, 0)
    assert not silence.timed_out(2, 0)
    silence.answered(2)
    assert not silence.timed_out(3, 0)
    assert silence.timed_out(2, 0)


def test_a_new_link_forgets_who_was_silent_but_not_who_there_is() -> None:
    silence = Silence()
    silence.asked(1)
    silence.asked(2)
    silence.timed_out(1, 0)
    silence.new_link()
    assert not silence.timed_out(2, 0)


def test_polls_of_a_silent_unit_are_held_back_ever_longer_and_never_for_good() -> None:
    silence = Silence()
    now, holds = 0, []
    for _ in range(8):
        silence.timed_out(1, now)
        why = silence.why_not(1, now)
        left = 0
        while silence.why_not(1, now + left) is not None:
            left += S // 10
        holds.append(left / S)
        now += left
        assert (why is None) == (left == 0)
    assert holds == [0, 0.5, 1, 2, 4, 4, 4, 4]
    assert silence.why_not(2, now) is None
    silence.answered(1)
    silence.timed_out(1, now)
    assert silence.why_not(1, now) is None


def test_a_new_link_lets_everybody_be_asked_once() -> None:
    silence = Silence()
    silence.timed_out(1, 0)
    silence.timed_out(1, 0)
    assert "unit 1 is silent; next try in 0.5 s" in (silence.why_not(1, 0) or "")
    silence.new_link()
    assert silence.why_not(1, 0) is None
    silence.timed_out(1, 0)
    assert "1.0 s" in (silence.why_not(1, 0) or "")


def test_who_answered_last_is_known() -> None:
    silence = Silence()
    assert not silence.answers(1)
    assert not silence.missing(1)
    silence.answered(1)
    assert silence.answers(1)
    silence.timed_out(1, 0)
    assert not silence.answers(1)
    assert silence.missing(1)


def test_a_late_reply_holds_back_only_requests_it_could_answer() -> None:
    late = LateReplies(timeout_s=0.3)
    late.missed(3, 1, 0)
    assert "unit 3" in (late.why_not(3, 1, 0) or "")
    assert late.why_not(3, 5, 0) is None
    assert late.why_not(4, 1, 0) is None
    assert late.why_not(3, 1, S - 1) is not None
    assert late.why_not(3, 1, S) is None


def test_the_window_grows_with_the_time_out() -> None:
    late = LateReplies(timeout_s=2)
    late.missed(3, 1, 0)
    assert late.why_not(3, 1, 4 * S - 1) is not None
    assert late.why_not(3, 1, 4 * S) is None


def test_a_late_reply_comes_once() -> None:
    late = LateReplies(timeout_s=0.3)
    late.missed(3, 1, 0)
    assert late.came(3, 1)
    assert not late.came(3, 1)
    assert late.why_not(3, 1, 0) is None


def test_a_unit_that_answers_something_later_has_nothing_left_to_say() -> None:
    late = LateReplies(timeout_s=0.3)
    late.missed(3, 1, 0)
    late.missed(3, 5, 0)
    late.missed(4, 1, 0)
    late.answered(3)
    assert late.why_not(3, 1, 0) is None
    assert late.why_not(3, 5, 0) is None
    assert late.why_not(4, 1, 0) is not None

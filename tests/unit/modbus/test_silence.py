"""Silence of one unit, and of the link."""

from drivers.modbus.silence import Silence


def test_an_only_unit_that_is_silent_means_a_dead_link() -> None:
    silence = Silence()
    silence.asked(1)
    assert silence.timed_out(1)


def test_a_silent_unit_among_others_does_not_until_all_are_silent() -> None:
    silence = Silence()
    for unit in (1, 2, 3):
        silence.asked(unit)
    assert not silence.timed_out(1)
    assert not silence.timed_out(1)
    assert not silence.timed_out(2)
    silence.answered(2)
    assert not silence.timed_out(3)
    assert silence.timed_out(2)


def test_a_new_link_forgets_who_was_silent_but_not_who_there_is() -> None:
    silence = Silence()
    silence.asked(1)
    silence.asked(2)
    silence.timed_out(1)
    silence.new_link()
    assert not silence.timed_out(2)

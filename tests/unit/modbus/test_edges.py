"""Edges are counted once each, whatever counts them: never less than before, never a wild number."""

from hypothesis import given
from hypothesis import strategies as st

from drivers.modbus.edges import Edges

STEP_NS = 100_000_000
WORD = 1 << 16


def test_by_looking_each_change_between_two_looks_is_one_edge() -> None:
    edges = Edges()
    for i, state in enumerate([True, False, False, True, True, False]):
        edges.take(state, i * STEP_NS)
    assert (edges.rises, edges.falls) == (1, 2)


def test_what_was_before_the_first_look_is_nobodys_edge() -> None:
    edges = Edges()
    edges.take(True, 0, counter=(500, WORD))
    assert (edges.rises, edges.falls) == (0, 0)
    latched = Edges()
    latched.take(False, 0, high=True, low=True)
    assert (latched.rises, latched.falls) == (0, 0)


def test_a_counter_sees_what_happened_between_two_looks() -> None:
    edges = Edges()
    edges.take(False, 0, counter=(7, WORD))
    edges.take(False, STEP_NS, counter=(10, WORD))
    edges.take(True, 2 * STEP_NS, counter=(11, WORD))
    assert (edges.rises, edges.falls) == (4, 3)


def test_a_counter_wraps() -> None:
    edges = Edges()
    edges.take(False, 0, counter=(65_534, WORD))
    edges.take(False, STEP_NS, counter=(1, WORD))
    assert (edges.rises, edges.resets) == (3, 0)


def test_a_counter_that_was_reset_says_so_and_counts_no_more_than_was_seen() -> None:
    edges = Edges()
    edges.take(False, 0, counter=(40_000, WORD))
    edges.take(False, STEP_NS, counter=(40_002, WORD))
    edges.take(True, 2 * STEP_NS, counter=(0, WORD))
    assert (edges.rises, edges.resets) == (3, 1)
    edges.take(False, 3 * STEP_NS, counter=(1, WORD))
    assert (edges.rises, edges.resets) == (4, 1)


def test_after_a_long_gap_a_counter_may_have_counted_more() -> None:
    edges = Edges()
    edges.take(False, 0, counter=(0, WORD))
    edges.take(False, 60 * 10**9, counter=(300, WORD))
    assert (edges.rises, edges.resets) == (300, 0)


def test_a_latch_remembers_a_pulse_between_two_looks_once() -> None:
    edges = Edges()
    edges.take(False, 0, high=False, low=False)
    edges.take(False, STEP_NS, high=True, low=True)
    edges.cleared()
    edges.take(False, 2 * STEP_NS, high=False, low=False)
    assert (edges.rises, edges.falls) == (1, 1)


def test_a_latch_that_could_not_be_cleared_is_counted_once() -> None:
    edges = Edges()
    edges.take(False, 0, high=False)
    for i in range(1, 5):
        edges.take(False, i * STEP_NS, high=True)
    assert edges.rises == 1


def test_an_edge_between_the_latches_read_and_the_states_is_counted_once() -> None:
    edges = Edges()
    edges.take(False, 0, high=False, low=False)
    edges.take(True, STEP_NS, high=False, low=False)  # the state is read after the latch
    edges.take(True, 2 * STEP_NS, high=True, low=False)
    edges.cleared()
    edges.take(False, 3 * STEP_NS, high=False, low=True)
    assert (edges.rises, edges.falls) == (1, 1)


def test_an_edge_that_another_inputs_clearing_wiped_is_still_seen_in_the_state() -> None:
    edges = Edges()
    edges.take(False, 0, high=False)
    edges.take(False, STEP_NS, high=False)
    edges.cleared()  # because of the other input; meanwhile this one went on
    edges.take(True, 2 * STEP_NS, high=False)
    edges.take(True, 3 * STEP_NS, high=False)
    edges.take(False, 4 * STEP_NS, high=False)
    edges.take(False, 5 * STEP_NS, high=True)  # a new pulse between two looks
    assert edges.rises == 2


@given(st.lists(st.tuples(st.booleans(), st.integers(0, WORD - 1)), max_size=30))
def test_whatever_a_counter_says_counts_never_fall_nor_jump(looks: list[tuple[bool, int]]) -> None:
    edges = Edges()
    before = (0, 0)
    for i, (state, value) in enumerate(looks):
        edges.take(state, i * STEP_NS, counter=(value, WORD))
        now = (edges.rises, edges.falls)
        assert 0 <= now[0] - before[0] <= 20
        assert 0 <= now[1] - before[1] <= 21
        before = now


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.lists(st.integers(0, 40), max_size=10))
def test_latches_and_states_that_tell_the_truth_never_count_an_edge_twice(
    levels: list[bool], looks: list[int]
) -> None:
    """A device with one input, looked at now and then; an edge may be merged with another, never doubled."""
    edges, high, low = Edges(), False, False
    edges.take(levels[0], 0, high=False, low=False)
    rises = falls = 0
    for i, level in enumerate(levels[1:], 1):
        before = levels[i - 1]
        rises, falls = rises + (level and not before), falls + (before and not level)
        high, low = high or (level and not before), low or (before and not level)
        if i in looks:
            edges.take(level, i * STEP_NS, high=high, low=low)
            if high or low:
                edges.cleared()
                high = low = False
        assert edges.rises <= rises
        assert edges.falls <= falls
    edges.take(levels[-1], len(levels) * STEP_NS, high=high, low=low)
    assert edges.rises <= rises
    assert (edges.rises > 0) == (rises > 0)
    assert (edges.falls > 0) == (falls > 0)

"""The chain: no single edit, deletion, swap or doubling of what it holds goes unseen."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.events import GENESIS, link, verify_chain
from tests.fakes.drafts import chained

Row = tuple[int, bytes, bytes, bytes]

WHOLE: list[Row] = [(e.seq, body, e.prev_hash, e.hash) for e, body in chained(12)]

places = st.integers(0, len(WHOLE) - 1)


def flipped(data: bytes, bit: int) -> bytes:
    at = bit % (len(data) * 8)
    changed = bytearray(data)
    changed[at // 8] ^= 1 << at % 8
    return bytes(changed)


def test_a_whole_chain_and_an_empty_one_hold() -> None:
    assert verify_chain(WHOLE) is None
    assert verify_chain([]) is None


@given(place=places, column=st.integers(1, 3), bit=st.integers(0, 1 << 16))
def test_one_changed_bit_anywhere_is_found_where_it_is(place: int, column: int, bit: int) -> None:
    row: list[Any] = list(WHOLE[place])
    row[column] = flipped(row[column], bit)
    fault = verify_chain([*WHOLE[:place], (row[0], row[1], row[2], row[3]), *WHOLE[place + 1 :]])
    assert fault is not None
    assert fault.seq == WHOLE[place][0]


@given(place=places, number=st.integers(-2, 40))
def test_a_changed_number_is_found(place: int, number: int) -> None:
    rows = list(WHOLE)
    rows[place] = (number, *rows[place][1:])
    assert (verify_chain(rows) is None) == (number == WHOLE[place][0])


@given(first=st.integers(0, len(WHOLE) - 2), count=st.integers(1, len(WHOLE)))
def test_a_deletion_inside_is_found_at_the_first_that_is_gone(first: int, count: int) -> None:
    count = min(count, len(WHOLE) - 1 - first)
    fault = verify_chain(WHOLE[:first] + WHOLE[first + count :])
    assert fault is not None
    assert fault.seq == first + 1
    assert "missing" in fault.reason


@given(keep=st.integers(0, len(WHOLE) - 1))
def test_a_cut_off_end_is_seen_only_from_the_head_known_elsewhere(keep: int) -> None:
    """What is left is a whole chain: that is why heads are kept outside of it, too."""
    left = WHOLE[:keep]
    assert verify_chain(left) is None
    assert (left[-1][3] if left else GENESIS) != WHOLE[-1][3]


def renumbered(rows: list[Row]) -> list[Row]:
    return [(n, *row[1:]) for n, row in enumerate(rows, 1)]


def as_it_is(rows: list[Row]) -> list[Row]:
    return rows


@pytest.mark.parametrize("then", [as_it_is, renumbered])
@given(one=places, other=places)
def test_two_swapped_are_found(then: Callable[[list[Row]], list[Row]], one: int, other: int) -> None:
    rows = list(WHOLE)
    rows[one], rows[other] = rows[other], rows[one]
    assert (verify_chain(then(rows)) is None) == (one == other)


@pytest.mark.parametrize("then", [as_it_is, renumbered])
@given(place=places, at=st.integers(0, len(WHOLE)))
def test_one_twice_is_found(then: Callable[[list[Row]], list[Row]], place: int, at: int) -> None:
    assert verify_chain(then([*WHOLE[:at], WHOLE[place], *WHOLE[at:]])) is not None


@given(place=places, body=st.binary(max_size=64))
def test_an_edit_with_a_fitting_hash_breaks_the_link_after_it(place: int, body: bytes) -> None:
    rows = list(WHOLE)
    seq, _, prev, _ = rows[place]
    rows[place] = (seq, body, prev, link(prev, body))
    fault = verify_chain(rows)
    if place == len(WHOLE) - 1:
        assert fault is None  # nothing follows it: only the head known elsewhere tells
        assert rows[place][3] != WHOLE[-1][3]
    else:
        assert fault is not None
        assert fault.seq == seq + 1

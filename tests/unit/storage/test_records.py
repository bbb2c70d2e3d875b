"""Drafts before they are stored, and rows after."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.errors import InvalidInput, InvariantBroken
from gateway.domain.events import Event, canonical, link
from gateway.domain.ids import EventId
from gateway.storage.records import LONGEST_DATA, checked, parse
from tests.fakes.drafts import GATEWAY, draft, intent, new_grant

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("abc\0é", max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)


def stored(data: dict, grant: str | None = None) -> tuple[Event, bytes]:
    facts = checked(intent(grant, data=data) if grant else draft(data=data))
    body = canonical(GATEWAY, 1, EventId("e"), facts)
    return (
        Event(
            gateway_id=GATEWAY,
            seq=1,
            event_id=EventId("e"),
            draft=facts,
            prev_hash=bytes(32),
            hash=link(bytes(32), body),
        ),
        body,
    )


@given(st.dictionaries(st.text("abc", max_size=5), plain, max_size=4))
def test_what_is_json_comes_back_as_it_was(data: dict) -> None:
    event, body = stored(data, new_grant())
    again = parse((1, body, event.prev_hash, event.hash))
    assert again == event
    assert again.draft.data == data


@given(st.text(max_size=40))
def test_any_text_can_be_stored(text: str) -> None:
    event, body = stored({"text": text})
    kept = parse((1, body, b"", b"")).draft.data["text"]
    assert kept == event.draft.data["text"]
    assert kept == text or "?" in str(kept)


class _Odd:
    pass


@pytest.mark.parametrize(
    "bad",
    [
        math.nan,
        math.inf,
        -math.inf,
        b"x",
        (1,),
        {1: 2},
        {None: 1},
        {1, 2},
        _Odd(),
        [[math.nan]],
        {"a": {2: 3}},
    ],
    ids=lambda bad: type(bad).__name__,
)
def test_what_is_not_json_is_refused(bad: object) -> None:
    with pytest.raises(InvalidInput):
        checked(draft(data={"x": bad}))


def test_what_contains_itself_is_refused() -> None:
    ring: list = []
    ring.append(ring)
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    for bad in (ring, deep):
        with pytest.raises(InvalidInput):
            checked(draft(data={"x": bad}))


def test_a_picture_is_too_long() -> None:
    checked(draft(data={"x": "y" * (LONGEST_DATA - 100)}))
    with pytest.raises(InvalidInput):
        checked(draft(data={"x": "y" * LONGEST_DATA}))


@pytest.mark.parametrize(
    "body",
    [b"", b"\xff", b"[]", b"{}", b'{"kind": "door_state"}'],
    ids=repr,
)
def test_bytes_that_are_no_event_are_told(body: bytes) -> None:
    with pytest.raises(InvariantBroken) as broken:
        parse((7, body, b"", b""))
    assert "event 7" in str(broken.value)


def test_an_event_of_a_newer_version_is_told() -> None:
    _, body = stored({})
    newer = json.loads(body) | {"kind": "something_new"}
    with pytest.raises(InvariantBroken, match="newer Facegate"):
        parse((1, json.dumps(newer).encode(), b"", b""))

"""A mantrap: at most one of its doors is in use, and what is not known is not shut."""

from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.ids import DoorId, GrantId
from gateway.domain.interlock import Interlock, Secure

NAMES = tuple(DoorId(name) for name in ("inner", "middle", "outer"))
INNER, MIDDLE, OUTER = NAMES
RESERVE_NS, FRESH_NS = 100, 10
NOW_NS = 1_000
SHUT = Secure(shut=True, output_off=True, seen_ns=NOW_NS)
ALL_SHUT = dict.fromkeys(NAMES, SHUT)


def trap() -> Interlock:
    return Interlock(doors=frozenset(NAMES), reserve_ns=RESERVE_NS, fresh_ns=FRESH_NS)


def looks_at(now_ns: int, **changes: Secure) -> dict[DoorId, Secure]:
    seen = {**ALL_SHUT, **{DoorId(name): look for name, look in changes.items()}}
    return {name: replace(look, seen_ns=now_ns) for name, look in seen.items()}


def in_use(door: DoorId = OUTER) -> Interlock:
    return trap().reserve(door, GrantId("g"), ALL_SHUT, NOW_NS)


def test_one_door_may_be_used_when_the_others_are_shut_and_locked() -> None:
    asked = in_use()
    assert asked.why == ""
    assert asked.reserved is not None
    assert asked.reserved.door_id == OUTER


def test_another_door_may_not_while_one_is_in_use() -> None:
    asked = in_use().reserve(INNER, GrantId("h"), ALL_SHUT, NOW_NS)
    assert asked.why == "outer is in use"
    assert asked.reserved == in_use().reserved, "it keeps its place"


def test_the_door_in_use_may_be_used_by_the_next_person_too() -> None:
    asked = in_use().reserve(OUTER, GrantId("h"), ALL_SHUT, NOW_NS + 5)
    assert asked.why == ""
    assert asked.reserved is not None
    assert asked.reserved.grant_id == "h"


@pytest.mark.parametrize(
    "look",
    [
        replace(SHUT, shut=False),
        replace(SHUT, shut=None),
        replace(SHUT, output_off=False),
        replace(SHUT, output_off=None),
        replace(SHUT, seen_ns=None),
        replace(SHUT, seen_ns=NOW_NS - FRESH_NS - 1),
    ],
    ids=["open", "contact unknown", "released", "relay unknown", "never seen", "seen too long ago"],
)
def test_another_door_that_is_not_proven_shut_and_locked_stands_against_it(look: Secure) -> None:
    asked = trap().reserve(OUTER, GrantId("g"), {**ALL_SHUT, INNER: look}, NOW_NS)
    assert asked.why == "inner is not proven shut and locked"
    assert asked.reserved is None


def test_another_door_nobody_can_look_at_stands_against_it() -> None:
    asked = trap().reserve(OUTER, GrantId("g"), {OUTER: SHUT, MIDDLE: SHUT}, NOW_NS)
    assert asked.why == "inner is not proven shut and locked"


def test_its_own_state_does_not() -> None:
    unknown = Secure(shut=None, output_off=None, seen_ns=None)
    assert trap().reserve(OUTER, GrantId("g"), {**ALL_SHUT, OUTER: unknown}, NOW_NS).why == ""


def test_a_fire_at_any_door_opens_every_door_and_takes_no_place() -> None:
    burning = {**ALL_SHUT, INNER: Secure(shut=False, output_off=None, seen_ns=None, fire=True)}
    asked = in_use().reserve(MIDDLE, GrantId("h"), burning, NOW_NS)
    assert asked.why == ""
    assert asked.reserved == in_use().reserved


def test_the_place_is_free_when_the_door_was_opened_and_is_shut_again() -> None:
    opened = in_use().settle(looks_at(NOW_NS + 5, outer=replace(SHUT, shut=False)), NOW_NS + 5)
    assert opened.reserved is not None
    assert opened.reserved.opened
    shut = opened.settle(looks_at(NOW_NS + 9), NOW_NS + 9)
    assert shut.reserved is None


def test_the_place_is_kept_while_the_door_is_open_however_long() -> None:
    late_ns = NOW_NS + 100 * RESERVE_NS
    asked = in_use().settle(looks_at(late_ns, outer=replace(SHUT, shut=False)), late_ns)
    assert asked.reserved is not None


def test_the_place_is_kept_until_nobody_has_used_it_in_time() -> None:
    in_time, late = NOW_NS + RESERVE_NS, NOW_NS + RESERVE_NS + 1
    assert in_use().settle(looks_at(in_time), in_time).reserved is not None
    assert in_use().settle(looks_at(late), late).reserved is None


@pytest.mark.parametrize(
    "look", [replace(SHUT, shut=None), replace(SHUT, output_off=False), replace(SHUT, output_off=None)]
)
def test_the_place_is_kept_while_the_door_is_not_proven_shut_and_locked(look: Secure) -> None:
    late_ns = NOW_NS + 100 * RESERVE_NS
    assert in_use().settle(looks_at(late_ns, outer=look), late_ns).reserved is not None
    assert in_use().settle({}, late_ns).reserved is not None


def test_a_frame_that_never_left_gives_its_own_place_back() -> None:
    assert in_use().release(GrantId("g")).reserved is None
    assert in_use().release(GrantId("another")).reserved == in_use().reserved


@dataclass(frozen=True)
class Deed:
    """What is done at one of the doors."""

    what: str
    door: DoorId
    after_ns: int


DEEDS = st.lists(
    st.builds(
        Deed,
        st.sampled_from(
            ["ask", "ask", "ask", "open", "shut", "lock", "blind", "look", "unsent", "fire", "no fire"]
        ),
        st.sampled_from(NAMES),
        st.sampled_from([0, 1, 5, 11, 60, 101]),
    ),
    max_size=40,
)


class Mantrap:
    """What is true of the doors, beside what is known: the group may only know what it is shown."""

    def __init__(self) -> None:
        self.group, self.now_ns, self.grants = trap(), NOW_NS, 0
        self.known = dict(ALL_SHUT)
        self.released: set[DoorId] = set()
        self.ajar: set[DoorId] = set()

    @property
    def burning(self) -> bool:
        return any(look.fire for look in self.known.values())

    def look(self, door: DoorId) -> None:
        self.known[door] = replace(
            self.known[door],
            shut=door not in self.ajar,
            output_off=door not in self.released,
            seen_ns=self.now_ns,
        )
        self.group = self.group.settle(self.known, self.now_ns)

    def ask(self, door: DoorId) -> None:
        before, self.grants = self.group, self.grants + 1
        asked = before.reserve(door, GrantId(f"g{self.grants}"), self.known, self.now_ns)
        if asked.why:
            return
        self.group = asked
        if self.burning:
            return
        others = [self.known[name] for name in NAMES if name != door]
        assert all(look.proven(self.now_ns, FRESH_NS) for look in others), "stale or unknown means no"
        assert not {*self.ajar, *self.released} - {door}, "another one is open, or about to be"
        assert asked.reserved is not None
        assert asked.reserved.door_id == door
        self.released.add(door)
        self.look(door)

    def do(self, deed: Deed) -> None:
        self.now_ns += deed.after_ns
        door = deed.door
        match deed.what:
            case "ask":
                self.ask(door)
            case "open" if door in self.released:
                self.ajar.add(door)
                self.look(door)
            case "shut":
                self.ajar.discard(door)
            case "lock":
                self.released.discard(door)
            case "blind":
                self.known[door] = replace(self.known[door], shut=None, output_off=None, seen_ns=None)
            case "look":
                for name in NAMES:
                    self.look(name)
            case "unsent" if door in self.released - self.ajar and self.group.reserved is not None:
                self.released.discard(door)
                self.group = self.group.release(self.group.reserved.grant_id)
            case "fire" | "no fire":
                self.known[door] = replace(self.known[door], fire=deed.what == "fire")


@given(DEEDS)
@settings(max_examples=500, deadline=None)
def test_at_most_one_door_is_open_or_about_to_be(deeds: list[Deed]) -> None:
    mantrap = Mantrap()
    for deed in deeds:
        mantrap.do(deed)
        assert len(mantrap.ajar | mantrap.released) <= 1


_LOOK = st.builds(
    Secure,
    shut=st.sampled_from([True, False, None]),
    output_off=st.sampled_from([True, False, None]),
    seen_ns=st.sampled_from([None, NOW_NS - 50, NOW_NS - 10, NOW_NS]),
    fire=st.sampled_from([False, False, False, True]),
)


@given(st.dictionaries(st.sampled_from(NAMES), _LOOK), st.sampled_from(NAMES), st.sampled_from(NAMES))
@settings(max_examples=300, deadline=None)
def test_a_place_is_given_by_proof_or_by_fire_and_by_nothing_else(
    looks: dict[DoorId, Secure], held: DoorId, door: DoorId
) -> None:
    group = in_use(held)
    asked = group.reserve(door, GrantId("next"), looks, NOW_NS)
    if any(look.fire for look in looks.values()):
        assert asked.why == ""
        return
    others = [looks.get(name) for name in NAMES if name != door]
    proven = all(look is not None and look.proven(NOW_NS, FRESH_NS) for look in others)
    assert (asked.why == "") is (proven and held == door)
    assert asked.reserved is not None
    assert asked.reserved.door_id == held

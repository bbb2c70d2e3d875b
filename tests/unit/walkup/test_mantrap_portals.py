"""Two doors of a mantrap: of two grants at one instant one wins, and what is not known is not shut."""

import asyncio

import pytest

from gateway.domain.decisions import DenyReason
from gateway.domain.door_state import HoldOpen
from gateway.domain.doors import Outcome
from gateway.domain.errors import Rejected
from gateway.domain.ids import DoorId
from gateway.domain.interlock import Interlock
from gateway.domain.readings import Direction, Sensor
from gateway.walkup.door_portal import DoorPortal
from gateway.walkup.interlocks import InterlockGroup
from tests.fakes.door_story import MS, S, acted, config
from tests.fakes.portal_stage import Stage

DOORS = ("inner", "outer")


class Mantrap(Stage):
    def __init__(self) -> None:
        super().__init__()
        names = frozenset(DoorId(name) for name in DOORS)
        self.group = InterlockGroup(Interlock(doors=names, reserve_ns=5 * S, fresh_ns=250 * MS), self.clock)
        self.doors = {name: self._portal(name) for name in DOORS}
        self.look()

    def _portal(self, name: str) -> DoorPortal:
        return DoorPortal(
            door_id=DoorId(name),
            config=config(),
            lock=self.lock(name),
            journal=self.journal,
            minutes=self.minutes(name),
            clock=self.clock,
            group=self.group,
        )

    def look(self, *, blind: str = "", fire: bool = False, **opened: bool) -> None:
        for name, door in self.doors.items():
            contact = None if name == blind else opened.get(name, False)
            on: dict[Sensor, bool | None] = dict.fromkeys(sorted(door.config.fitted), False)
            on |= {Sensor.CONTACT: contact, Sensor.FIRE: fire}
            door.look(self.readings(on=on))

    def watch(self, seconds: float, **opened: bool) -> None:
        for _ in range(round(seconds * 10)):
            self.clock.advance(0.1)
            self.look(**opened)

    def ask(self, name: str, grant: str = "g") -> DenyReason | None:
        return self.doors[name].reserve(self.grant(grant, name), Direction.IN)

    def send(self, name: str, grant: str = "g", outcome: Outcome | None = Outcome.CONFIRMED) -> None:
        order = self.grant(grant, name)
        if outcome is not None:
            self.doors[name].released(order, Direction.IN)
        self.doors[name].settled(order, None if outcome is None else acted(outcome))

    def obstacles(self) -> list[DenyReason | None]:
        return [self.doors[name].obstacle(Direction.IN) for name in DOORS]


@pytest.mark.parametrize("first", DOORS)
async def test_of_two_reservations_at_one_instant_one_wins(first: str) -> None:
    trap = Mantrap()
    assert trap.obstacles() == [None, None], "both were told that nothing stands against it"

    async def come(name: str) -> DenyReason | None:
        await asyncio.sleep(0)
        return trap.ask(name, f"grant-{name}")

    (other,) = set(DOORS) - {first}
    assert await asyncio.gather(come(first), come(other)) == [None, DenyReason.INTERLOCK]
    assert trap.group.interlock.reserved is not None
    assert trap.group.interlock.reserved.door_id == first


def test_asking_what_stands_in_the_way_takes_no_place() -> None:
    trap = Mantrap()
    trap.obstacles()
    assert trap.group.interlock.reserved is None


@pytest.mark.parametrize("outcome", [None, Outcome.NOT_SENT, Outcome.REFUSED])
def test_a_frame_that_moved_nothing_gives_the_place_back(outcome: Outcome | None) -> None:
    trap = Mantrap()
    assert trap.ask("outer") is None
    trap.send("outer", outcome=outcome)
    trap.watch(4)
    assert trap.obstacles() == [None, None]


def test_the_other_door_waits_until_this_one_was_opened_and_is_shut_and_locked() -> None:
    trap = Mantrap()
    assert trap.ask("outer") is None
    trap.send("outer")
    assert trap.ask("inner", "h") is DenyReason.INTERLOCK
    trap.watch(1, outer=True)
    assert trap.ask("inner", "h") is DenyReason.INTERLOCK
    trap.watch(1)
    assert trap.ask("inner", "h") is DenyReason.INTERLOCK, "its pulse is not over"
    trap.watch(2)
    assert trap.ask("inner", "h") is None


def test_a_place_that_nobody_uses_is_free_in_the_end() -> None:
    trap = Mantrap()
    assert trap.ask("outer") is None
    trap.send("outer")
    trap.watch(4.9)
    assert trap.ask("inner", "h") is DenyReason.INTERLOCK
    trap.watch(0.3)
    assert trap.ask("inner", "h") is None


def test_a_leaf_that_has_just_begun_to_move_is_not_shut() -> None:
    trap = Mantrap()
    trap.look(outer=True)
    assert trap.doors["outer"].state.open is False, "not debounced yet"
    assert trap.ask("inner") is DenyReason.INTERLOCK


def test_a_contact_that_cannot_be_read_is_not_shut() -> None:
    trap = Mantrap()
    trap.look(blind="outer")
    assert trap.ask("inner") is DenyReason.INTERLOCK
    assert trap.ask("outer") is None, "the inner one is proven"


def test_a_look_that_is_too_old_proves_nothing() -> None:
    trap = Mantrap()
    trap.clock.advance(0.25)
    assert trap.obstacles() == [None, None]
    trap.clock.advance(0.01)
    assert trap.obstacles() == [DenyReason.INTERLOCK] * 2


def test_in_a_fire_nobody_is_kept_in_between() -> None:
    trap = Mantrap()
    assert trap.ask("outer") is None
    trap.send("outer")
    trap.watch(1, outer=True)
    trap.look(fire=True, outer=True)
    assert trap.ask("inner", "h") is None


async def test_its_doors_cannot_be_held_open_and_that_is_not_recorded_as_an_order() -> None:
    trap = Mantrap()
    before = trap.doors["outer"].state
    with pytest.raises(Rejected):
        await trap.doors["outer"].order(HoldOpen(order_id="o", until_ns=trap.clock.mono_ns + S), "guard")
    assert trap.journal.kinds() == []
    assert trap.doors["outer"].state == before

"""A door at work with fakes at its ends: what is on record before it acts, and what is not done without."""

import asyncio

import pytest

from gateway.domain.decisions import DenyReason
from gateway.domain.door_state import Acknowledge, DoorAlarm, EndHold, LockDown, Phase, Relock
from gateway.domain.doors import Link, Outcome
from gateway.domain.errors import JournalUnavailable, Rejected
from gateway.domain.events import EventKind
from gateway.domain.ids import DoorId
from gateway.domain.readings import Direction
from gateway.telemetry.clock import SystemClock
from gateway.walkup.door_portal import DoorPortal, Order
from tests.fakes.door_story import MS, PASSAGES, config
from tests.fakes.portal_stage import PERSON, House, Stage, running, turn


@pytest.fixture
async def house() -> House:
    made = House()
    await made.door.start()
    await made.recorder.flush()
    return made


async def test_an_order_is_on_record_before_it_acts(house: House) -> None:
    house.journal.gate.clear()
    order = asyncio.ensure_future(house.portal.order(LockDown(on=True), "guard"))
    await turn()
    assert not house.portal.state.locked_down, "it is not on disk yet"
    house.journal.gate.set()
    await order
    assert house.portal.state.locked_down
    assert house.journal.kinds()[-1] == EventKind.DOOR_ORDER


async def test_the_record_says_what_was_ordered_and_by_whom(house: House) -> None:
    await house.portal.order(house.hold(30), "guard")
    await house.portal.order(LockDown(on=True), "chief")
    orders = [d.data for d in await house.recorded() if d.kind is EventKind.DOOR_ORDER]
    assert orders == [
        {"door": "main", "order": "HoldOpen", "by": "guard", "for_s": 30.0},
        {"door": "main", "order": "LockDown", "by": "chief", "on": True},
    ]


@pytest.mark.parametrize("kind", ["hold", "end", "down", "up", "seen"])
async def test_an_order_that_cannot_be_recorded_changes_nothing(house: House, kind: str) -> None:
    orders: dict[str, Order] = {
        "hold": house.hold(),
        "end": EndHold(),
        "down": LockDown(on=True),
        "up": LockDown(on=False),
        "seen": Acknowledge(),
    }
    async with running(house.portal.run):
        before = house.portal.state
        house.journal.full = True
        with pytest.raises(JournalUnavailable):
            await house.portal.order(orders[kind], "guard")
        await turn()
        assert house.portal.state == before
        assert (house.door.pulses, house.door.relocks) == ([], 0)


async def test_the_first_lease_comes_after_its_order_is_on_record(house: House) -> None:
    async with running(house.portal.run):
        await house.portal.order(house.hold(), "guard")
        await turn()
        assert len(house.door.pulses) == 1
        assert EventKind.DOOR_ORDER in house.door.recorded[0]


async def test_a_held_door_gets_one_lease_after_the_other(house: House) -> None:
    async with running(house.portal.run):
        await house.portal.order(house.hold(), "guard")
        for _ in range(59):
            house.watch(0.1)
            await turn()
        assert len(house.door.pulses) == 3, "at once, and every two seconds"
        assert len(set(house.door.pulses)) == 3, "each of its own"


async def test_a_lease_is_not_given_when_nothing_can_be_recorded(house: House) -> None:
    async with running(house.portal.run):
        await house.portal.order(house.hold(), "guard")
        await turn()
        house.watch(1, contact=True)  # something waits to be written
        house.journal.full = True
        house.watch(3, contact=True)
        await turn()
        assert len(house.door.pulses) == 1
        house.journal.full = False
        house.watch(2, contact=True)
        await turn()
        assert len(house.door.pulses) == 2


async def test_a_lease_that_waited_for_the_record_is_not_given_when_the_hold_is_over(house: House) -> None:
    async with running(house.portal.run):
        await house.portal.order(house.hold(5), "guard")
        house.journal.gate.clear()
        await turn()
        house.clock.advance(6)
        house.look()
        assert house.portal.state.hold is None
        house.journal.gate.set()
        await turn()
        assert house.door.pulses == []


async def test_a_door_that_cannot_be_reached_gets_its_lease_later(house: House) -> None:
    house.door.set_link(Link.DOWN)
    async with running(house.portal.run) as task:
        await house.portal.order(house.hold(), "guard")
        house.watch(1)
        await turn()
        assert house.door.pulses == []
        house.door.set_link(Link.UP)
        house.watch(2)
        await turn()
        assert len(house.door.pulses) == 1
        assert not task.done()


async def test_lockdown_relocks_and_takes_the_lease_no_further(house: House) -> None:
    async with running(house.portal.run):
        await house.portal.order(house.hold(), "guard")
        await turn()
        await house.portal.order(LockDown(on=True), "guard")
        house.watch(5)
        await turn()
        assert len(house.door.pulses) == 1
        assert not house.door.on
        assert house.journal.kinds().count(EventKind.DOOR_ORDER) == 2


async def test_a_door_in_lockdown_lets_nobody_in_and_is_not_held_open(house: House) -> None:
    await house.portal.order(LockDown(on=True), "guard")
    assert house.portal.obstacle(Direction.IN) is DenyReason.DOOR_LOCKED_DOWN
    assert house.portal.reserve(house.grant(), Direction.IN) is DenyReason.DOOR_LOCKED_DOWN
    with pytest.raises(Rejected):
        await house.portal.order(house.hold(), "guard")
    assert house.journal.kinds().count(EventKind.DOOR_ORDER) == 1
    await house.portal.order(LockDown(on=False), "guard")
    assert house.portal.obstacle(Direction.IN) is None


async def test_a_request_to_exit_is_on_record_before_it_unlocks_even_in_lockdown() -> None:
    house = House(rex_unlocks=True)
    await house.door.start()
    await house.portal.order(LockDown(on=True), "guard")
    async with running(house.portal.run):
        house.look(rex=True)
        await turn()
        assert len(house.door.pulses) == 1
        assert EventKind.DOOR_REQUEST in house.door.recorded[-1]


async def test_an_early_relock_is_carried_out_once(house: House) -> None:
    house.portal.config = config(relock=Relock.CLOSE)
    async with running(house.portal.run):
        house.pass_grant()
        house.watch(0.5, contact=True)
        house.watch(0.5)
        await turn()
        assert house.door.relocks == 1


async def test_a_relock_that_a_fire_overtakes_is_not_carried_out(house: House) -> None:
    house.portal.config = config(relock=Relock.CLOSE)
    house.pass_grant()
    house.watch(0.5, contact=True)
    house.watch(0.5)
    house.look(fire=True)
    async with running(house.portal.run):
        assert house.door.relocks == 0


async def test_a_relock_that_is_not_confirmed_stops_nothing(house: House) -> None:
    house.door.set_link(Link.DOWN)
    async with running(house.portal.run) as task:
        await house.portal.order(LockDown(on=True), "guard")
        await turn()
        assert house.door.relocks == 1
        assert not task.done()


async def test_a_passage_is_recorded_with_its_person(house: House) -> None:
    house.pass_grant()
    house.watch(0.5, contact=True)
    found = [d for d in await house.recorded() if d.kind in PASSAGES]
    assert [(d.kind, d.person_id, d.grant_id, d.access_point_id) for d in found] == [
        (EventKind.ACCESS_TAKEN, PERSON, "g", "main-in")
    ]


@pytest.mark.parametrize("outcome", [None, Outcome.NOT_SENT, Outcome.REFUSED])
async def test_a_grant_that_moved_nothing_is_forgotten(house: House, outcome: Outcome | None) -> None:
    house.pass_grant(outcome=outcome)
    house.watch(10)
    assert [d for d in await house.recorded() if d.kind in PASSAGES] == []
    assert house.portal.minutes._grants == {}


async def test_whoever_shows_the_door_hears_of_each_change(house: House) -> None:
    house.states.clear()
    house.watch(0.5)
    assert house.states == []
    house.watch(0.5, contact=True)
    assert house.states == [Phase.FORCED]


async def test_time_is_told_by_itself() -> None:
    house = House()
    house.pass_grant()
    house.clock.advance(3.5)
    async with running(house.portal.run):
        await asyncio.sleep(0.01)
        assert house.portal.state.phase is Phase.UNKNOWN, "the last look is too old"


async def test_sensors_that_never_say_anything_are_told() -> None:
    stage = Stage()
    clock = SystemClock()
    portal = DoorPortal(
        door_id=DoorId("main"),
        config=config(dark_ns=20 * MS),
        lock=stage.lock("main"),
        journal=stage.journal,
        minutes=stage.minutes("main"),
        clock=clock,
    )
    async with running(portal.run):
        await asyncio.sleep(0.2)
        assert portal.state.alarms == {DoorAlarm.CONTACT_UNKNOWN, DoorAlarm.FIRE_UNKNOWN}

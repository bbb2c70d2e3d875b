"""A door's portal cancelled at each place where it waits: nothing is half done, lost, or done twice."""

import pytest

from gateway.domain.door_state import LockDown
from gateway.domain.events import EventKind
from tests.fakes.portal_stage import House, running, turn


@pytest.fixture
async def house() -> House:
    made = House()
    await made.door.start()
    await made.recorder.flush()
    return made


async def test_cancelled_before_the_record_is_written_no_lease_is_given_and_nothing_is_lost(
    house: House,
) -> None:
    await house.portal.order(house.hold(), "guard")
    house.journal.gate.clear()
    async with running(house.portal.run):
        assert house.journal.asked > 1, "it waits for the disk"
    assert house.door.pulses == []
    house.journal.gate.set()
    kinds = [d.kind for d in await house.recorded()]
    assert kinds.count(EventKind.DOOR_ORDER) == 1
    assert kinds.count(EventKind.DOOR_MODE) == 2, "found locked, and held: each written once"


async def test_cancelled_within_a_lease_it_is_not_sent_again(house: House) -> None:
    house.door.takes_s = 3600
    await house.portal.order(house.hold(), "guard")
    async with running(house.portal.run):
        assert len(house.door.pulses) == 1
    house.door.takes_s = 0
    async with running(house.portal.run):
        assert len(house.door.pulses) == 1
        house.watch(2.1)
        await turn()
        assert len(house.door.pulses) == 2, "the next one is due"


async def test_cancelled_with_work_waiting_the_next_run_does_it(house: House) -> None:
    house.door.takes_s = 3600
    await house.portal.order(house.hold(), "guard")
    async with running(house.portal.run):
        await house.portal.order(LockDown(on=True), "guard")
        assert house.door.relocks == 0
    async with running(house.portal.run):
        assert house.door.relocks >= 1
        assert not house.door.on


async def test_cancelled_while_nothing_is_wanted_it_ends_at_once(house: House) -> None:
    before = house.portal.state
    async with running(house.portal.run) as task:
        assert not task.done()
    assert task.cancelled()
    assert house.portal.state.phase is before.phase

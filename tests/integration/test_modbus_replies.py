"""A device that says no, is busy or is slow: a test a fault of the fault list, by its number."""

import asyncio

import pytest

from drivers.simulators.door_controller import DoorController, Fault, FaultKind
from gateway.domain.doors import Link, Outcome
from tests.fakes.modbus_rig import ON_UNLOCK, READS, rig, until


@pytest.mark.parametrize("code", [1, 2, 3, 0x0A])
async def test_faults_9_and_10_a_refusal_is_final_and_leaves_the_link_and_the_other_doors(code: int) -> None:
    async with rig(doors=2) as setup:
        connections = setup.board.connections
        setup.board.faults.once(Fault(kind=FaultKind.EXCEPTION, code=code, **ON_UNLOCK))
        actuation = await setup.doors[0].unlock(setup.grant())
        assert (actuation.outcome, actuation.frames_sent) == (Outcome.REFUSED, 1)
        assert f"exception {code}" in actuation.evidence
        assert "refused" in setup.doors[0].health().alarms
        assert "refused" not in setup.doors[1].health().alarms
        assert (await setup.doors[1].unlock(setup.grant(door=1))).outcome is Outcome.CONFIRMED
        assert setup.board.connections == connections
        assert setup.board.pulses(1) == 0
        assert (await setup.doors[0].unlock(setup.grant())).outcome is Outcome.CONFIRMED
        assert "refused" not in setup.doors[0].health().alarms


async def test_fault_9_a_relay_the_board_has_not_keeps_only_its_own_door_shut() -> None:
    async with rig(board=DoorController(relays=8), channels=(1, 12), start=False) as setup:
        for door in setup.doors:
            await door.start()
        missing = setup.doors[1]
        await until(lambda: missing.health().link is Link.DEGRADED and setup.doors[0].health().ready)
        assert "illegal data address" in missing.health().detail
        assert "refused" in missing.health().alarms
        assert (await missing.unlock(setup.grant(door=1))).outcome is Outcome.NOT_SENT
        assert (await setup.doors[0].unlock(setup.grant(door=0))).outcome is Outcome.CONFIRMED


async def test_fault_10_busy_is_asked_once_more_and_only_once() -> None:
    async with rig() as setup:
        busy = Fault(kind=FaultKind.EXCEPTION, code=6, **ON_UNLOCK)
        setup.board.faults.once(busy)
        actuation = await setup.door.unlock(setup.grant())
        assert (actuation.outcome, actuation.frames_sent) == (Outcome.CONFIRMED, 2)
        setup.board.faults.once(busy, busy)
        frames = setup.board.unlock_frames()
        actuation = await setup.door.unlock(setup.grant())
        assert (actuation.outcome, actuation.frames_sent) == (Outcome.REFUSED, 2)
        assert setup.board.unlock_frames() == frames + 2
        assert setup.board.pulses(1) == 1


async def test_fault_10_busy_is_not_asked_again_after_the_deadline() -> None:
    async with rig() as setup:
        setup.board.faults.once(Fault(kind=FaultKind.EXCEPTION, code=6, **ON_UNLOCK))
        actuation = await setup.door.unlock(setup.grant(ttl_s=0.045))
        assert (actuation.outcome, actuation.frames_sent) == (Outcome.REFUSED, 1)
        assert setup.board.unlock_frames() == 1


@pytest.mark.parametrize("code", [4, 5, 8, 0x0B, 0x42])
async def test_fault_10_a_code_that_does_not_say_nothing_was_done_is_ambiguous(code: int) -> None:
    async with rig() as setup:
        connections = setup.board.connections
        setup.board.faults.once(Fault(kind=FaultKind.EXCEPTION, code=code, **ON_UNLOCK))
        actuation = await setup.door.unlock(setup.grant())
        assert (actuation.outcome, actuation.frames_sent) == (Outcome.AMBIGUOUS, 1)
        assert setup.board.connections == connections
        assert setup.board.unlock_frames() == 1
        setup.invariants(pulses=0)


async def test_fault_12_a_slow_device_drops_expired_grants_and_pulses_none_twice() -> None:
    async with rig(timeout_s=1.0, poll_s=0.2) as setup:
        setup.board.faults.always(Fault(kind=FaultKind.SLOW, seconds=0.3))
        grants = [setup.grant(ttl_s=0.5) for _ in range(50)]
        results = await asyncio.gather(*(setup.door.unlock(g) for g in grants))
        outcomes = [r.outcome for r in results]
        assert outcomes.count(Outcome.NOT_SENT) >= 48  # the third already waited past its deadline
        assert sum("busy" in r.evidence for r in results) == 47
        sent = [(r, g) for r, g in zip(results, grants, strict=True) if r.sent_ns is not None]
        assert sent
        assert all(r.sent_ns is not None and r.sent_ns < g.expires_ns for r, g in sent)
        assert setup.board.unlock_frames() == len(sent)
        again = await asyncio.gather(*(setup.door.unlock(g) for g in grants))
        assert again == results
        assert setup.board.unlock_frames() == len(sent)
        setup.board.faults.clear()


async def test_fault_12_an_unlock_overtakes_polls_that_wait() -> None:
    async with rig(doors=4, timeout_s=2.0, poll_s=0.05) as setup:
        setup.board.faults.always(Fault(kind=FaultKind.SLOW, seconds=0.1, functions=READS))
        await asyncio.sleep(0.3)  # polls of four doors pile up
        seen = len(setup.board.requests)
        actuation = await setup.doors[3].unlock(setup.grant(door=3))
        assert actuation.outcome is Outcome.CONFIRMED
        position = next(i for i, p in enumerate(setup.board.requests[seen:]) if p[0] == 5)
        assert position <= 1  # behind the one poll already on its way, no more
        setup.board.faults.clear()

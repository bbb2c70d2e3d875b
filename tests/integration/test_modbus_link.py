"""A link that breaks, stalls or answers wrongly: a test a fault of the fault list, by its number."""

import asyncio
import time

import pytest

from drivers.simulators.door_controller import Fault, FaultKind
from gateway.domain.doors import Actuation, Link, Outcome
from tests.fakes.modbus_rig import ON_UNLOCK, TIMEOUT_S, Rig, rig, until


async def timed_unlock(setup: Rig) -> tuple[Actuation, float]:
    began = time.monotonic()
    actuation = await setup.door.unlock(setup.grant())
    return actuation, time.monotonic() - began


async def test_fault_1_a_device_unreachable_at_the_start_is_down_said_once_and_found_later() -> None:
    async with rig(listening=False) as setup:
        await until(lambda: "cannot be reached" in setup.door.health().detail)
        actuation, took = await timed_unlock(setup)
        assert actuation.outcome is Outcome.NOT_SENT
        assert took < 0.2
        await asyncio.sleep(0.5)
        unreachable = [h for h in setup.told if "cannot be reached" in h.detail]
        assert len(unreachable) == 1
        assert unreachable[0].link is Link.DOWN
        assert setup.door.health().failures >= 2
        await setup.board.listen()
        await setup.ready(timeout_s=4)
        assert (await setup.door.unlock(setup.grant())).outcome is Outcome.CONFIRMED


async def test_fault_2_a_pulled_cable_is_noticed_by_the_poll_and_nothing_is_replayed() -> None:
    async with rig(poll_s=0.1) as setup:
        setup.board.faults.always(Fault(kind=FaultKind.SILENT))
        await until(lambda: setup.door.health().link is Link.DOWN, 0.2 + 2 * (TIMEOUT_S + 0.1) + 0.5)
        assert (await setup.door.unlock(setup.grant())).outcome is Outcome.NOT_SENT
        setup.board.faults.clear()
        await setup.ready()
        await asyncio.sleep(0.3)
        assert setup.board.unlock_frames() == 0
        setup.invariants(pulses=0)


async def test_fault_2_an_unlock_into_a_pulled_cable_is_ambiguous_and_never_leaves_again() -> None:
    async with rig(poll_s=5) as setup:
        setup.board.faults.always(Fault(kind=FaultKind.SILENT))
        actuation = await setup.door.unlock(setup.grant(name="once"))
        assert (actuation.outcome, actuation.frames_sent) == (Outcome.AMBIGUOUS, 1)
        setup.board.faults.clear()
        await setup.ready()
        assert await setup.door.unlock(setup.grant(name="once")) == actuation
        assert setup.board.unlock_frames() == 1
        setup.invariants(pulses=0)


async def test_fault_3_a_link_cut_after_the_pulse_began_is_settled_by_reading_back() -> None:
    async with rig() as setup:
        setup.board.faults.once(Fault(kind=FaultKind.DROP_AFTER, **ON_UNLOCK))
        actuation, took = await timed_unlock(setup)
        assert actuation.outcome is Outcome.CONFIRMED
        assert "lost before the reply" in actuation.evidence
        assert took < TIMEOUT_S  # a broken link is noticed at once, not by the time-out
        assert actuation.frames_sent == setup.board.unlock_frames() == 1
        off = await setup.board.wait_edge(on=False)
        assert off.why == "timer"  # reconnecting does not cut the pulse short
        await setup.ready()
        setup.invariants(pulses=1)


async def test_fault_3_a_link_cut_before_the_pulse_began_stays_ambiguous() -> None:
    async with rig() as setup:
        setup.board.faults.once(Fault(kind=FaultKind.DROP_BEFORE, **ON_UNLOCK))
        actuation = await setup.door.unlock(setup.grant())
        assert actuation.outcome is Outcome.AMBIGUOUS
        assert "read back as OFF" in actuation.evidence
        assert actuation.frames_sent == setup.board.unlock_frames() == 1
        await setup.ready()
        setup.invariants(pulses=0)


@pytest.mark.parametrize("kind", [FaultKind.RESET, FaultKind.HALF_FRAME])
async def test_fault_4_half_a_reply(kind: FaultKind) -> None:
    async with rig() as setup:
        setup.board.faults.once(Fault(kind=kind, **ON_UNLOCK))
        actuation = await setup.door.unlock(setup.grant())
        assert actuation.outcome in {Outcome.CONFIRMED, Outcome.AMBIGUOUS}
        assert actuation.frames_sent == setup.board.unlock_frames() == 1
        await setup.board.wait_edge(on=False)
        await setup.ready()
        setup.invariants(pulses=1)


async def test_fault_5_a_reply_after_the_time_out_is_dropped_and_the_next_call_is_right() -> None:
    async with rig() as setup:
        setup.board.faults.once(Fault(kind=FaultKind.LATE_REPLY, seconds=TIMEOUT_S + 0.2, **ON_UNLOCK))
        actuation = await setup.door.unlock(setup.grant())
        assert "no reply in time" in actuation.evidence
        assert actuation.frames_sent == setup.board.unlock_frames() == 1
        await setup.board.wait_edge(on=False)
        await setup.ready()
        assert (await setup.door.unlock(setup.grant())).outcome is Outcome.CONFIRMED
        assert setup.board.pulses(1) == 2


async def test_fault_6_a_late_echo_is_never_taken_for_the_answer_to_another_door() -> None:
    async with rig(doors=2, poll_s=5) as setup:
        setup.board.faults.once(Fault(kind=FaultKind.SLOW, seconds=TIMEOUT_S + 0.15, **ON_UNLOCK))
        first = asyncio.create_task(setup.doors[0].unlock(setup.grant(door=0)))
        await until(lambda: setup.board.unlock_frames() == 1)
        setup.board.relays.dead.add(2)
        second = await setup.doors[1].unlock(setup.grant(door=1))
        assert second.outcome is Outcome.NOT_SENT  # the link it waited for was cut
        await first
        await setup.ready()
        assert (await setup.doors[1].unlock(setup.grant(door=1))).outcome is Outcome.SENT
        assert setup.board.pulses(2) == 0
        assert setup.board.pulses(1) <= 1


@pytest.mark.parametrize("kind", [FaultKind.WRONG_ADDRESS, FaultKind.WRONG_VALUE, FaultKind.WRONG_FUNCTION])
async def test_fault_7_a_wrong_echo_cuts_the_link_and_is_no_proof(kind: FaultKind) -> None:
    async with rig() as setup:
        connections = setup.board.connections
        setup.board.faults.once(Fault(kind=kind, **ON_UNLOCK))
        actuation = await setup.door.unlock(setup.grant())
        assert actuation.outcome is Outcome.AMBIGUOUS
        assert "wrong reply" in actuation.evidence
        assert "device_lies" in setup.door.health().alarms
        await until(lambda: setup.board.connections == connections + 1)
        await setup.board.wait_edge(on=False)
        await setup.ready()
        assert any("device_lies" in h.alarms for h in setup.told)
        setup.invariants(pulses=1)


@pytest.mark.parametrize(
    "kind", [FaultKind.WRONG_TRANSACTION, FaultKind.WRONG_UNIT, FaultKind.WRONG_PROTOCOL]
)
async def test_fault_8_a_reply_to_somebody_else_is_ignored_and_the_wait_is_bounded(kind: FaultKind) -> None:
    async with rig() as setup:
        setup.board.faults.once(Fault(kind=kind, **ON_UNLOCK))
        actuation, took = await timed_unlock(setup)
        assert "no reply in time" in actuation.evidence
        assert actuation.outcome in {Outcome.CONFIRMED, Outcome.AMBIGUOUS}
        assert took < TIMEOUT_S + 1.5
        await setup.board.wait_edge(on=False)
        await setup.ready()
        assert setup.board.unlock_frames() == 1
        setup.invariants(pulses=1)


async def test_fault_8_a_twin_reply_does_not_answer_the_next_request() -> None:
    async with rig(poll_s=5) as setup:
        connections = setup.board.connections
        setup.board.faults.once(Fault(kind=FaultKind.DUPLICATE, **ON_UNLOCK))
        assert (await setup.door.unlock(setup.grant())).outcome is Outcome.CONFIRMED
        assert await setup.door.lock()
        assert setup.board.connections == connections
        setup.invariants(pulses=1)


@pytest.mark.filterwarnings("default")
async def test_fault_8_a_reply_of_an_unknown_function_ends_the_link_and_nothing_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with rig() as setup:
        setup.board.faults.once(Fault(kind=FaultKind.GARBAGE, **ON_UNLOCK))
        actuation = await setup.door.unlock(setup.grant())
        assert actuation.outcome in {Outcome.CONFIRMED, Outcome.AMBIGUOUS}
        await setup.board.wait_edge(on=False)
        await setup.ready()
        setup.invariants(pulses=1)

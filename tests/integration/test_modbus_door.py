"""The relay door from start to close."""

import asyncio
import dataclasses
import time

import pytest

from drivers.modbus.frames import WriteCoil
from drivers.modbus.guard import Forbidden
from drivers.simulators.door_controller import Fault, FaultKind
from gateway.domain.doors import Link, Outcome
from tests.fakes.modbus_rig import ON_UNLOCK, PULSE_MS, TIMEOUT_S, rig, until


async def test_the_first_thing_sent_is_off_and_the_last_thing_too() -> None:
    async with rig() as setup:
        assert setup.board.requests[0] == bytes([5, 0, 0, 0, 0])
        await setup.door.unlock(setup.grant())
        await setup.door.aclose()
        assert not setup.board.is_on(1)
        writes = [p for p in setup.board.requests if p[0] == 5]
        assert writes[-1] == bytes([5, 0, 0, 0, 0])


async def test_a_relay_left_on_by_a_former_life_is_switched_off_at_the_start() -> None:
    async with rig(start=False) as setup:
        setup.board.write_from_elsewhere(1, on=True)
        await setup.door.start()
        await setup.ready()
        assert not setup.board.is_on(1)


async def test_only_owned_outputs_are_touched() -> None:
    async with rig(channels=(2,)) as setup:
        setup.board.write_from_elsewhere(1, on=True)
        await setup.door.unlock(setup.grant())
        await setup.door.aclose()
        assert setup.board.is_on(1)
        assert not setup.board.is_on(2)


async def test_a_cancelled_unlock_leaves_the_pulse_to_the_device_and_the_bus_sane() -> None:
    async with rig(poll_s=5) as setup:
        setup.board.faults.once(Fault(kind=FaultKind.LATE_REPLY, seconds=0.15, **ON_UNLOCK))
        task = asyncio.create_task(setup.door.unlock(setup.grant(name="cancelled")))
        await setup.board.wait_edge(on=True)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        known = await setup.door.unlock(setup.grant(name="cancelled"))
        assert (known.outcome, known.frames_sent) == (Outcome.AMBIGUOUS, 1)
        assert known.sent_ns is not None
        assert (await setup.board.wait_edge(on=False)).why == "timer"
        after = await setup.door.unlock(setup.grant())
        assert after.outcome is Outcome.SENT  # nobody knows when a pulse without an echo begins
        assert setup.board.unlock_frames() == 2


async def test_a_stopping_gateway_does_not_wait_for_a_silent_device() -> None:
    async with rig(poll_s=5) as setup:
        setup.board.faults.always(Fault(kind=FaultKind.SILENT))
        began = time.monotonic()
        await setup.door.aclose()
        assert time.monotonic() - began < 3 * TIMEOUT_S + 1
        assert setup.door.health().link is Link.DOWN


async def test_a_grant_that_comes_while_a_pulse_runs_is_a_pulse_of_its_own_and_its_length_not_known() -> None:
    async with rig() as setup:
        first = await setup.door.unlock(setup.grant())
        second = await setup.door.unlock(setup.grant())
        assert [first.outcome, second.outcome] == [Outcome.CONFIRMED, Outcome.SENT]
        assert "the pulse before may explain" in second.evidence
        assert setup.board.unlock_frames() == 2
        await setup.board.wait_edge(on=False)


async def test_a_grant_right_after_a_pulse_is_proven_again() -> None:
    async with rig(pulse_ms=700) as setup:
        await setup.door.unlock(setup.grant())
        await setup.board.wait_edge(on=False)
        assert (await setup.door.unlock(setup.grant())).outcome is Outcome.CONFIRMED


async def test_after_a_lost_reply_an_on_that_the_grant_before_explains_proves_nothing() -> None:
    async with rig(pulse_ms=2000) as setup:
        await setup.door.unlock(setup.grant())
        setup.board.faults.once(Fault(kind=FaultKind.DROP_BEFORE, **ON_UNLOCK))
        actuation = await setup.door.unlock(setup.grant())
        assert actuation.outcome is Outcome.AMBIGUOUS
        assert "grant before" in actuation.evidence
        await setup.door.lock()


async def test_a_banned_frame_never_reaches_the_wire(monkeypatch: pytest.MonkeyPatch) -> None:
    async with rig(poll_s=5) as setup:
        requests = len(setup.board.requests)
        toggling = dataclasses.replace(setup.door.line.plan, pulse=WriteCoil(1, 0, 0x5500))
        monkeypatch.setattr(setup.door.line, "plan", toggling)
        with pytest.raises(Forbidden, match="toggles"):
            await setup.door.unlock(setup.grant())
        assert len(setup.board.requests) == requests
        assert setup.bus.connected


async def test_a_bus_that_lost_its_link_twenty_times_leaks_nothing() -> None:
    async with rig(poll_s=5) as setup:
        for _ in range(20):
            epoch = setup.bus.epoch
            await setup.board.cut()
            await until(lambda e=epoch: setup.bus.epoch > e and setup.bus.connected)
        assert setup.board.clients == 1
        await setup.ready()
        names = [t.get_name() for t in asyncio.all_tasks()]
        assert sum(n.startswith("modbus ") for n in names) == 1
        assert not any("transport" in n for n in names)  # the library reconnects on its own nowhere


async def test_health_reports_what_was_measured() -> None:
    async with rig() as setup:
        await setup.door.unlock(setup.grant())
        health = setup.door.health()
        assert health.rtt_p99_ms is not None
        assert 0 < health.rtt_p99_ms < 1000 * TIMEOUT_S
        assert health.last_ok_ns is not None
        assert health.failures == 0
        assert health.facts["pulse_ms"] == str(PULSE_MS)
        assert health.facts["verified"] == "paper"
        assert health.facts["class"].startswith("A")


async def test_a_listener_that_fails_does_not_stop_the_bus() -> None:
    async with rig() as setup:

        def broken() -> None:
            raise RuntimeError("broken listener")

        setup.bus.attach(broken)
        await setup.board.cut()
        await until(lambda: not setup.door.health().ready)
        await setup.ready()
        await setup.bus.detach(broken)
        assert (await setup.door.unlock(setup.grant())).outcome is Outcome.CONFIRMED


async def test_a_library_that_tries_again_is_stopped_on_the_send_path() -> None:
    async with rig(poll_s=5) as setup:
        setup.board.faults.once(Fault(kind=FaultKind.SILENT, **ON_UNLOCK))
        context = setup.bus._wire._link
        context.retries = 3
        context.comm_params.timeout_connect = TIMEOUT_S / 5  # so that its own time-out comes before ours
        actuation = await setup.door.unlock(setup.grant())
        assert (actuation.outcome, actuation.frames_sent) == (Outcome.AMBIGUOUS, 1)
        assert "second time" in actuation.evidence
        assert setup.board.unlock_frames() == 1

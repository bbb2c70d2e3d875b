"""The real driver on the simulated board: one test a fault of the fault list, whose number it names."""

import asyncio
import time

import pytest

from drivers.modbus.frames import WriteCoil
from drivers.modbus.guard import Forbidden
from drivers.modbus.relay_door import RelayDoor
from drivers.simulators.door_controller import PULSES, DoorController, Fault, FaultKind
from gateway.domain.doors import Actuation, Link, Outcome
from tests.fakes.modbus_rig import PULSE_MS, TIMEOUT_S, Rig, rig, until

ON_UNLOCK = {"addresses": PULSES, "functions": frozenset({5})}
READS = frozenset({1})


def invariants(setup: Rig, *, pulses: int) -> None:
    """What must hold after every fault."""
    assert setup.board.pulses(1) == pulses
    assert setup.longest_on_s() <= PULSE_MS / 1e3 + 0.25


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
        invariants(setup, pulses=0)


async def test_fault_2_an_unlock_into_a_pulled_cable_is_ambiguous_and_never_leaves_again() -> None:
    async with rig(poll_s=5) as setup:
        setup.board.faults.always(Fault(kind=FaultKind.SILENT))
        actuation = await setup.door.unlock(setup.grant(name="once"))
        assert (actuation.outcome, actuation.frames_sent) == (Outcome.AMBIGUOUS, 1)
        setup.board.faults.clear()
        await setup.ready()
        assert await setup.door.unlock(setup.grant(name="once")) == actuation
        assert setup.board.unlock_frames() == 1
        invariants(setup, pulses=0)


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
        invariants(setup, pulses=1)


async def test_fault_3_a_link_cut_before_the_pulse_began_stays_ambiguous() -> None:
    async with rig() as setup:
        setup.board.faults.once(Fault(kind=FaultKind.DROP_BEFORE, **ON_UNLOCK))
        actuation = await setup.door.unlock(setup.grant())
        assert actuation.outcome is Outcome.AMBIGUOUS
        assert "read back as OFF" in actuation.evidence
        assert actuation.frames_sent == setup.board.unlock_frames() == 1
        await setup.ready()
        invariants(setup, pulses=0)


@pytest.mark.parametrize("kind", [FaultKind.RESET, FaultKind.HALF_FRAME])
async def test_fault_4_half_a_reply(kind: FaultKind) -> None:
    async with rig() as setup:
        setup.board.faults.once(Fault(kind=kind, **ON_UNLOCK))
        actuation = await setup.door.unlock(setup.grant())
        assert actuation.outcome in {Outcome.CONFIRMED, Outcome.AMBIGUOUS}
        assert actuation.frames_sent == setup.board.unlock_frames() == 1
        await setup.board.wait_edge(on=False)
        await setup.ready()
        invariants(setup, pulses=1)


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
        invariants(setup, pulses=1)


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
        invariants(setup, pulses=1)


async def test_fault_8_a_twin_reply_does_not_answer_the_next_request() -> None:
    async with rig(poll_s=5) as setup:
        connections = setup.board.connections
        setup.board.faults.once(Fault(kind=FaultKind.DUPLICATE, **ON_UNLOCK))
        assert (await setup.door.unlock(setup.grant())).outcome is Outcome.CONFIRMED
        assert await setup.door.lock()
        assert setup.board.connections == connections
        invariants(setup, pulses=1)


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
        invariants(setup, pulses=1)


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
        invariants(setup, pulses=0)


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


async def test_fault_13_a_reboot_during_a_pulse_ends_off_and_is_proven_before_the_next() -> None:
    async with rig() as setup:
        await setup.door.unlock(setup.grant())
        await setup.board.reboot(dark_s=0.1)
        await until(lambda: not setup.door.health().ready)
        assert not setup.board.is_on(1)
        requests = len(setup.board.requests)
        await setup.ready()
        off = bytes([5, 0, 0, 0, 0])
        assert off in setup.board.requests[requests:] or off in setup.board.requests[-4:]
        assert Link.DOWN in [h.link for h in setup.told[2:]]
        assert (await setup.door.unlock(setup.grant())).outcome is Outcome.CONFIRMED


async def test_fault_13_a_board_that_comes_back_with_its_relay_on_is_switched_off_and_told_about() -> None:
    async with rig() as setup:
        await setup.board.refuse()
        setup.board.write_from_elsewhere(1, on=True)
        await setup.board.listen()
        await setup.ready()
        assert not setup.board.is_on(1)
        assert "foreign_write" in setup.door.health().alarms


async def test_fault_15_a_coil_that_stays_on_takes_the_door_out_of_service() -> None:
    async with rig(poll_s=0.1) as setup:
        setup.board.write_from_elsewhere(1, on=True)
        setup.board.relays.dead.add(1)
        await until(lambda: "stuck_on" in setup.door.health().alarms)
        assert setup.door.health().link is Link.DEGRADED
        assert (await setup.door.unlock(setup.grant())).outcome is Outcome.NOT_SENT
        assert await setup.door.lock() is False
        setup.board.relays.dead.clear()
        await setup.ready()
        assert "stuck_on" not in setup.door.health().alarms


async def test_fault_16_echoes_without_a_readback_are_sent_then_out_of_service() -> None:
    async with rig() as setup:
        setup.board.relays.dead.add(1)
        outcomes = [(await setup.door.unlock(setup.grant())).outcome for _ in range(3)]
        assert outcomes == [Outcome.SENT] * 3
        health = setup.door.health()
        assert health.link is Link.DEGRADED
        assert "no_readback" in health.alarms
        assert (await setup.door.unlock(setup.grant())).outcome is Outcome.NOT_SENT
        setup.board.relays.dead.clear()
        await setup.board.cut()  # a new connection is proven anew and gets one more try
        await setup.ready()
        assert (await setup.door.unlock(setup.grant())).outcome is Outcome.CONFIRMED
        assert "no_readback" not in setup.door.health().alarms


async def test_fault_16_a_readback_that_fails_leaves_it_at_sent() -> None:
    async with rig(poll_s=5) as setup:
        setup.board.faults.once(Fault(kind=FaultKind.SILENT, functions=READS))
        actuation = await setup.door.unlock(setup.grant())
        assert (actuation.outcome, actuation.frames_sent) == (Outcome.SENT, 1)
        assert setup.board.unlock_frames() == 1
        invariants(setup, pulses=1) if not setup.board.is_on() else await setup.board.wait_edge(on=False)


async def test_fault_31_a_foreign_write_is_noticed_switched_off_and_told_about() -> None:
    async with rig(poll_s=0.1) as setup:
        setup.board.write_from_elsewhere(1, on=True)
        off = await setup.board.wait_edge(on=False, timeout_s=3)
        assert off.why == "write"
        await until(lambda: "foreign_write" in setup.door.health().alarms)
        assert any("foreign_write" in h.alarms for h in setup.told)
        assert setup.door.health().ready


async def test_fault_31_our_own_pulse_is_never_taken_for_a_foreign_one() -> None:
    async with rig(poll_s=0.05, pulse_ms=700) as setup:
        assert (await setup.door.unlock(setup.grant())).outcome is Outcome.CONFIRMED
        off = await setup.board.wait_edge(on=False)
        assert off.why == "timer"
        await asyncio.sleep(0.2)
        assert not setup.door.health().alarms


async def test_fault_34_one_socket_is_all_it_takes_and_it_is_handed_over_at_once() -> None:
    board = DoorController(max_clients=1)
    async with board:
        port = board.port
        async with rig(board=_Serving(board), doors=3) as first:
            assert board.connections == 1
            await asyncio.gather(*(d.unlock(first.grant(door=i)) for i, d in enumerate(first.doors)))
            assert board.connections == board.clients == 1
        began = time.monotonic()
        async with rig(board=_Serving(board)) as second:
            assert time.monotonic() - began < 1.0
            assert second.board.port == port
            assert board.connections == 2


class _Serving(DoorController):
    """A board that is on already and stays on."""

    def __init__(self, board: DoorController) -> None:
        self._board = board

    async def __aenter__(self) -> DoorController:
        return self._board

    async def __aexit__(self, *_: object) -> None:
        """Somebody else switches it off."""


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
        assert (await setup.door.unlock(setup.grant())).outcome is Outcome.CONFIRMED
        assert setup.board.unlock_frames() == 2


async def test_a_stopping_gateway_does_not_wait_for_a_silent_device() -> None:
    async with rig(poll_s=5) as setup:
        setup.board.faults.always(Fault(kind=FaultKind.SILENT))
        began = time.monotonic()
        await setup.door.aclose()
        assert time.monotonic() - began < 3 * TIMEOUT_S + 1
        assert setup.door.health().link is Link.DOWN


async def test_a_grant_that_comes_while_a_pulse_runs_is_a_pulse_of_its_own() -> None:
    async with rig() as setup:
        first = await setup.door.unlock(setup.grant())
        second = await setup.door.unlock(setup.grant())
        assert [first.outcome, second.outcome] == [Outcome.CONFIRMED] * 2
        assert setup.board.unlock_frames() == 2
        await setup.board.wait_edge(on=False)


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
        monkeypatch.setattr(setup.door._line, "_frames", _Toggling(setup.door))
        with pytest.raises(Forbidden, match="toggles"):
            await setup.door.unlock(setup.grant())
        assert len(setup.board.requests) == requests
        assert setup.bus.connected


class _Toggling:
    def __init__(self, door: RelayDoor) -> None:
        self.pulse = WriteCoil(1, 0, 0x5500)
        self.off, self.read = door._line._frames.off, door._line._frames.read


async def test_a_bus_that_lost_its_link_fifty_times_leaks_nothing() -> None:
    async with rig(poll_s=5) as setup:
        for _ in range(50):
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

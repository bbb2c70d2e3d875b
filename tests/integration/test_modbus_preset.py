"""Class A with the pulse's length in registers: set first, or no pulse; and a counter that proves one."""

import contextlib

from drivers.simulators.door_controller import Fault, FaultKind
from gateway.domain.doors import Outcome
from tests.fakes.modbus_rig import READS, rig, until
from tests.fakes.preset_board import ON_START, ON_WIDTH, ON_WIDTHS, PresetBoard, preset_profile


@contextlib.asynccontextmanager
async def preset(**arguments):
    async with rig(board=PresetBoard(), known=preset_profile(), **arguments) as setup:
        yield setup


async def test_the_length_is_set_before_each_pulse_and_the_board_ends_it() -> None:
    async with preset(extended_ms=900) as setup:
        for extended, length in ((False, 500), (True, 900)):
            actuation = await setup.door.unlock(setup.grant(extended=extended))
            assert (actuation.outcome, actuation.frames_sent) == (Outcome.CONFIRMED, 1)
            assert setup.board.map.registers[ON_WIDTH] == length
            seen = [e for e in setup.board.edges if e.on]
            off = await setup.board.wait_edge(len(setup.board.edges), on=False)
            assert off.why == "timer"
            assert abs((off.mono_ns - seen[-1].mono_ns) / 1e6 - length) < 200
            await until(lambda: not setup.door.line.claim.running)


async def test_a_length_that_cannot_be_set_means_no_pulse_least_of_all_an_old_one() -> None:
    async with preset(extended_ms=900) as setup:
        setup.board.map.registers[ON_WIDTH] = 60_000
        for kind, outcome in ((FaultKind.EXCEPTION, Outcome.REFUSED), (FaultKind.SILENT, Outcome.NOT_SENT)):
            setup.board.faults.once(Fault(kind=kind, code=3, **ON_WIDTHS))
            actuation = await setup.door.unlock(setup.grant())
            assert actuation.outcome is outcome
            assert actuation.frames_sent == 0
            assert actuation.sent_ns is None
            assert "length of the pulse" in actuation.evidence
            await setup.ready()
        assert setup.board.started() == 0
        assert setup.board.pulses(1) == 0


async def test_a_lost_echo_of_the_length_is_no_pulse_and_not_ambiguous() -> None:
    async with preset() as setup:
        setup.board.faults.once(Fault(kind=FaultKind.DROP_AFTER, **ON_WIDTHS))
        actuation = await setup.door.unlock(setup.grant())
        assert (actuation.outcome, actuation.frames_sent) == (Outcome.NOT_SENT, 0)
        assert setup.board.started() == 0


async def test_the_relays_counter_proves_a_pulse_that_could_not_be_read_back() -> None:
    async with preset(poll_s=5) as setup:
        setup.board.faults.once(Fault(kind=FaultKind.EXCEPTION, code=4, functions=READS))
        actuation = await setup.door.unlock(setup.grant())
        assert actuation.outcome is Outcome.CONFIRMED
        assert "counter" in actuation.evidence


async def test_a_counter_that_stays_is_no_proof() -> None:
    async with preset(poll_s=5) as setup:
        setup.board.relays.dead.add(1)
        actuation = await setup.door.unlock(setup.grant())
        assert actuation.outcome is Outcome.SENT


async def test_fault_3_a_lost_echo_of_a_short_pulse_is_proven_by_the_counter() -> None:
    async with preset(pulse_ms=100, poll_s=5, timeout_s=0.2) as setup:
        setup.board.faults.once(Fault(kind=FaultKind.DROP_AFTER, **ON_START))
        setup.board.faults.always(Fault(kind=FaultKind.EXCEPTION, code=4, functions=READS))
        actuation = await setup.door.unlock(setup.grant())
        assert actuation.frames_sent == 1
        assert setup.board.started() == 1
        assert actuation.outcome is Outcome.CONFIRMED
        assert "counter" in actuation.evidence
        setup.board.faults.clear()


async def test_lock_stops_the_pulse_and_switches_off() -> None:
    async with preset(pulse_ms=3000) as setup:
        await setup.door.unlock(setup.grant())
        seen = len(setup.board.requests)
        assert await setup.door.lock() is True
        assert not setup.board.is_on(1)
        writes = [p for p in setup.board.requests[seen:] if p[0] == 5]
        assert writes == [bytes([5, 0, 0x10, 0, 0]), bytes([5, 0, 0, 0, 0])]


async def test_a_device_may_refuse_one_way_to_switch_off_but_not_both() -> None:
    async with preset(poll_s=5) as setup:
        setup.board.faults.once(Fault(kind=FaultKind.EXCEPTION, code=3, **ON_START))
        assert await setup.door.lock() is True
        setup.board.faults.always(Fault(kind=FaultKind.EXCEPTION, code=3, functions=frozenset({5})))
        assert await setup.door.lock() is False
        setup.board.faults.clear()

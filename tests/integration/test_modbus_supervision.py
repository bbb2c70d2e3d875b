"""Reboots, stuck relays, other masters, one socket: a test a fault of the fault list, by its number."""

import asyncio
import time

from drivers.simulators.door_controller import DoorController, Fault, FaultKind
from gateway.domain.doors import Link, Outcome
from tests.fakes.modbus_rig import READS, rig, until


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
        await setup.board.wait_edge(on=False)
        setup.invariants(pulses=1)


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

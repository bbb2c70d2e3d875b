"""Class B: outputs that a gateway before us left ON, and those that the device does not switch OFF."""

import asyncio
import contextlib
import time

from drivers.modbus.unit import Unit
from drivers.simulators.door_controller import Fault, FaultKind
from tests.fakes.held_board import RUN, STATUS, TIME, WATCHDOG_MS, HeldBoard, held_profile
from tests.fakes.modbus_rig import rig, until

SLACK_S = 0.3
WATCHDOG_S = WATCHDOG_MS / 1e3


@contextlib.asynccontextmanager
async def left_on(doors: int = 4, known=None):
    """All relays ON, the watchdog running, and a gateway that starts."""
    board = HeldBoard()
    async with rig(board=board, known=known or held_profile(), doors=doors, start=False) as setup:
        board.map.registers.update({TIME: WATCHDOG_MS // 100, RUN: 1, STATUS: 1})
        board.map.feed()
        for relay in range(1, doors + 1):
            board.write_from_elsewhere(relay, on=True)
        yield setup


async def all_off(setup, doors: int = 4) -> float:
    """Start the doors; how long it takes until no relay is ON."""
    began = time.monotonic()
    for door in setup.doors:
        await door.start()
    await until(lambda: not any(setup.board.is_on(n) for n in range(1, doors + 1)))
    return time.monotonic() - began


def off(relay: int) -> bytes:
    return bytes([5, 0, relay - 1, 0, 0])


async def test_nothing_is_said_until_the_watchdog_has_ended_what_was_left_on() -> None:
    async with left_on() as setup:
        assert await all_off(setup) <= WATCHDOG_S + SLACK_S
        assert setup.board.requests == []
        assert {edge.why for edge in setup.board.edges if not edge.on} == {"watchdog"}
        await setup.ready()
        assert setup.board.requests[0] == off(1)


async def test_whatever_the_line_does_meanwhile_they_go_off_in_time() -> None:
    async with left_on() as setup:
        setup.board.faults.always(Fault(kind=FaultKind.DROP_AFTER))
        assert await all_off(setup) <= WATCHDOG_S + SLACK_S
        setup.board.faults.clear()
        await setup.ready()


async def test_a_gateway_that_crashes_again_and_again_puts_nothing_off() -> None:
    board = HeldBoard()
    async with rig(board=board, known=held_profile(), doors=4, start=False) as first:
        board.map.registers.update({TIME: WATCHDOG_MS // 100, RUN: 1, STATUS: 1})
        board.map.feed()
        board.write_from_elsewhere(4, on=True)
        began = time.monotonic()
        while board.is_on(4):
            assert time.monotonic() - began <= WATCHDOG_S + SLACK_S
            unit = Unit(first.bus, first.unit.plan)
            unit.enter()
            await asyncio.sleep(0.2)
            for task in unit._tasks:
                task.cancel()


async def test_an_output_that_takes_no_off_does_not_keep_its_neighbours_shut_for_long() -> None:
    async with left_on(2) as setup:
        setup.board.faults.always(
            Fault(kind=FaultKind.EXCEPTION, code=4, addresses=range(1), functions=frozenset({5}))
        )
        for door in setup.doors:
            await door.start()
        await until(lambda: setup.doors[1].health().ready)
        assert not setup.doors[0].health().ready


async def test_an_off_in_vain_silences_the_unit_until_its_watchdog_has_ended_the_pulse() -> None:
    async with rig(
        board=HeldBoard(), known=held_profile(), doors=2, pulse_ms=300, inputs=(1,), poll_s=0.1
    ) as setup:
        await setup.door.unlock(setup.grant())
        setup.board.faults.always(Fault(kind=FaultKind.EXCEPTION, code=4, functions=frozenset({5})))
        edge = await setup.board.wait_edge(on=False, timeout_s=8)
        assert edge.why == "watchdog"
        assert setup.longest_on_s(1) <= 0.3 + 2.0 + 0.25 + WATCHDOG_S + SLACK_S
        await until(lambda: not setup.door.line.claim.running)
        setup.board.faults.clear()
        await setup.ready(15)
        assert setup.board.opened() == 1


async def test_a_device_out_of_reach_is_not_left_alone_longer_than_that() -> None:
    async with rig(board=HeldBoard(), known=held_profile(), pulse_ms=300) as setup:
        await setup.door.unlock(setup.grant())
        await setup.board.refuse()
        await asyncio.sleep(3 * WATCHDOG_S)
        await setup.board.listen()
        began = time.monotonic()
        await setup.ready()
        assert time.monotonic() - began <= 3.0
        assert setup.board.opened() == 1

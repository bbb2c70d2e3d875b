"""Class B: outputs that a gateway before us left ON, and those that the device does not switch OFF."""

import asyncio
import contextlib
import time

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


async def test_every_output_is_switched_off_before_anything_else_is_asked() -> None:
    async with left_on() as setup:
        await all_off(setup)
        assert setup.board.requests[:4] == [off(n) for n in (1, 2, 3, 4)]
        await setup.ready()


async def test_a_link_that_ends_after_every_frame_still_switches_off_one_output_a_connection() -> None:
    async with left_on() as setup:
        setup.board.faults.always(Fault(kind=FaultKind.DROP_AFTER))
        assert await all_off(setup) <= 1.5 * WATCHDOG_S + SLACK_S
        assert {edge.why for edge in setup.board.edges if not edge.on} == {"write"}
        setup.board.faults.clear()
        await setup.ready()


async def test_an_off_that_is_lost_does_not_keep_the_others_waiting() -> None:
    async with left_on() as setup:
        first = range(1)
        setup.board.faults.always(
            Fault(kind=FaultKind.DROP_BEFORE, addresses=first, functions=frozenset({5}))
        )
        began = time.monotonic()
        await all_off(setup)
        assert time.monotonic() - began <= 1.5 * WATCHDOG_S + SLACK_S
        gone = {edge.relay: edge for edge in setup.board.edges if not edge.on}
        assert {n: gone[n].why for n in (1, 2, 3, 4)} == {1: "watchdog", 2: "write", 3: "write", 4: "write"}
        setup.board.faults.clear()
        await setup.ready()


async def test_what_the_device_refuses_to_switch_off_is_left_to_its_watchdog() -> None:
    async with left_on() as setup:
        setup.board.faults.always(Fault(kind=FaultKind.EXCEPTION, code=4, functions=frozenset({5})))
        assert await all_off(setup) <= 1.5 * WATCHDOG_S + SLACK_S
        assert setup.board.map.expired == 1
        setup.board.faults.clear()
        await setup.ready()


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

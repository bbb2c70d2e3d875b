"""One device: proven, armed, looked at; and what that costs its doors."""

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from drivers.modbus.readiness import Readiness
from drivers.simulators.door_controller import DoorController
from drivers.simulators.modbus_map import exception
from gateway.domain.doors import Link, Outcome
from tests.fakes.held_board import STATUS, TIME, WATCHDOG_MS, HeldBoard, held_profile
from tests.fakes.modbus_rig import rig, until

CHILD = Path(__file__).with_name("modbus_stopped_child.py")
PROOF_S = WATCHDOG_MS / 1000 * 1.2 + 0.5
SPARE = 8
SPARE_ON = bytes([5, 0, SPARE - 1, 0xFF, 0])


@contextlib.asynccontextmanager
async def spared(board: HeldBoard | None = None, **arguments):
    """A device that cannot say by itself whether its watchdog runs."""
    known = held_profile(running=None, clear=None)
    async with rig(
        board=board or _Plain(), known=known, spare=SPARE, pulse_ms=600, start=False, **arguments
    ) as setup:
        yield setup


class _Plain(HeldBoard):
    """Its outputs follow writes again right after an expiry, and restart the watchdog."""

    def __init__(self) -> None:
        super().__init__()
        expire = self.map._expire

        def expire_and_go_on() -> None:
            expire()
            self.map.registers[STATUS] = 1

        self.map._expire = expire_and_go_on


async def test_a_spare_output_proves_the_watchdog_by_dropping_in_silence() -> None:
    async with spared(inputs=(1,)) as setup:
        board = setup.board
        await setup.door.start()
        await board.wait_edge(relay=SPARE, on=True)
        await until(lambda: "takes" in setup.door.health().detail)
        assert setup.door.health().link is Link.UNARMED
        assert (await setup.door.unlock(setup.grant())).outcome is Outcome.NOT_SENT
        await asyncio.sleep(0.1)
        said = len(board.requests)
        off = await board.wait_edge(relay=SPARE, on=False)
        assert off.why == "watchdog"
        assert len(board.requests) == said
        await setup.ready()
        assert "watchdog_unarmed" not in setup.door.health().alarms
        assert board.map.expired == 1
        assert (await setup.door.unlock(setup.grant())).outcome is Outcome.CONFIRMED
        assert board.pulses(SPARE) == 1


async def test_a_watchdog_that_does_not_drop_the_spare_output_arms_nothing() -> None:
    board = _Plain()
    board.map.watchdog_works = False
    async with spared(board) as setup:
        await setup.door.start()
        await until(lambda: "watchdog_unarmed" in setup.door.health().alarms)
        health = setup.door.health()
        assert health.link is Link.UNARMED
        assert "still ON" in health.detail
        refused = await setup.door.unlock(setup.grant())
        assert (refused.outcome, refused.frames_sent) == (Outcome.NOT_SENT, 0)
        assert await setup.door.lock() is True
        assert not board.is_on(SPARE)


async def test_a_watchdog_that_reads_as_set_and_was_never_started_is_started() -> None:
    board = _Plain()
    board.map.registers[TIME] = WATCHDOG_MS // 100
    async with spared(board) as setup:
        await setup.door.start()
        await until(lambda: "still ON" in setup.door.health().detail)
        await setup.ready(timeout_s=10)
        assert board.map.registers[STATUS] == 1


async def test_a_proof_that_was_disturbed_is_no_proof_and_is_tried_again() -> None:
    async with spared() as setup:
        await setup.door.start()
        await setup.board.wait_edge(relay=SPARE, on=True)
        await asyncio.sleep(0.2)
        assert await setup.door.lock() is True
        await until(lambda: "something was sent" in setup.door.health().detail)
        await setup.ready(timeout_s=10)
        assert setup.board.requests.count(SPARE_ON) == 2


async def test_a_gateway_that_stops_during_the_proof_leaves_the_spare_output_off() -> None:
    async with spared() as setup:
        await setup.door.start()
        await setup.board.wait_edge(relay=SPARE, on=True)
        await setup.door.aclose()
        assert not setup.board.is_on(SPARE)
        assert setup.board.edges[-1].why == "write"


async def test_after_a_lost_link_the_proof_waits_for_the_pulse_that_still_runs() -> None:
    async with spared() as setup:
        await setup.door.start()
        await setup.ready()
        await setup.door.unlock(setup.grant())
        seen = len(setup.board.edges)
        await setup.board.cut()
        off = await setup.board.wait_edge(seen, relay=1, on=False)
        assert off.why == "write"
        on = await setup.board.wait_edge(seen, relay=SPARE, on=True)
        assert on.mono_ns > off.mono_ns
        await setup.ready()


async def test_a_stuck_output_keeps_its_own_door_shut_only() -> None:
    async with rig(board=HeldBoard(), known=held_profile(), doors=2, poll_s=0.1) as setup:
        setup.board.write_from_elsewhere(2, on=True)
        setup.board.relays.dead.add(2)
        await until(lambda: "stuck_on" in setup.doors[1].health().alarms)
        assert (await setup.doors[0].unlock(setup.grant())).outcome is Outcome.CONFIRMED
        assert (await setup.doors[1].unlock(setup.grant(door=1))).outcome is Outcome.NOT_SENT


async def test_outputs_of_one_device_are_looked_at_in_one_request() -> None:
    async with rig(doors=4, poll_s=0.1) as setup:
        await asyncio.sleep(0.3)
        seen = len(setup.board.requests)
        await asyncio.sleep(0.5)
        assert set(setup.board.requests[seen:]) == {bytes([1, 0, 0, 0, 4])}
        assert 3 <= len(setup.board.requests) - seen <= 7


async def test_a_device_that_refuses_to_be_asked_for_several_outputs_is_asked_for_each() -> None:
    async with rig(doors=2, poll_s=0.1, start=False) as setup:
        answer = setup.board.map.answer

        def picky(pdu: bytes) -> bytes:
            return exception(1, 3) if pdu[0] == 1 and pdu[4] > 1 else answer(pdu)

        setup.board.map.answer = picky
        for door in setup.doors:
            await door.start()
        await setup.ready()
        told = len(setup.told)
        await asyncio.sleep(0.4)
        assert bytes([1, 0, 1, 0, 1]) in setup.board.requests[-4:]
        assert setup.told[told:] == []


async def test_grants_during_the_proof_do_not_disturb_it() -> None:
    async with spared(doors=2, turnstile=True) as setup:
        for door in setup.doors:
            await door.start()
        await setup.board.wait_edge(relay=SPARE, on=True)
        for _ in range(5):
            assert (await setup.door.unlock(setup.grant())).outcome is Outcome.NOT_SENT
            await asyncio.sleep(0.05)
        await setup.ready()
        assert setup.board.requests.count(SPARE_ON) == 1


async def test_a_bug_in_the_units_task_shuts_its_doors_and_is_survived(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with rig(poll_s=0.1) as setup:
        look, broken = Readiness.look, []

        async def fail(unit: Readiness) -> bool:
            if not broken:
                broken.append(unit)
                raise RuntimeError("a bug")
            return await look(unit)

        monkeypatch.setattr(Readiness, "look", fail)
        await until(lambda: "a bug" in setup.door.health().detail)
        assert (await setup.door.unlock(setup.grant())).outcome is Outcome.NOT_SENT
        await setup.ready()


async def test_both_directions_of_a_turnstile_are_never_on_together() -> None:
    async with rig(board=DoorController(), doors=2, turnstile=True, pulse_ms=300, poll_s=0.1) as setup:
        grants = [setup.grant(door=i % 2) for i in range(6)]
        actuations = await asyncio.gather(*(setup.doors[i % 2].unlock(g) for i, g in enumerate(grants)))
        assert sum(a.frames_sent for a in actuations) >= 1
        await until(lambda: not any(d.line.may_be_on for d in setup.doors))
        assert (await setup.doors[1].unlock(setup.grant(door=1))).outcome is Outcome.CONFIRMED
        refused = await setup.doors[0].unlock(setup.grant())
        assert refused.outcome is Outcome.NOT_SENT
        assert "same group" in refused.evidence
        await until(lambda: not setup.board.is_on(2))
        on: set[int] = set()
        for edge in setup.board.edges:
            on = on | {edge.relay} if edge.on else on - {edge.relay}
            assert len(on) <= 1


async def test_a_turnstile_whose_other_direction_is_stuck_is_not_pulsed() -> None:
    async with rig(board=DoorController(), doors=2, turnstile=True, pulse_ms=300, poll_s=5) as setup:
        setup.board.relays.weld(2)
        setup.board.write_from_elsewhere(2, on=True)
        setup.board.relays.dead.add(2)
        setup.doors[1].line.seen = None
        refused = await setup.doors[0].unlock(setup.grant())
        assert (refused.outcome, refused.frames_sent) == (Outcome.NOT_SENT, 0)


async def test_fault_18_a_stopped_gateway_loses_its_pulse_to_the_watchdog_and_its_grants_to_time() -> None:
    async with HeldBoard() as board:
        child = await asyncio.create_subprocess_exec(
            sys.executable, str(CHILD), str(board.port), stdout=asyncio.subprocess.PIPE, cwd=CHILD.parents[2]
        )
        try:
            assert child.stdout is not None
            async with asyncio.timeout(30):
                await child.stdout.readline()  # the pulse has been sent
                await board.wait_edge(on=True)
                os.kill(child.pid, signal.SIGSTOP)
                off = await board.wait_edge(on=False)
                assert off.why == "watchdog"
                began = time.monotonic()
                await asyncio.sleep(1.0)
                heard = len(board.requests)
                os.kill(child.pid, signal.SIGCONT)
                off_frame = bytes([5, 0, 0, 0, 0])
                await until(lambda: off_frame in board.requests[heard:])
                assert time.monotonic() - began < 3.0
                said = json.loads(await child.stdout.readline())
            assert said["late"] == "not_sent"
            assert "watchdog_unarmed" in said["alarms"]
            # The next grant is carried out if it comes after the watchdog was armed anew, and not before.
            assert board.opened() == 1 + (said["after"] == "confirmed")
            assert board.map.expired == 1
        finally:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()

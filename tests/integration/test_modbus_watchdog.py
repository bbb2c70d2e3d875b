"""Class B and C: the gateway ends the pulse, something else when it cannot. Faults by their number."""

import asyncio
import contextlib
import time

import pytest

from drivers.simulators.door_controller import Fault, FaultKind
from gateway.domain.doors import Link, Outcome
from gateway.domain.errors import ConfigError
from tests.fakes.held_board import (
    CLEAR,
    ON_SWITCH,
    POWER_ON,
    RUN,
    STATUS,
    TIME,
    WATCHDOG_MS,
    HeldBoard,
    held_profile,
)
from tests.fakes.modbus_rig import READS, Rig, rig, until

PULSE_MS = 300
SLACK_S = 0.3
OFF = bytes([5, 0, 0, 0, 0])
ON = bytes([5, 0, 0, 0xFF, 0])


@contextlib.asynccontextmanager
async def held(**arguments):
    arguments = {"board": HeldBoard(), "known": held_profile(), "pulse_ms": PULSE_MS, **arguments}
    async with rig(**arguments) as setup:
        yield setup


def longest(setup: Rig) -> float:
    return setup.longest_on_s(1)


async def test_a_pulse_is_ended_by_the_driver_in_time_and_read_back() -> None:
    async with held() as setup:
        actuation = await setup.door.unlock(setup.grant())
        assert (actuation.outcome, actuation.frames_sent) == (Outcome.CONFIRMED, 1)
        off = await setup.board.wait_edge(on=False)
        assert off.why == "write"
        assert PULSE_MS / 1e3 - 0.05 <= longest(setup) <= PULSE_MS / 1e3 + SLACK_S
        await until(lambda: not setup.door.line.claim.running)
        assert setup.board.map.expired == 0
        assert not setup.door.health().alarms


async def test_the_extended_pulse_is_longer_and_the_grant_says_which() -> None:
    async with held(extended_ms=600) as setup:
        await setup.door.unlock(setup.grant(extended=True))
        await setup.board.wait_edge(on=False)
        assert 0.55 <= longest(setup) <= 0.6 + SLACK_S


async def test_the_first_thing_a_device_hears_is_off_and_its_watchdog_is_armed_before_any_unlock() -> None:
    async with held(start=False) as setup:
        setup.board.write_from_elsewhere(1, on=True)
        await setup.door.start()
        await setup.ready()
        assert setup.board.requests[0] == OFF
        assert not setup.board.is_on(1)
        assert setup.board.map.registers[TIME] == WATCHDOG_MS // 100
        assert setup.board.map.registers[STATUS] == 1
        assert ON not in setup.board.requests


async def test_a_watchdog_that_is_set_already_is_not_written_again() -> None:
    board = HeldBoard()
    board.map.registers.update({TIME: WATCHDOG_MS // 100, RUN: 1, STATUS: 1})
    async with held(board=board) as setup:
        assert setup.door.health().ready
        assert {p[1:3] for p in board.requests if p[0] == 6} <= {CLEAR.to_bytes(2, "big")}


async def test_an_idle_class_b_device_is_fed_and_stays_ready() -> None:
    async with held() as setup:
        await asyncio.sleep(2.5 * WATCHDOG_MS / 1e3)
        assert setup.board.map.expired == 0
        assert setup.door.health().link is Link.UP


async def test_where_only_writes_feed_it_off_to_the_spare_output_does() -> None:
    board = HeldBoard()
    board.map.fed_by_writes_only = True
    async with held(board=board, known=held_profile(fed_by="write"), spare=8) as setup:
        await asyncio.sleep(1.5 * WATCHDOG_MS / 1e3)
        assert board.map.expired == 0
        assert (await setup.door.unlock(setup.grant())).outcome is Outcome.CONFIRMED
        assert board.requests.count(bytes([5, 0, 7, 0, 0])) >= 3


async def test_a_second_grant_makes_the_pulse_longer_and_off_comes_at_the_later_time() -> None:
    async with held() as setup:
        await setup.door.unlock(setup.grant())
        await asyncio.sleep(0.2)
        second = await setup.door.unlock(setup.grant())
        assert (second.outcome, second.frames_sent) == (Outcome.CONFIRMED, 1)
        await setup.board.wait_edge(on=False)
        assert 0.45 <= longest(setup) <= 0.5 + SLACK_S
        assert setup.board.pulses(1) == 1
        assert setup.board.opened() == 2


async def test_a_grant_that_meets_the_off_of_the_one_before_has_its_whole_pulse() -> None:
    async with held(doors=1) as setup:
        await setup.door.unlock(setup.grant())
        await asyncio.sleep(PULSE_MS / 1e3 - 0.01)
        began = time.monotonic_ns()
        actuation = await setup.door.unlock(setup.grant())
        assert actuation.outcome in {Outcome.CONFIRMED, Outcome.SENT}
        await until(lambda: not setup.door.line.claim.running)
        last = [e for e in setup.board.edges if not e.on][-1]
        assert (last.mono_ns - began) / 1e9 >= PULSE_MS / 1e3 - 0.02


async def test_a_cancelled_unlock_does_not_leave_the_door_open() -> None:
    async with held() as setup:
        setup.board.faults.once(Fault(kind=FaultKind.LATE_REPLY, seconds=0.15, **ON_SWITCH))
        task = asyncio.create_task(setup.door.unlock(setup.grant(name="cancelled")))
        await setup.board.wait_edge(on=True)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await setup.board.wait_edge(on=False)
        assert longest(setup) <= PULSE_MS / 1e3 + SLACK_S
        assert (await setup.door.unlock(setup.grant(name="cancelled"))).outcome is Outcome.AMBIGUOUS
        assert setup.board.opened() == 1


async def test_off_that_fails_is_tried_for_ever_and_the_door_says_so() -> None:
    async with held() as setup:
        await setup.door.unlock(setup.grant())
        setup.board.faults.always(Fault(kind=FaultKind.EXCEPTION, code=4, functions=frozenset({5})))
        await until(lambda: "overstay" in setup.door.health().alarms)
        tried = setup.board.requests.count(OFF)
        await asyncio.sleep(0.8)
        assert 2 <= setup.board.requests.count(OFF) - tried <= 6
        assert setup.board.is_on(1)
        assert setup.door.line.claim.running
        setup.board.faults.clear()
        await setup.board.wait_edge(on=False)
        await until(lambda: "overstay" not in setup.door.health().alarms)


async def test_a_closing_door_ends_its_pulse() -> None:
    async with held(pulse_ms=5000) as setup:
        await setup.door.unlock(setup.grant())
        await setup.door.aclose()
        assert not setup.board.is_on(1)
        names = [t.get_name() for t in asyncio.all_tasks()]
        assert not [n for n in names if n.startswith(("off ", "unit ", "inputs ", "modbus "))]


async def test_faults_1_and_2_nothing_is_sent_while_the_device_is_away_nor_when_it_returns() -> None:
    async with held(listening=False) as setup:
        began = time.monotonic()
        actuation = await setup.door.unlock(setup.grant())
        assert (actuation.outcome, actuation.frames_sent) == (Outcome.NOT_SENT, 0)
        assert time.monotonic() - began < 0.2
        await setup.board.listen()
        await setup.ready()
        setup.board.faults.always(Fault(kind=FaultKind.SILENT))
        await until(lambda: not setup.door.health().ready)
        assert (await setup.door.unlock(setup.grant())).outcome is Outcome.NOT_SENT
        setup.board.faults.clear()
        await setup.ready()
        await asyncio.sleep(0.2)
        assert setup.board.opened() == 0


async def test_fault_3_a_lost_echo_is_settled_by_the_look_and_the_pulse_ends_in_time() -> None:
    async with held() as setup:
        setup.board.faults.once(Fault(kind=FaultKind.DROP_AFTER, **ON_SWITCH))
        actuation = await setup.door.unlock(setup.grant())
        assert (actuation.outcome, actuation.frames_sent) == (Outcome.CONFIRMED, 1)
        await setup.board.wait_edge(on=False)
        assert longest(setup) <= PULSE_MS / 1e3 + SLACK_S
        assert setup.board.opened() == 1


async def test_fault_3_a_link_that_stays_away_leaves_the_pulse_to_the_watchdog() -> None:
    async with held() as setup:
        await setup.door.unlock(setup.grant())
        await setup.board.refuse()
        off = await setup.board.wait_edge(on=False)
        assert off.why == "watchdog"
        assert longest(setup) <= (PULSE_MS + WATCHDOG_MS) / 1e3 + SLACK_S
        assert "overstay" in setup.door.health().alarms
        await setup.board.listen()
        await setup.ready()
        assert setup.board.map.registers[STATUS] == 1
        await until(lambda: "overstay" not in setup.door.health().alarms)
        assert setup.board.opened() == 1


async def test_fault_10_whatever_the_device_says_to_on_it_is_off_in_time_and_asked_at_most_twice() -> None:
    async def play(code: int) -> None:
        async with held(poll_s=5) as setup:
            setup.board.faults.once(Fault(kind=FaultKind.EXCEPTION, code=code, **ON_SWITCH))
            actuation = await setup.door.unlock(setup.grant())
            refused = {1, 2, 3, 10}
            expected = Outcome.REFUSED if code in refused else Outcome.AMBIGUOUS
            assert actuation.outcome is (Outcome.CONFIRMED if code == 6 else expected), code
            assert setup.board.opened() == actuation.frames_sent == (2 if code == 6 else 1)
            await until(lambda: not setup.door.line.claim.running)
            assert not setup.board.is_on(1)

    await asyncio.gather(*(play(code) for code in (1, 2, 3, 4, 5, 6, 8, 10, 11)))


async def test_fault_10_a_turnstile_is_not_asked_twice_even_if_it_was_busy() -> None:
    async with held(doors=2, turnstile=True, pulse_ms=300) as setup:
        setup.board.faults.once(Fault(kind=FaultKind.EXCEPTION, code=6, **ON_SWITCH))
        actuation = await setup.door.unlock(setup.grant())
        assert (actuation.outcome, actuation.frames_sent) == (Outcome.REFUSED, 1)


async def test_fault_12_of_many_grants_on_a_slow_device_the_expired_are_never_sent() -> None:
    async with held(timeout_s=1.0) as setup:
        setup.board.faults.always(Fault(kind=FaultKind.LATE_REPLY, seconds=0.15, functions=READS | {5}))
        grants = [setup.grant(ttl_s=0.5) for _ in range(20)]
        actuations = await asyncio.gather(*(setup.door.unlock(g) for g in grants))
        sent = [a for a in actuations if a.frames_sent]
        assert sent
        assert all(a.frames_sent == 1 and a.sent_ns < grants[0].expires_ns + 10**7 for a in sent)
        assert setup.board.opened() == len(sent) < 20
        setup.board.faults.clear()
        await until(lambda: not setup.door.line.claim.running)
        assert not setup.board.is_on(1)


async def test_fault_13_a_reboot_in_mid_pulse_is_proven_off_armed_anew_and_told() -> None:
    async with held() as setup:
        await setup.door.unlock(setup.grant())
        setup.board.reboot_behind_a_gateway()
        assert not setup.board.is_on(1)
        await until(lambda: "device_rebooted" in setup.door.health().alarms)
        assert any(h.link is Link.UNARMED and "rebooted" in h.detail for h in setup.told)
        await setup.ready()
        assert setup.board.map.registers[STATUS] == 1
        assert setup.bus.epoch == 1
        await until(lambda: not setup.door.line.claim.running)
        assert (await setup.door.unlock(setup.grant())).outcome is Outcome.CONFIRMED


async def test_fault_13_a_reboot_that_takes_the_link_along_is_met_like_a_new_device() -> None:
    async with held() as setup:
        await setup.door.unlock(setup.grant())
        setup.board.map.defaults()
        await setup.board.reboot(dark_s=0.1)
        await until(lambda: not setup.door.health().ready)
        armed = len(setup.board.requests)
        await setup.ready()
        writes = [p for p in setup.board.requests[armed:] if p[0] in {5, 6}]
        assert bytes([6, RUN >> 8, RUN & 255, 0, 1]) in writes
        assert setup.board.map.registers[STATUS] == 1


async def test_fault_14_a_factory_reset_that_keeps_the_link_is_seen_before_the_next_unlock() -> None:
    async with held() as setup:
        setup.board.map.defaults()
        setup.board.faults.always(Fault(kind=FaultKind.EXCEPTION, code=2, functions=frozenset({6})))
        await until(lambda: setup.door.health().link is Link.UNARMED)
        health = setup.door.health()
        assert "watchdog_unarmed" in health.alarms
        assert "watchdog" in health.detail
        refused = await setup.door.unlock(setup.grant())
        assert (refused.outcome, refused.frames_sent) == (Outcome.NOT_SENT, 0)
        assert "watchdog" in refused.evidence
        assert await setup.door.lock() is True
        assert setup.bus.epoch == 1
        setup.board.faults.clear()
        await setup.ready()
        assert "watchdog_unarmed" in setup.door.health().alarms  # for a minute: someone should see it
        assert (await setup.door.unlock(setup.grant())).outcome is Outcome.CONFIRMED


async def test_fault_14_a_power_on_value_that_is_on_keeps_the_door_shut() -> None:
    async with held(start=False) as setup:
        setup.board.map.registers[POWER_ON] = 1
        await setup.door.start()
        await until(lambda: "settings_wrong" in setup.door.health().alarms)
        assert setup.door.health().link is Link.UNARMED
        assert "power-on" in setup.door.health().detail
        assert (await setup.door.unlock(setup.grant())).outcome is Outcome.NOT_SENT
        setup.board.map.registers[POWER_ON] = 0
        await setup.ready()


async def test_an_expired_watchdog_is_cleared_after_everything_is_off() -> None:
    async with held() as setup:
        setup.board.map._expire()
        await until(lambda: setup.door.health().link is not Link.UP)
        await setup.ready()
        clear = bytes([6, CLEAR >> 8, CLEAR & 255, 0, 1])
        assert clear in setup.board.requests
        assert (await setup.door.unlock(setup.grant())).outcome is Outcome.CONFIRMED


async def test_fault_16_a_dead_relay_is_sent_then_out_of_service() -> None:
    async with held() as setup:
        setup.board.relays.dead.add(1)
        for _ in range(3):
            assert (await setup.door.unlock(setup.grant())).outcome is Outcome.SENT
        assert "no_readback" in setup.door.health().alarms
        assert (await setup.door.unlock(setup.grant())).outcome is Outcome.NOT_SENT


async def test_fault_17_without_a_gateway_the_watchdog_drops_the_output() -> None:
    async with held(pulse_ms=5000) as setup:
        await setup.door.unlock(setup.grant())
        for task in asyncio.all_tasks():
            if task.get_name().startswith(("off ", "unit ", "inputs ", "modbus ")):
                task.cancel()  # what kill -9 leaves: nobody
        off = await setup.board.wait_edge(on=False)
        assert off.why == "watchdog"
        assert longest(setup) <= WATCHDOG_MS / 1e3 + SLACK_S


async def test_an_off_that_nobody_writes_silences_the_unit_so_that_its_watchdog_may_act() -> None:
    async with held(inputs=(1, 2)) as setup:
        await setup.door.unlock(setup.grant())
        next(t for t in asyncio.all_tasks() if t.get_name() == "off door-1").cancel()  # a bug
        off = await setup.board.wait_edge(on=False, timeout_s=8)
        assert off.why == "watchdog"


async def test_fault_31_on_from_elsewhere_is_switched_off_and_told() -> None:
    async with held(poll_s=0.1) as setup:
        setup.board.write_from_elsewhere(1, on=True)
        assert (await setup.board.wait_edge(on=False)).why == "write"
        await until(lambda: "foreign_write" in setup.door.health().alarms)


async def test_fault_31_our_own_pulse_is_never_foreign_and_one_after_it_is() -> None:
    async with held(poll_s=0.05) as setup:
        await setup.door.unlock(setup.grant())
        await setup.board.wait_edge(on=False)
        await until(lambda: not setup.door.line.claim.running)
        assert not setup.door.health().alarms
        setup.board.write_from_elsewhere(1, on=True)
        await until(lambda: "foreign_write" in setup.door.health().alarms)


async def test_class_c_is_refused_unless_allowed_and_then_says_that_it_is_unsafe() -> None:
    async with held(known=held_profile("C")) as setup:
        health = setup.door.health()
        assert "unsafe_profile" in health.alarms
        assert health.facts["worst_exposure_ms"] == "without end"
        await setup.door.unlock(setup.grant())
        assert (await setup.board.wait_edge(on=False)).why == "write"
        assert longest(setup) <= PULSE_MS / 1e3 + SLACK_S
        with pytest.raises(ConfigError, match="class C"):
            type(setup.door)(
                door_id=setup.door.door_id, serves=frozenset(), unit=setup.unit, plan=setup.door.line.plan
            )


async def test_health_says_who_ends_a_pulse_and_how_long_a_door_may_stay_open() -> None:
    async with held(extended_ms=600) as setup:
        facts = setup.door.health().facts
        assert facts["class"].startswith("B")
        assert facts["worst_exposure_ms"] == str(600 + WATCHDOG_MS)
        assert facts["watchdog_ms"] == str(WATCHDOG_MS)
        assert "status" in facts["watchdog"]

"""Inputs of real frames: few requests, edges between two polls, and nothing that one device costs another."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from drivers.modbus.sensors import DoorSensors, InputRef, SensorMap
from drivers.simulators.door_controller import Fault, FaultKind
from gateway.domain.doors import Outcome
from gateway.domain.ids import DoorId
from gateway.domain.readings import Direction, Readings, Sensor
from tests.fakes.held_board import COUNTERS, LATCHES, HeldBoard, counting_profile
from tests.fakes.modbus_rig import PULSE_MS, Rig, rig, until

COUNTED = {"counter": {"space": "input", "first": COUNTERS}}
LATCHED = {
    "latches": {
        "high": {"space": "discrete_inputs", "first": LATCHES},
        "low": {"space": "discrete_inputs", "first": LATCHES + 8},
        "clear_high": {"coil": LATCHES, "value": 1},
        "clear_low": {"coil": LATCHES + 1, "value": 1},
    }
}
INPUTS = frozenset({2})


@contextlib.asynccontextmanager
async def counting(inputs=(1, 2), poll_s=0.1, **kinds) -> AsyncIterator[Rig]:
    known = counting_profile(**kinds)
    async with rig(board=HeldBoard(), known=known, inputs=inputs, input_poll_s=poll_s) as setup:
        await until(lambda: setup.unit.inputs.why_unreadable is None)
        yield setup


@contextlib.asynccontextmanager
async def sensed(setup: Rig, **passages: InputRef) -> AsyncIterator[DoorSensors]:
    wiring = SensorMap(
        sensors={Sensor.CONTACT: InputRef(setup.unit, 1)},
        passages={Direction(way): ref for way, ref in passages.items()},
    )
    sensors = DoorSensors(
        DoorId("door-1"), wiring, clock=setup.bus.clock, lines={setup.door.line: setup.unit}
    )
    await sensors.start()
    try:
        yield sensors
    finally:
        await sensors.aclose()


async def rounds(setup: Rig, number: int = 2) -> None:
    for _ in range(number):
        at_ns = setup.unit.inputs.at_ns
        await until(lambda at=at_ns: setup.unit.inputs.at_ns > at)


async def pulse(setup: Rig, number: int) -> None:
    """Shorter than a poll."""
    setup.board.map.set_input(number, on=True)
    await asyncio.sleep(0.02)
    setup.board.map.set_input(number, on=False)


async def test_inputs_far_apart_in_one_row_are_one_request_ten_times_a_second() -> None:
    async with counting(inputs=(1, 8)) as setup:
        seen = len(setup.board.requests)
        await asyncio.sleep(1.0)
        reads = [p for p in setup.board.requests[seen:] if p[0] == 2]
        assert set(reads) == {bytes([2, 0, 0, 0, 8])}
        assert 6 <= len(reads) <= 11


async def test_fault_30_counters_count_passages_between_two_polls() -> None:
    async with (
        counting(poll_s=0.2, **COUNTED) as setup,
        sensed(setup, **{"in": InputRef(setup.unit, 2)}) as sensors,
    ):
        await rounds(setup)
        before = sensors.latest().passages[Direction.IN]
        for _ in range(3):
            await pulse(setup, 2)
        await rounds(setup)
        assert sensors.latest().passages[Direction.IN] == before + 3


async def test_fault_30_latches_remember_a_passage_between_two_polls_once() -> None:
    async with (
        counting(poll_s=0.2, **LATCHED) as setup,
        sensed(setup, **{"in": InputRef(setup.unit, 2), "out": InputRef(setup.unit, 2, "low")}) as sensors,
    ):
        await rounds(setup)
        for passed in (1, 2):
            await pulse(setup, 2)
            await rounds(setup, 3)
            latest = sensors.latest()
            assert latest.passages == {Direction.IN: passed, Direction.OUT: passed}
        assert not any(setup.board.map.latches)


async def test_a_device_that_forgets_its_counters_is_told_of_and_counts_on() -> None:
    async with (
        counting(poll_s=0.02, **COUNTED) as setup,
        sensed(setup, **{"in": InputRef(setup.unit, 2)}) as sensors,
    ):
        setup.board.map.counters[1] = 900
        await rounds(setup)
        assert "counter_reset" in sensors.alarms()
        setup.board.map.counters[1] = 0
        await rounds(setup)
        before = sensors.latest().passages[Direction.IN]
        await pulse(setup, 2)
        await rounds(setup)
        assert sensors.latest().passages[Direction.IN] == before + 1
        assert 0 <= before <= 2


async def test_inputs_that_fail_are_unknown_and_leave_the_relay_of_the_same_device_alone() -> None:
    async with counting(poll_s=0.05) as setup, sensed(setup) as sensors:
        setup.board.faults.always(Fault(kind=FaultKind.EXCEPTION, code=4, functions=INPUTS))
        await until(lambda: sensors.latest().get(Sensor.CONTACT) is None)
        assert "inputs_unreadable" in sensors.alarms()
        assert setup.door.health().ready
        assert (await setup.door.unlock(setup.grant())).outcome is Outcome.CONFIRMED
        setup.board.faults.clear()
        await until(lambda: sensors.latest().get(Sensor.CONTACT) is False)
        assert "inputs_unreadable" not in sensors.alarms()


async def test_a_dead_input_device_never_touches_a_relay_on_another() -> None:
    async with rig() as relays, counting(poll_s=0.05) as dead:
        wiring = SensorMap(sensors={Sensor.CONTACT: InputRef(dead.unit, 1)})
        lines = {relays.door.line: relays.unit}
        sensors = DoorSensors(DoorId("door-1"), wiring, clock=dead.bus.clock, lines=lines)
        await sensors.start()
        await until(lambda: sensors.latest().get(Sensor.CONTACT) is False)
        dead.board.faults.always(Fault(kind=FaultKind.SILENT))
        await until(lambda: sensors.latest().get(Sensor.CONTACT) is None)
        told = len(relays.told)
        assert (await relays.door.unlock(relays.grant())).outcome is Outcome.CONFIRMED
        await until(lambda: sensors.latest().output_on is True)
        await relays.board.wait_edge(on=False)
        await until(lambda: sensors.latest().output_on is False)
        assert relays.told[told:] == []
        dead.board.faults.clear()
        await until(lambda: sensors.latest().get(Sensor.CONTACT) is False)
        await sensors.aclose()


async def test_a_poll_that_is_late_is_dropped_and_never_piles_up() -> None:
    async with counting(poll_s=0.02) as setup:
        setup.board.faults.always(Fault(kind=FaultKind.LATE_REPLY, seconds=0.1, functions=INPUTS))
        await asyncio.sleep(0.3)
        seen = len(setup.board.requests)
        await asyncio.sleep(0.5)
        polls = [p for p in setup.board.requests[seen:] if p[0] == 2]
        assert 2 <= len(polls) <= 6
        assert setup.bus._queue.pop() is None


async def test_a_counter_that_cannot_be_started_is_not_believed() -> None:
    kinds = {"counter": {**COUNTED["counter"], "start": 0x100}}
    known = counting_profile(**kinds)
    async with rig(board=HeldBoard(), known=known, inputs=(1,), input_poll_s=0.02) as setup:
        await asyncio.sleep(0.1)
        assert setup.unit.inputs.on(1) is None
        assert "could not be started" in setup.unit.inputs.why_unreadable
        assert setup.door.health().ready


async def test_a_listener_that_fails_stops_neither_the_device_nor_the_other_listeners() -> None:
    async with counting(poll_s=0.02) as setup, sensed(setup) as sensors:
        looks: list[Readings] = []

        def broken(_: Readings) -> None:
            raise RuntimeError("broken listener")

        sensors.subscribe(broken)
        sensors.subscribe(looks.append)
        await until(lambda: len(looks) > 2)
        assert setup.door.health().ready


async def test_a_device_without_doors_is_read_and_nothing_is_written_to_it() -> None:
    async with (
        rig(
            board=HeldBoard(), known=counting_profile(), inputs=(1,), input_poll_s=0.02, start=False
        ) as setup,
        sensed(setup) as sensors,
    ):
        setup.board.map.set_input(1, on=True)
        await until(lambda: sensors.latest().get(Sensor.CONTACT) is True)
        assert sensors.latest().edges[Sensor.CONTACT] <= 1
        assert {p[0] for p in setup.board.requests} == {2}


async def test_the_relay_is_seen_while_its_pulse_runs() -> None:
    async with counting(poll_s=0.02) as setup, sensed(setup) as sensors:
        assert (await setup.door.unlock(setup.grant())).outcome is Outcome.CONFIRMED
        await until(lambda: sensors.latest().output_on is True)
        await asyncio.sleep(PULSE_MS / 1e3)
        await until(lambda: sensors.latest().output_on is False)

"""One endpoint, several units behind it: what one does not answer must not cost the others their link."""

import asyncio
import contextlib
import dataclasses
import struct
import time
from collections.abc import AsyncIterator

from drivers.modbus.frames import OFF, READ_COILS, Ambiguous, Echoed, Job, Priority, ReadBits
from drivers.modbus.planning import output_plan, unit_plan
from drivers.modbus.relay_door import RelayDoor
from drivers.modbus.unit import Unit
from drivers.simulators.door_controller import Fault, FaultKind
from gateway.domain.doors import Link, Outcome
from gateway.domain.ids import AccessPointId, DoorId
from tests.fakes.modbus_rig import ON_UNLOCK, PULSE_MS, READS, TIMEOUT_S, Rig, profile, rig, until

DEAD = 2


@contextlib.asynccontextmanager
async def dead_door(setup: Rig) -> AsyncIterator[RelayDoor]:
    plan = output_plan(profile(), unit=DEAD, channel=2, pulse_ms=PULSE_MS, where="test")
    whole = unit_plan(profile(), unit=DEAD, outputs=[plan], where="test")
    door = RelayDoor(
        door_id=DoorId("dead"),
        serves=frozenset({AccessPointId("dead")}),
        unit=Unit(setup.bus, whole, look_s=0.2),
        plan=plan,
    )
    await door.start()
    try:
        yield door
    finally:
        await door.aclose()


def read(unit: int, address: int = 0) -> Job:
    return Job(ReadBits(unit, READ_COILS, address), Priority.POLL, time.monotonic_ns() + 10**9)


async def test_fault_11_a_dead_unit_costs_the_others_neither_link_nor_more_than_its_time_out() -> None:
    async with rig(start=False) as setup, dead_door(setup) as dead:
        await setup.door.start()
        await setup.ready()
        await until(lambda: dead.health().link is Link.DEGRADED)
        for _ in range(4):
            began = time.monotonic()
            outcome = await setup.door.unlock(setup.grant())
            assert outcome.outcome is Outcome.CONFIRMED
            # At most the dead unit's read that is already under way, before the frame and before its proof.
            assert time.monotonic() - began < 2 * TIMEOUT_S + 0.3
            assert setup.door.health().link is Link.UP
            await until(lambda: not setup.board.is_on(1))
        mine = dataclasses.replace(setup.grant(), access_point_id=AccessPointId("dead"))
        assert (await dead.unlock(mine)).outcome is Outcome.NOT_SENT
        assert setup.board.connections == 1


async def test_fault_11_a_link_on_which_nobody_answers_any_more_is_cut() -> None:
    async with rig(poll_s=60) as setup:
        await setup.bus.carry_out(read(DEAD))
        assert setup.bus.connected
        assert isinstance(await setup.bus.carry_out(read(1)), Echoed)
        setup.board.faults.always(Fault(kind=FaultKind.SILENT))
        assert isinstance(await setup.bus.carry_out(read(DEAD)), Ambiguous)
        assert setup.bus.connected
        assert isinstance(await setup.bus.carry_out(read(1)), Ambiguous)
        assert not setup.bus.connected
        setup.board.faults.clear()
        await setup.ready()


async def test_fault_11_a_pulse_without_a_reply_ends_a_shared_link_too() -> None:
    async with rig(poll_s=60) as setup:
        setup.bus._silence.asked(DEAD)
        setup.board.faults.once(Fault(kind=FaultKind.SILENT, **ON_UNLOCK))
        connections = setup.board.connections
        outcome = await setup.door.unlock(setup.grant())
        assert outcome.outcome is Outcome.AMBIGUOUS
        assert setup.board.connections == connections + 1
        assert setup.board.pulses(1) == 0


async def test_a_late_reply_on_a_link_that_was_kept_answers_nothing_else() -> None:
    async with rig(doors=2, poll_s=60) as setup:
        setup.bus._silence.asked(DEAD)
        setup.board.faults.once(Fault(kind=FaultKind.LATE_REPLY, seconds=TIMEOUT_S + 0.1, functions=READS))
        epoch = setup.bus.epoch
        assert isinstance(await setup.bus.carry_out(read(1)), Ambiguous)
        assert setup.bus.connected
        setup.board.relays.write(1, on=True, why="test")
        answer = await setup.bus.carry_out(read(1, address=1))  # asked while the late reply is on its way
        assert isinstance(answer, Echoed)
        assert answer.bits == (True,)
        assert setup.bus.epoch == epoch


async def test_half_a_reply_ends_a_shared_link_too() -> None:
    async with rig(poll_s=60) as setup:
        setup.bus._silence.asked(DEAD)
        setup.board.faults.once(Fault(kind=FaultKind.HALF_FRAME, functions=READS))
        assert isinstance(await setup.bus.carry_out(read(1)), Ambiguous)
        assert not setup.bus.connected
        await setup.ready()


async def test_a_dead_unit_is_asked_less_and_less_often() -> None:
    async with rig(start=False, timeout_s=0.05) as setup, dead_door(setup):
        await setup.door.start()
        await setup.ready()
        await asyncio.sleep(2.0)  # after 0.2, 0.4, 0.8, 1.6 s instead of every 0.2 s
        off = struct.pack(">BHH", 5, 1, OFF)
        assert 2 <= setup.board.requests.count(off) <= 6

"""Random faults, deadlines and cancellations: the promises hold whatever happens.

Two oracles: the board's own record of every request that reached it and every edge of the contact, and
every unlock job that the door gave to its bus, with the time it was handed to the transport.
"""

import asyncio
import contextlib
import dataclasses
import time
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from drivers.modbus.frames import BUSY, Job, Priority, Refused, Result
from drivers.simulators.door_controller import DoorController, Fault, FaultKind
from gateway.domain.decisions import Grant
from gateway.domain.doors import Actuation, Outcome
from tests.fakes.held_board import ON_SWITCH, WATCHDOG_MS, HeldBoard, held_profile
from tests.fakes.modbus_rig import ON_UNLOCK, PULSE_MS, Rig, rig, until

TIMEOUT_S = 0.08
SLOWEST_S = 0.15
SLACK_S = 0.35


@dataclass(frozen=True)
class Step:
    """One call of ``unlock``, and what goes wrong around it."""

    grant: int
    ttl_s: float
    fault: Fault | None
    cancel_after_s: float | None
    disturb: str | None
    pause_s: float


_FAULTS = st.builds(
    lambda kind, code, seconds: Fault(kind=kind, code=code, seconds=seconds),
    st.sampled_from(list(FaultKind)),
    st.sampled_from([1, 2, 3, 4, 5, BUSY, BUSY, 8, 10, 11, 99]),
    st.sampled_from([0.01, 0.05, SLOWEST_S]),
)
_STEPS = st.builds(
    Step,
    grant=st.integers(0, 3),
    ttl_s=st.sampled_from([-0.01, 0.0, 0.002, 0.05, 0.3]),
    fault=st.none() | _FAULTS,
    cancel_after_s=st.sampled_from([None, None, None, 0.0, 0.001, 0.005, 0.1]),
    disturb=st.sampled_from([None, None, None, None, "cut", "reboot", "foreign"]),
    pause_s=st.sampled_from([0.0, 0.0, 0.01, 0.1]),
)
_SCENARIO = st.lists(_STEPS, min_size=1, max_size=6)


class Timed:
    """Class A: the board ends its pulses."""

    struck = ON_UNLOCK
    """Requests that go wrong."""
    longest_s = PULSE_MS / 1e3
    pulse_edge = "flash"

    @staticmethod
    def arguments() -> dict:
        return {}

    @staticmethod
    def frames(board: DoorController) -> int:
        return board.unlock_frames()


class Held(Timed):
    """Class B: the driver ends them, and the board's watchdog if it cannot. OFF goes wrong as well."""

    struck = ON_SWITCH
    longest_s = (PULSE_MS + WATCHDOG_MS) / 1e3
    pulse_edge = "write"

    @staticmethod
    def arguments() -> dict:
        return {"board": HeldBoard(), "known": held_profile()}

    @staticmethod
    def frames(board: DoorController) -> int:
        assert isinstance(board, HeldBoard)
        return board.opened()


@pytest.mark.parametrize("kind", [Timed, Held])
@settings(
    max_examples=8,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # shrinking real time would take minutes
    suppress_health_check=list(HealthCheck),
)
@given(scenarios=st.lists(_SCENARIO, min_size=8, max_size=8))
def test_one_grant_one_pulse_never_late_never_long(kind: type[Timed], scenarios: list[list[Step]]) -> None:
    """Eight boards at once: the time goes into waiting for pulses, not into work."""

    async def all_at_once() -> None:
        async with asyncio.TaskGroup() as group:
            for steps in scenarios:
                group.create_task(_play(kind, steps))

    asyncio.run(all_at_once())


@dataclass
class Record:
    """What the door was asked, what it gave to its bus, and what it said."""

    grants: dict[int, Grant] = field(default_factory=dict)
    jobs: list[Job] = field(default_factory=list)
    said: dict[int, list[Actuation]] = field(default_factory=dict)
    foreign_ns: list[int] = field(default_factory=list)

    def watch(self, setup: Rig) -> None:
        carry_out = setup.bus.carry_out

        async def noted(job: Job) -> Result:
            if job.priority is Priority.UNLOCK:
                self.jobs.append(job)
            return await carry_out(job)

        setup.bus.carry_out = noted  # type: ignore[method-assign]


async def _play(kind: type[Timed], steps: list[Step]) -> None:
    record = Record()
    async with rig(timeout_s=TIMEOUT_S, poll_s=0.05, **kind.arguments()) as setup:
        record.watch(setup)
        calls = []
        for step in steps:
            calls.append(asyncio.create_task(_step(kind, step, setup, record)))
            await asyncio.sleep(step.pause_s)
        async with asyncio.timeout(10):
            await asyncio.gather(*calls)
        setup.board.faults.clear()
        await setup.ready(timeout_s=10)
    await until(lambda: not setup.board.is_on(1))
    _check(kind, record, setup.board)


async def _step(kind: type[Timed], step: Step, setup: Rig, record: Record) -> None:
    board = setup.board
    if step.fault is not None:
        board.faults.once(dataclasses.replace(step.fault, **kind.struck))
    match step.disturb:
        case "cut":
            await board.cut()
        case "reboot":
            await board.reboot()
        case "foreign":
            record.foreign_ns.append(time.monotonic_ns())
            board.write_from_elsewhere(1, on=True)
    # Later grants expire later by more than the clock's grain: a deadline tells which grant a job is for.
    fresh = setup.grant(ttl_s=step.ttl_s + 1e-6 * step.grant, name=f"grant-{step.grant}")
    grant = record.grants.setdefault(step.grant, fresh)
    call = asyncio.create_task(setup.door.unlock(grant))
    if step.cancel_after_s is not None:
        await asyncio.sleep(step.cancel_after_s)
        call.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        record.said.setdefault(step.grant, []).append(await call)


def _check(kind: type[Timed], record: Record, board: DoorController) -> None:
    sent_in_all = 0
    for number, grant in record.grants.items():
        jobs = [j for j in record.jobs if j.send_before_ns == grant.expires_ns]
        sent = [j for j in jobs if j.sent_ns is not None]
        sent_in_all += len(sent)
        assert all(j.sent_ns < grant.expires_ns for j in sent if j.sent_ns is not None), "sent when expired"
        assert len(sent) <= 2, "an unlock frame left more than twice"
        for before, _again in pairwise(sent):
            result = before.future.result()
            assert isinstance(result, Refused), f"sent again after {result}"
            assert result.code == BUSY
        said = record.said.get(number, [])
        assert len(set(said)) <= 1, "one grant, two outcomes"
        for actuation in said:
            assert actuation.frames_sent == len(sent)
            assert (actuation.outcome is Outcome.NOT_SENT) == (not sent)
    assert kind.frames(board) <= sent_in_all
    assert sum(e.on and e.why.startswith(kind.pulse_edge) for e in board.edges) <= sum(
        any(j.sent_ns is not None and j.send_before_ns == g.expires_ns for j in record.jobs)
        for g in record.grants.values()
    )
    _check_edges(kind, record, board)


def _check_edges(kind: type[Timed], record: Record, board: DoorController) -> None:
    """Every pulse ends a pulse's length after the last unlock frame that can have begun it.

    A second master that latches a running pulse is another matter: that ON must end, but later.
    """
    sent_ns = sorted(j.sent_ns for j in record.jobs if j.sent_ns is not None)
    for on, off in pairwise(board.edges):
        latched = any(on.mono_ns <= t <= off.mono_ns for t in record.foreign_ns)
        if on.on and on.why.startswith(kind.pulse_edge) and not latched:
            began = max(t for t in sent_ns if t <= off.mono_ns)
            assert (off.mono_ns - began) / 1e9 <= SLOWEST_S + kind.longest_s + SLACK_S
    assert not board.edges or not board.edges[-1].on


@pytest.mark.parametrize("kind", [Timed, Held])
def test_the_play_itself_can_pulse(kind: type[Timed]) -> None:
    """The property would hold for a door that never opens; this one does."""

    async def once() -> int:
        record = Record()
        async with rig(timeout_s=TIMEOUT_S, poll_s=0.05, **kind.arguments()) as setup:
            record.watch(setup)
            await _step(kind, Step(0, 0.3, None, None, None, 0.0), setup, record)
            assert record.said[0][0].outcome is Outcome.CONFIRMED
            assert time.monotonic_ns() > (record.jobs[0].sent_ns or 0) > 0
        _check(kind, record, setup.board)
        return setup.board.pulses(1)

    assert asyncio.run(once()) == 1

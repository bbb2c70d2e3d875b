"""Late, doubled and stray replies on links whose frames carry no number."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from drivers.modbus.bus import ModbusBus
from drivers.modbus.frames import Ambiguous, Echoed, NotSent, Refused
from drivers.modbus.transport import RtuOverTcp, Serial
from tests.fakes.modbus_bus import TIMEOUT_S, coil, off, pulse, running, words
from tests.fakes.modbus_rig import until
from tests.fakes.rtu_line import Act, Line, adapter, device_server, frame

LATE_S = TIMEOUT_S + 0.1


@dataclass
class Setup:
    bus: ModbusBus
    line: Line
    serial: bool


Open = Callable[..., contextlib.AbstractAsyncContextManager[Setup]]


@pytest.fixture(params=["serial", "device server"])
def setup(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    @contextlib.asynccontextmanager
    async def on_serial(*units: int) -> AsyncIterator[Setup]:
        async with adapter(tmp_path, *units) as end, running(Serial(str(end.path), 115200), *units) as bus:
            yield Setup(bus, end.line, serial=True)

    @contextlib.asynccontextmanager
    async def behind(*units: int) -> AsyncIterator[Setup]:
        async with (
            device_server(*units) as server,
            running(RtuOverTcp("127.0.0.1", server.port), *units) as bus,
        ):
            yield Setup(bus, server.line, serial=False)

    return on_serial if request.param == "serial" else behind


async def test_reads_and_writes_over_lines_without_numbers(setup: Open) -> None:
    async with setup(3, 4) as it:
        it.line.units[4].coils[1] = True
        it.line.units[4].words[2:5] = [7, 0xFFFF, 9]
        first = await it.bus.carry_out(coil(4, 0, 9))
        assert isinstance(first, Echoed)
        assert first.bits == (False, True) + (False,) * 7
        second = await it.bus.carry_out(words(4, 2, 3))
        assert isinstance(second, Echoed)
        assert second.words == (7, 0xFFFF, 9)
        assert isinstance(await it.bus.carry_out(pulse(3, 5)), Echoed)
        assert it.line.units[3].coils[5]
        assert isinstance(await it.bus.carry_out(coil(3, 15, 2)), Refused)


async def test_fault_6_a_late_reply_never_answers_a_later_read_of_the_same_unit(setup: Open) -> None:
    """Coil 0 is ON, coil 1 OFF: a reader that takes the late reply for its own sees coil 1 ON."""
    async with setup(3, 4) as it:
        assert isinstance(await it.bus.carry_out(coil(4)), Echoed)
        it.line.units[3].coils[0] = True
        it.line.once(3, Act(delay_s=LATE_S))
        assert isinstance(await it.bus.carry_out(coil(3, 0)), Ambiguous)
        end = time.monotonic() + 3
        while True:
            result = await it.bus.carry_out(coil(3, 1))
            if isinstance(result, Echoed):
                break
            assert time.monotonic() < end
            await asyncio.sleep(0.01)
        assert result.bits == (False,)


async def test_fault_6_a_late_echo_of_a_pulse_never_confirms_the_next_one(setup: Open) -> None:
    """The same frame twice: the second is never carried out, and the echo of the first comes meanwhile."""
    async with setup(3) as it:
        assert isinstance(await it.bus.carry_out(coil(3)), Echoed)
        it.line.once(3, Act(delay_s=LATE_S), Act(deaf=True))
        assert isinstance(await it.bus.carry_out(pulse(3)), Ambiguous)
        epoch = it.bus.epoch
        assert await it.bus.wait_connected(5)
        second = await it.bus.carry_out(pulse(3))
        assert not isinstance(second, Echoed)
        await asyncio.sleep(LATE_S)
        third = await it.bus.carry_out(pulse(3))
        assert not isinstance(third, Echoed)
        assert it.bus.epoch > epoch  # a pulse without a reply always ends the link
        assert len(it.line.of(3, 5)) <= 2


async def test_fault_6_a_pulse_may_leave_again_once_the_unit_has_answered_something_else(setup: Open) -> None:
    async with setup(3) as it:
        it.line.once(3, Act(silent=True))
        assert isinstance(await it.bus.carry_out(pulse(3)), Ambiguous)
        assert await it.bus.wait_connected(5)
        withheld = await it.bus.carry_out(pulse(3))
        assert isinstance(withheld, NotSent)
        assert "late reply of unit 3" in withheld.why
        assert isinstance(await it.bus.carry_out(coil(3)), Echoed)  # it answers in order: the echo is lost
        assert isinstance(await it.bus.carry_out(pulse(3)), Echoed)


async def test_fault_6_a_late_reply_does_not_spoil_the_read_back_that_follows(setup: Open) -> None:
    async with setup(3) as it:
        it.line.once(3, Act(delay_s=TIMEOUT_S + 0.14))  # longer than connecting again takes
        assert isinstance(await it.bus.carry_out(pulse(3)), Ambiguous)
        assert await it.bus.wait_connected(5)
        seen = await it.bus.carry_out(coil(3))  # its reply comes right behind the late echo
        assert isinstance(seen, Echoed), seen
        assert seen.bits == (True,)


async def test_fault_11_a_late_unit_delays_its_neighbour_by_no_more_than_its_own_time_out(
    setup: Open,
) -> None:
    async with setup(3, 4) as it:
        assert isinstance(await it.bus.carry_out(coil(4)), Echoed)
        it.line.units[3].coils[0] = True
        it.line.always[3] = Act(delay_s=LATE_S)
        late = asyncio.create_task(it.bus.carry_out(coil(3)))
        await until(lambda: bool(it.line.of(3)))
        began = time.monotonic()
        healthy = await it.bus.carry_out(pulse(4))
        assert isinstance(healthy, Echoed)
        assert time.monotonic() - began < TIMEOUT_S + 0.1
        assert isinstance(await late, Ambiguous)
        reads = [
            await it.bus.carry_out(coil(4, 1)) for _ in range(20)
        ]  # while the late reply of unit 3 comes
        await asyncio.sleep(LATE_S)
        assert all(isinstance(r, Echoed) and r.bits == (False,) for r in reads)
        assert it.bus.connected


async def test_fault_8_a_second_reply_to_one_request_answers_no_other(setup: Open) -> None:
    async with setup(3, 4) as it:
        assert isinstance(await it.bus.carry_out(coil(4)), Echoed)
        it.line.units[3].coils[0] = True
        it.line.once(3, Act(copies=2))
        assert isinstance(await it.bus.carry_out(coil(3)), Echoed)
        await asyncio.sleep(0.05)
        if not it.serial:
            await until(lambda: "without being asked" in it.bus.detail or it.bus.epoch == 2)
            assert await it.bus.wait_connected(5)
        withheld = await it.bus.carry_out(coil(3, 1))
        assert isinstance(withheld, NotSent)  # out of step: which reply was to which request is not known
        assert isinstance(await it.bus.carry_out(off(3, 7)), Echoed)
        answer = await it.bus.carry_out(coil(3, 1))
        assert isinstance(answer, Echoed)
        assert answer.bits == (False,)


async def test_stray_bytes_before_a_reply_do_not_hide_it(setup: Open) -> None:
    async with setup(1) as it:
        for stray in (b"\0", b"\xff", b"\x01", b"\x01\x03", b"\x01\x05\x00", frame(9, b"\x01\x01\x01")):
            it.line.once(1, Act(before=stray))
            result = await it.bus.carry_out(coil(1))
            assert isinstance(result, Echoed), (stray, result)


async def test_a_reply_in_pieces_is_one_reply(setup: Open) -> None:
    async with setup(1) as it:
        it.line.once(1, Act(bend=lambda reply: reply[:2]))
        asking = asyncio.create_task(it.bus.carry_out(words(1, 0, 3)))
        await until(lambda: bool(it.line.of(1)))
        await asyncio.sleep(0.03)
        it.line.say(frame(1, bytes([3, 6]) + bytes(6))[2:5])
        await asyncio.sleep(0.03)
        it.line.say(frame(1, bytes([3, 6]) + bytes(6))[5:])
        assert isinstance(await asking, Echoed)


@pytest.mark.parametrize(
    ("bent", "why"),
    [
        (frame(3, bytes([5, 0, 1, 0xFF, 0])), "echoed"),
        (frame(3, bytes([5, 0, 0, 0, 0])), "echoed"),
        (frame(3, bytes([1, 1, 1])), "function 1 to a request of function 5"),
        (frame(4, bytes([5, 0, 0, 0xFF, 0])), "no reply in time"),
        (frame(3, bytes([5, 0, 0, 0xFF, 0]))[:-1] + b"\x5a", "no reply in time"),
        (b"\x55" * 40, "no reply in time"),
    ],
)
async def test_faults_7_and_8_a_wrong_reply_is_no_proof_and_ends_the_link(
    setup: Open, bent: bytes, why: str
) -> None:
    async with setup(3, 4) as it:
        assert isinstance(await it.bus.carry_out(coil(4)), Echoed)
        it.line.once(3, Act(bend=lambda _: bent))
        result = await it.bus.carry_out(pulse(3))
        assert isinstance(result, Ambiguous)
        assert why in result.why
        assert it.bus.epoch == 1
        assert not it.bus.connected
        assert await it.bus.wait_connected(5)
        assert isinstance(await it.bus.carry_out(coil(3)), Echoed)


async def test_fault_8_a_reply_that_has_come_and_was_not_read_yet_answers_no_later_request(
    setup: Open,
) -> None:
    """A loop that was busy finds the stray reply and the next request's turn at the same moment."""
    async with setup(3) as it:
        assert isinstance(await it.bus.carry_out(coil(3)), Echoed)
        await asyncio.sleep(0.02)
        it.line.say(frame(3, b"\x01\x01\x01"))  # coil 0 is ON: it is not
        time.sleep(0.02)  # noqa: ASYNC251  # nothing is read meanwhile
        result = await it.bus.carry_out(coil(3))
        assert isinstance(result, NotSent) or (isinstance(result, Echoed) and result.bits == (False,))


async def test_fault_6_the_first_silence_behind_a_device_server_cuts_and_the_next_does_not() -> None:
    async with device_server(3, 4) as server, running(RtuOverTcp("127.0.0.1", server.port), 3, 4) as bus:
        for unit in (3, 4):
            assert isinstance(await bus.carry_out(coil(unit)), Echoed)
        server.line.always[3] = Act(deaf=True)
        assert isinstance(await bus.carry_out(coil(3)), Ambiguous)
        assert not bus.connected
        assert await bus.wait_connected(5)
        assert isinstance(await bus.carry_out(coil(4)), Echoed)
        assert isinstance(await bus.carry_out(off(3)), Ambiguous)
        assert bus.connected
        assert server.connections == 2

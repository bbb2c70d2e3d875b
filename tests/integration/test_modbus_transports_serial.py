"""A serial line: its silences, an adapter that is pulled, and a program without the library for it."""

import asyncio
import importlib.util
from itertools import pairwise
from pathlib import Path

import psutil
import pytest
import uvloop

from drivers.modbus.bus import ModbusBus
from drivers.modbus.frames import Ambiguous, Echoed, NotSent
from drivers.modbus.guard import Guard
from drivers.modbus.transport import RtuOverTcp, Serial
from gateway.domain.errors import ConfigError
from gateway.telemetry.clock import SystemClock
from tests.fakes.modbus_bus import TIMEOUT_S, coil, pulse, running, words
from tests.fakes.modbus_rig import until
from tests.fakes.rtu_line import Act, adapter, device_server


async def test_an_adapter_that_is_pulled_takes_the_link_down_and_is_found_again(tmp_path: Path) -> None:
    async with adapter(tmp_path, 1) as end, running(Serial(str(end.path)), 1) as bus:
        assert isinstance(await bus.carry_out(coil(1)), Echoed)
        end.pull()
        await until(lambda: not bus.connected)
        await until(lambda: "cannot be reached" in bus.detail)
        assert str(end.path) in bus.detail
        assert isinstance(await bus.carry_out(pulse(1)), NotSent)
        end.plug()
        assert await bus.wait_connected(5)
        assert bus.epoch == 2
        assert isinstance(await bus.carry_out(coil(1)), Echoed)
        assert end.line.of(1, 5) == []


async def test_an_adapter_pulled_with_a_pulse_under_way_is_told_at_once_and_never_sent_again(
    tmp_path: Path,
) -> None:
    async with adapter(tmp_path, 1) as end, running(Serial(str(end.path)), 1, timeout_s=2) as bus:
        end.line.once(1, Act(silent=True))
        asking = asyncio.create_task(bus.carry_out(pulse(1)))
        await until(lambda: bool(end.line.of(1, 5)))
        end.pull()
        async with asyncio.timeout(1):
            result = await asking
        assert isinstance(result, Ambiguous)
        assert "lost before the reply" in result.why
        end.plug()
        assert await bus.wait_connected(5)
        assert isinstance(await bus.carry_out(coil(1)), Echoed)
        assert len(end.line.of(1, 5)) == 1


async def test_a_line_that_somebody_else_has_open_says_so(tmp_path: Path) -> None:
    async with (
        adapter(tmp_path, 1) as end,
        running(Serial(str(end.path)), 1),
        running(Serial(str(end.path)), 1, connected=False) as second,
    ):
        await until(lambda: "cannot be reached" in second.detail)
        assert "lock" in second.detail


async def test_frames_keep_three_and_a_half_characters_apart(tmp_path: Path) -> None:
    """300 baud: 128 ms. A pseudo-terminal itself knows no speed."""
    gap_s = Serial("x", 300).gap_s
    assert gap_s == pytest.approx(0.1283, abs=1e-4)
    async with adapter(tmp_path, 1) as end, running(Serial(str(end.path), 300), 1) as bus:
        await asyncio.gather(*(bus.carry_out(coil(1)) for _ in range(3)))
        times = [at for at, _, _ in end.line.requests]
        assert all(later - before >= gap_s for before, later in pairwise(times))


def test_the_gap_above_19200_baud_is_fixed() -> None:
    assert Serial("x", 115200).gap_s == 0.00175
    assert Serial("x", 9600).gap_s == pytest.approx(0.00401, abs=1e-5)


async def test_a_gap_can_be_asked_for_on_any_transport() -> None:
    async with device_server(1) as server:
        async with running(RtuOverTcp("127.0.0.1", server.port), 1, min_gap_s=0.08) as bus:
            await asyncio.gather(*(bus.carry_out(coil(1)) for _ in range(3)))
        times = [at for at, _, _ in server.line.requests]
        assert all(later - before >= 0.08 for before, later in pairwise(times))


async def test_an_unlock_that_comes_during_the_gap_still_goes_first(tmp_path: Path) -> None:
    async with adapter(tmp_path, 1) as end, running(Serial(str(end.path), 300), 1) as bus:
        await bus.carry_out(coil(1))
        polls = [asyncio.create_task(bus.carry_out(coil(1))) for _ in range(3)]
        await asyncio.sleep(0.03)
        assert isinstance(await bus.carry_out(pulse(1)), Echoed)
        assert [p[0] for p in end.line.of(1)][:2] == [1, 5]
        await asyncio.gather(*polls)


async def test_a_line_that_never_falls_silent_is_taken_down_and_said_so(tmp_path: Path) -> None:
    async with adapter(tmp_path, 1) as end, running(Serial(str(end.path), 1200), 1) as bus:
        said = asyncio.Event()

        async def babble() -> None:
            while not said.is_set():
                end.say(b"\x55")
                await asyncio.sleep(0.001)

        babbling = asyncio.create_task(babble())
        await asyncio.sleep(0.03)
        asking = asyncio.create_task(bus.carry_out(pulse(1)))
        await until(lambda: "never quiet" in bus.detail)
        said.set()
        await babbling
        assert isinstance(await asking, NotSent)
        assert end.line.of(1, 5) == []
        assert await bus.wait_connected(5)
        assert isinstance(await bus.carry_out(coil(1)), Echoed)


async def test_a_write_of_an_adapter_that_echoes_what_it_sends_is_not_proven_by_a_read(
    tmp_path: Path,
) -> None:
    """Such an adapter confirms every coil write by itself, but no read: no door is ever proven."""
    async with adapter(tmp_path) as end, running(Serial(str(end.path), 115200), 1) as bus:
        hear = end.line.hear
        end.line.hear = lambda data: (hear(data), end.say(data))[0]  # type: ignore[method-assign]
        assert isinstance(await bus.carry_out(coil(1)), Ambiguous)
        assert await bus.wait_connected(5)
        assert isinstance(await bus.carry_out(words(1, 2)), Ambiguous)


def test_a_serial_line_without_its_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r'pip install "facegate\[serial\]"'):
        ModbusBus(Serial("/dev/ttyUSB0"), timeout_s=1, guard=Guard(), clock=SystemClock())


@pytest.mark.parametrize("over", ["serial", "tcp"])
def test_all_of_it_runs_on_uvloop_too(over: str, tmp_path: Path) -> None:
    async def play() -> None:
        if over == "serial":
            async with adapter(tmp_path, 1) as end, running(Serial(str(end.path)), 1) as bus:
                assert isinstance(await bus.carry_out(coil(1)), Echoed)
                end.pull()
                await until(lambda: not bus.connected)
                end.plug()
                assert await bus.wait_connected(5)
                assert isinstance(await bus.carry_out(coil(1)), Echoed)
            return
        async with device_server(1) as server, running(RtuOverTcp("127.0.0.1", server.port), 1) as bus:
            server.line.once(1, Act(silent=True))
            assert isinstance(await bus.carry_out(pulse(1)), Ambiguous)
            assert await bus.wait_connected(5)
            assert isinstance(await bus.carry_out(coil(1)), Echoed)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.wait_for(play(), 20))


async def test_closing_and_opening_a_line_many_times_leaves_nothing_open(tmp_path: Path) -> None:
    async with adapter(tmp_path, 1) as end:
        before = psutil.Process().num_fds()
        for _ in range(20):
            async with running(Serial(str(end.path)), 1, timeout_s=TIMEOUT_S) as bus:
                await bus.carry_out(coil(1))
        assert psutil.Process().num_fds() <= before

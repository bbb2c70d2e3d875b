"""A real worker process with made-up cameras, killed, stopped and starved in every way."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from pathlib import Path

import psutil
import pytest

from gateway.domain.sightings import CameraState, Settled
from gateway.settings import Camera, Recognition, Vision
from gateway.vision import codec, supervisor
from gateway.vision.codec import Setup
from gateway.vision.supervisor import VisionWorker, WorkerState

ROOT = Path(__file__).resolve().parents[2]
ENTRY = ("-m", "tests.fakes.vision_worker")


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)  # the worker is found as a module


class Watched:
    """A supervised worker while the block runs, and everything it said."""

    def __init__(self, *acts, entry=ENTRY, **options):
        self.sightings, self.reports, self.states, self.pids = [], [], [], set()
        cameras = tuple(
            Camera(id=f"cam-{i}", url=f"fake:{act}", open_timeout_s=0.1, read_timeout_s=0.1)
            for i, act in enumerate(acts)
        )
        self.worker = VisionWorker(
            name="vision-1",
            setup=lambda epoch: Setup(
                epoch=epoch,
                cameras=cameras,
                liveness=("cam-0",),
                vision=Vision(),
                recognition=Recognition(),
                models_folder="/nowhere",
                threads=1,
            ),
            **{"max_memory_mb": 4000, "max_age_s": 5.0, **options},
            on_sighting=self.sightings.append,
            on_report=self.reports.append,
            on_state=self.note,
            entry=entry,
        )

    def note(self, _name, state, why):
        self.states.append((state, why))

    async def __aenter__(self):
        self._task = asyncio.create_task(self.worker.run(), name="worker")
        return self

    async def __aexit__(self, *_):
        pid, began = self.worker.pid, time.monotonic()
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        assert time.monotonic() - began < 4
        assert pid is None or not psutil.pid_exists(pid)

    async def until(self, condition, seconds=20.0):
        async with asyncio.timeout(seconds):
            while not condition():
                assert not self._task.done(), self._task
                await asyncio.sleep(0.02)

    async def seen(self):
        """Wait for another sighting of a track with evidence."""
        count = len(self.sightings)
        await self.until(lambda: any(s.samples for s in self.sightings[count:]))
        return self.sightings[-1]

    async def lost(self, seconds=20.0):
        await self.until(lambda: any(s is WorkerState.RESTARTING for s, _ in self.states), seconds)
        return next(why for s, why in self.states if s is WorkerState.RESTARTING)


async def test_sightings_and_reports_arrive_and_a_stop_is_clean():
    async with Watched("walk") as watched:
        sighting = await watched.seen()
        await watched.until(lambda: len(watched.reports) >= 3)
        assert watched.worker.has_liveness
        assert watched.states == [(WorkerState.STARTING, ""), (WorkerState.UP, "")]
        report = watched.reports[-1]
        assert report.state is CameraState.UP
        assert report.analysed <= report.frames
        assert sighting.worker_epoch == report.worker_epoch
        assert 0 < time.monotonic_ns() - sighting.frame_ns < 5_000_000_000


async def test_fault_19_killed_in_the_middle_of_a_track_it_comes_back_with_another_epoch():
    async with Watched("walk") as watched:
        before = await watched.seen()
        os.kill(watched.worker.pid, signal.SIGKILL)
        assert "-9" in await watched.lost()
        assert not watched.worker.has_liveness
        await watched.until(lambda: watched.sightings[-1].worker_epoch > before.worker_epoch)
        assert watched.sightings[-1].track_id == 1
        assert [s for s, _ in watched.states][-2:] == [WorkerState.STARTING, WorkerState.UP]


async def test_one_that_stands_still_is_replaced():
    async with Watched("walk", hung_after_s=1.5) as watched:
        before = await watched.seen()
        pid = watched.worker.pid
        os.kill(pid, signal.SIGSTOP)
        assert "said nothing for 1.5 s" in await watched.lost()
        assert not psutil.pid_exists(pid)
        await watched.until(lambda: watched.sightings[-1].worker_epoch > before.worker_epoch)


async def test_fault_19_one_whose_analysis_hangs_is_replaced():
    async with Watched("hang", hung_after_s=1.5) as watched:
        assert "said nothing" in await watched.lost()


async def test_fault_19_one_that_swells_is_replaced_and_says_why():
    async with Watched("grow", max_memory_mb=500) as watched:
        assert "MB, more than 500" in await watched.lost()


async def test_one_whose_capture_thread_dies_is_replaced():
    async with Watched("die") as watched:
        await watched.seen()
        assert "code 3" in await watched.lost(10)  # not only when its time-outs have passed


async def test_a_camera_with_wrong_settings_is_down_and_the_others_go_on():
    async with Watched("walk", "misconfigured") as watched:
        await watched.seen()
        await watched.until(
            lambda: any(r.camera_id == "cam-1" and r.state is CameraState.DOWN for r in watched.reports)
        )
        assert any("no such file" in r.detail for r in watched.reports)
        assert [s for s, _ in watched.states] == [WorkerState.STARTING, WorkerState.UP]


async def test_a_settled_track_is_left_alone():
    async with Watched("walk") as watched:
        sighting = await watched.seen()
        watched.worker.settle(sighting, Settled.GRANTED)
        await asyncio.sleep(0.5)
        count = len(watched.sightings)
        await asyncio.sleep(1.0)
        assert not [s for s in watched.sightings[count:] if not s.ended]


async def test_what_is_too_old_is_dropped_and_counted():
    async with Watched("walk", max_age_s=1e-6) as watched:
        await watched.until(lambda: watched.worker.dropped >= 1)
        assert not [s for s in watched.sightings if not s.ended]


@pytest.mark.parametrize(
    "said",
    [
        b"\xff\xff\xff\xff",
        b"\0\0\0\4junk",
        codec.LENGTH.pack(64 * 1024 + 1) + b"\0" * 100,
        codec.pack(codec.Beat()) * 5000,
        codec.pack(codec.Beat())[:-1],
    ],
    ids=["endless", "junk", "too-long", "flood", "half"],
)
async def test_one_that_lies_is_replaced(said):
    entry = (*ENTRY, said.hex())
    async with Watched("walk", entry=entry, hung_after_s=1.0, load_s=2.0) as watched:
        assert await watched.lost()


async def test_one_that_never_lives_is_given_up_and_tried_again(monkeypatch):
    monkeypatch.setattr(supervisor, "_STEP_S", 0.01)
    monkeypatch.setattr(supervisor, "REST_S", 0.3)
    async with Watched("walk", entry=("-c", "raise SystemExit(7)")) as watched:
        await watched.until(lambda: [s for s, _ in watched.states].count(WorkerState.GIVEN_UP) >= 2)
    states = [s for s, _ in watched.states]
    assert states.count(WorkerState.RESTARTING) == 5
    assert states.index(WorkerState.GIVEN_UP) == 11
    assert "code 7" in watched.states[1][1]


async def test_cancelled_while_it_starts_it_leaves_no_process():
    for wait in (0.0, 0.01, 0.05, 0.3):
        before = {p.pid for p in psutil.Process().children()}
        watched = Watched("walk")
        async with watched:
            await asyncio.sleep(wait)
        assert {p.pid for p in psutil.Process().children()} <= before


GATEWAY = """
import asyncio, pathlib, sys
from tests.integration.test_vision_worker_supervised import Watched
async def main():
    async with Watched("walk") as watched:
        await watched.seen()
        pathlib.Path(sys.argv[1]).write_text(str(watched.worker.pid))
        await asyncio.sleep(60)
asyncio.run(main())
"""


@pytest.mark.parametrize("stopped", [False, True], ids=["running", "stopped"])
async def test_when_the_gateway_is_killed_its_worker_goes_too(stopped, tmp_path):
    told = tmp_path / "pid"
    gateway = await asyncio.create_subprocess_exec(sys.executable, "-c", GATEWAY, told, cwd=ROOT)
    try:
        async with asyncio.timeout(30):
            while not (told.exists() and told.read_text()):
                await asyncio.sleep(0.05)
        worker = psutil.Process(int(told.read_text()))
        if stopped:
            worker.suspend()
        gateway.kill()
        await gateway.wait()
        assert await asyncio.to_thread(gone, worker, 2)
    finally:
        with contextlib.suppress(ProcessLookupError):
            gateway.kill()
        await gateway.wait()


def gone(process, seconds):
    """Whether a process that is not our child ends in time; it is killed if it does not."""
    end = time.monotonic() + seconds
    with contextlib.suppress(psutil.NoSuchProcess):
        while process.status() != psutil.STATUS_ZOMBIE:
            if time.monotonic() > end:
                process.kill()
                return False
            time.sleep(0.02)
    return True

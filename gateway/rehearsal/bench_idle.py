"""``facegate bench idle``: what an empty doorway costs."""

import asyncio
import tempfile
import time
from pathlib import Path

import psutil

from drivers.simulators.camera import SimulatedCamera
from drivers.simulators.door_controller import DoorController
from drivers.simulators.film import Shot, empty, write_h264
from gateway.app import running
from gateway.rehearsal.stage import Staging, site, until_ready
from gateway.running_gateway import Gateway
from gateway.settings import Camera

SHOT = Shot(size=(640, 360), fps=15, seconds=10.0)
_SETTLE_S = 3.0


async def bench(seconds: float) -> dict[str, object]:
    """CPU seconds a second, of one core, while nobody is there; decoding included."""
    with tempfile.TemporaryDirectory(prefix="facegate-bench-") as folder:
        state = Path(folder)
        await asyncio.to_thread(state.chmod, 0o711)
        film = state / "empty.mp4"
        await asyncio.to_thread(write_h264, film, empty(SHOT), SHOT)
        async with SimulatedCamera(film) as simulated, DoorController() as board:
            camera = Camera(id="camera", url=simulated.rtsp_url)
            async with running(site(state, camera, board, Staging()), roster_first=True) as gateway:
                await until_ready(gateway)
                await asyncio.sleep(_SETTLE_S)
                return await _measure(gateway, seconds)


async def _measure(gateway: Gateway, seconds: float) -> dict[str, object]:
    pid = gateway.workers[0].pid
    worker = psutil.Process(pid)
    began, cpu, before = time.monotonic(), worker.cpu_times(), gateway.cameras["camera"]
    await asyncio.sleep(seconds)
    passed, after, now = time.monotonic() - began, worker.cpu_times(), gateway.cameras["camera"]
    used = after.user + after.system - cpu.user - cpu.system
    return {
        "camera": f"RTSP over TCP, H.264, {SHOT.size[0]}x{SHOT.size[1]}, {SHOT.fps} pictures a second",
        "seconds": round(passed, 1),
        "share_of_one_core": round(used / passed, 4),
        "frames_decoded": now.frames - before.frames,
        "frames_analysed": now.analysed - before.analysed,
        "worker_memory_mb": round(worker.memory_info().rss / 1e6, 1),
    }

"""The control side of a vision worker: starts it, listens, replaces it when it crashes, hangs or swells."""

import asyncio
import contextlib
import os
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import psutil
import structlog

from gateway.domain.ids import CameraId
from gateway.domain.sightings import CameraReport, Settled, Sighting
from gateway.vision.codec import (
    LENGTH,
    LONGEST,
    Beat,
    MalformedMessage,
    Ready,
    Report,
    Seen,
    Settle,
    Setup,
    Stop,
    ToControl,
    ToWorker,
    pack,
    unpack_for_control,
)

_log = structlog.get_logger(__name__)

MOST_RESTARTS = 5
WITHIN_S = 60.0
REST_S = 60.0
"""After too many restarts the worker is tried again only so often."""
_END_S = 2.0
_LOAD_S = 60.0
_ENTRY = ("-m", "gateway.vision_process")


class WorkerState(StrEnum):
    """What the supervisor says of its worker."""

    STARTING = "starting"
    UP = "up"
    RESTARTING = "restarting"
    GIVEN_UP = "given_up"
    """Too many restarts in a minute; tried again each minute."""


class WorkerFailed(Exception):
    """The worker has to be replaced; the message says why."""


@dataclass(slots=True, kw_only=True)
class VisionWorker:
    """One worker process. ``run`` is owned by the application's task group; it ends with its cancellation."""

    name: str
    setup: Callable[[int], Setup]
    """What the worker of an epoch is to do."""
    max_memory_mb: int
    max_age_s: float
    """Sightings older than that are dropped."""
    on_sighting: Callable[[Sighting], None]
    on_report: Callable[[CameraReport], None]
    on_state: Callable[[str, WorkerState, str], None]
    entry: Sequence[str] = _ENTRY
    hung_after_s: float = 10.0
    has_liveness: bool = False
    dropped: int = 0
    pid: int | None = None
    _epoch: int = 0
    _swollen: str = ""
    _writer: asyncio.StreamWriter | None = None
    _starts: deque[float] = field(default_factory=lambda: deque(maxlen=MOST_RESTARTS))

    async def run(self) -> None:
        """Keep a worker running. Nothing a worker does is raised here."""
        while True:
            self._starts.append(time.monotonic())
            try:
                await self._one_life()
            except (WorkerFailed, MalformedMessage, OSError) as error:
                why = str(error) or type(error).__name__
            else:
                why = "ended by itself"
            self.has_liveness = False
            rest = self._rest()
            state = WorkerState.GIVEN_UP if rest >= REST_S else WorkerState.RESTARTING
            _log.error("vision_worker_lost", worker=self.name, why=why, state=state.value)
            self.on_state(self.name, state, why)
            await asyncio.sleep(rest)

    def settle(self, sighting: Sighting, settled: Settled) -> None:
        """Tell the worker that control has decided on a track; nothing happens when it is another life's."""
        if sighting.worker_epoch == self._epoch:
            self._order(
                Settle(camera_id=CameraId(sighting.camera_id), track_id=sighting.track_id, settled=settled)
            )

    def _order(self, message: ToWorker) -> None:
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(pack(message))

    def _rest(self) -> float:
        full = len(self._starts) == MOST_RESTARTS
        if full and time.monotonic() - self._starts[0] < WITHIN_S:
            return REST_S
        return 0.2 * len([s for s in self._starts if time.monotonic() - s < WITHIN_S])

    async def _one_life(self) -> None:
        """Start one process and serve it to its end. It never outlives this call."""
        # Unique over restarts of the gateway too: tracks of two lives must never be taken for one.
        self._epoch = max(self._epoch + 1, time.time_ns() // 1_000_000_000)
        self._swollen = ""
        self.on_state(self.name, WorkerState.STARTING, "")
        ours, theirs = socket.socketpair()
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *self.entry,
                str(theirs.fileno()),
                pass_fds=(theirs.fileno(),),
                stdin=asyncio.subprocess.DEVNULL,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        self.pid = process.pid
        try:
            await self._serve(ours, process)
        finally:
            await asyncio.shield(_end(process))
            self.pid = None

    async def _serve(self, ours: socket.socket, process: asyncio.subprocess.Process) -> None:
        reader, writer = await asyncio.open_connection(sock=ours, limit=LONGEST + LENGTH.size)
        self._writer = writer
        watch = asyncio.create_task(self._watch_memory(process), name=f"{self.name}-memory")
        try:
            self._order(self.setup(self._epoch))
            patience = _LOAD_S
            while True:
                try:
                    async with asyncio.timeout(patience):
                        message = await _read(reader)
                except TimeoutError:
                    raise WorkerFailed(f"said nothing for {patience:g} s") from None
                if message is None:
                    raise WorkerFailed(self._swollen or f"ended with code {await _code(process)}")
                self._take(message)
                patience = self.hung_after_s
        finally:
            watch.cancel()
            with contextlib.suppress(OSError, RuntimeError):
                writer.write(pack(Stop()))
            writer.close()
            self._writer = None

    def _take(self, message: ToControl) -> None:
        """Hand a message on."""
        match message:
            case Ready():
                self.has_liveness = message.has_liveness
                self.on_state(self.name, WorkerState.UP, "")
            case Seen(sighting):
                if time.monotonic_ns() - sighting.frame_ns > self.max_age_s * 1e9 and not sighting.ended:
                    self.dropped += 1
                else:
                    self.on_sighting(sighting)
            case Report(report):
                self.on_report(report)
            case Beat():
                pass

    async def _watch_memory(self, process: asyncio.subprocess.Process) -> None:
        """Kill a process that has swollen; its end is noticed by whoever reads."""
        while True:
            await asyncio.sleep(1.0)
            with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
                used = psutil.Process(process.pid).memory_info().rss / 1e6
                if used > self.max_memory_mb:
                    self._swollen = f"used {used:.0f} MB, more than {self.max_memory_mb}"
                    process.kill()


async def _read(reader: asyncio.StreamReader) -> ToControl | None:
    """Next message; None at the end. Raises MalformedMessage."""
    try:
        (length,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
        if length > LONGEST:
            raise MalformedMessage(f"announces a message of {length} bytes")
        return unpack_for_control(await reader.readexactly(length))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


async def _code(process: asyncio.subprocess.Process) -> int | None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_END_S):
            return await process.wait()
    return None


async def _end(process: asyncio.subprocess.Process) -> None:
    """The process is gone when this returns, whatever it was doing."""
    if await _code_now(process) is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _code_now(process: asyncio.subprocess.Process) -> int | None:
    """Its exit code if it ends within a moment of having been told to."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.5):
            return await process.wait()
    return None

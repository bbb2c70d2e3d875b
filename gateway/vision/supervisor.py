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
from typing import NoReturn

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
_STEP_S = 0.2
_END_S = 2.0
_POLITE_S = 0.5
_LOAD_S = 60.0
_MEMORY_EVERY_S = 1.0
_MOST_MESSAGES = 2000
"""A second. Sixteen cameras at 30 fps do not give half of that."""
_AHEAD_NS = 50_000_000
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


@dataclass(slots=True)
class Patience:
    """How long to wait before a lost worker is started again."""

    _lost: deque[float] = field(default_factory=lambda: deque(maxlen=MOST_RESTARTS + 1))
    given_up: bool = False

    def rest_s(self, now: float, lived_s: float) -> float:
        """Seconds to wait, for a worker lost at ``now`` (monotonic) after a life of ``lived_s``."""
        self._lost.append(now)
        recent = [t for t in self._lost if now - t < WITHIN_S]
        # Once given up, each try has to last before it earns quick restarts again.
        self.given_up = len(recent) > MOST_RESTARTS or (self.given_up and lived_s < WITHIN_S)
        return REST_S if self.given_up else _STEP_S * 2 ** (len(recent) - 1)


@dataclass(slots=True)
class _Life:
    """One process and what was asked of it."""

    setup: Setup
    process: asyncio.subprocess.Process
    swollen: str = ""
    second: int = 0
    messages: int = 0

    def check(self, message: ToControl) -> None:
        """Refuse what the worker of these cameras has no business to say. Raises MalformedMessage."""
        now = time.monotonic_ns()
        if now // 1_000_000_000 != self.second:
            self.second, self.messages = now // 1_000_000_000, 0
        self.messages += 1
        if self.messages > _MOST_MESSAGES:
            raise MalformedMessage(f"sent more than {_MOST_MESSAGES} messages in a second")
        if isinstance(message, Seen | Report):
            said = message.sighting if isinstance(message, Seen) else message.report
            if said.worker_epoch != self.setup.epoch:
                raise MalformedMessage("speaks for another life")
            if said.camera_id not in {c.id for c in self.setup.cameras}:
                raise MalformedMessage("speaks of a camera that is not its own")
        if isinstance(message, Seen):
            self._check_sighting(message.sighting, now + _AHEAD_NS)

    def _check_sighting(self, sighting: Sighting, latest_ns: int) -> None:
        if len(sighting.samples) > self.setup.recognition.of:
            raise MalformedMessage("gives more samples than it was asked for")
        # A time in the future would never grow stale.
        if max(sighting.frame_ns, *(s.frame_mono_ns for s in sighting.samples), 0) > latest_ns:
            raise MalformedMessage("saw something that has not happened yet")


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
    load_s: float = _LOAD_S
    has_liveness: bool = False
    dropped: int = 0
    pid: int | None = None
    _epoch: int = 0
    _writer: asyncio.StreamWriter | None = None
    _patience: Patience = field(default_factory=Patience)

    async def run(self) -> None:
        """Keep a worker running. Nothing a worker does is raised here."""
        while True:
            began = time.monotonic()
            try:
                await self._one_life()
            except (WorkerFailed, MalformedMessage, OSError) as error:
                why = str(error) or type(error).__name__
            self.has_liveness = False
            now = time.monotonic()
            rest = self._patience.rest_s(now, now - began)
            state = WorkerState.GIVEN_UP if self._patience.given_up else WorkerState.RESTARTING
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

    async def _one_life(self) -> NoReturn:
        """Start one process and serve it to its end. It never outlives this call."""
        # Unique over restarts of the gateway too: tracks of two lives must never be taken for one.
        self._epoch = max(self._epoch + 1, time.time_ns() // 1_000_000_000)
        setup = self.setup(self._epoch)
        self.on_state(self.name, WorkerState.STARTING, "")
        ours, theirs = socket.socketpair()
        try:
            with theirs:
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
        self.pid = process.pid
        try:
            await self._serve(ours, _Life(setup, process))
        finally:
            await asyncio.shield(_end(process))
            self.pid = None

    async def _serve(self, ours: socket.socket, life: _Life) -> NoReturn:
        try:
            reader, writer = await asyncio.open_connection(sock=ours, limit=LONGEST + LENGTH.size)
        except BaseException:
            ours.close()
            raise
        self._writer = writer
        watch = asyncio.create_task(self._watch_memory(life), name=f"{self.name}-memory")
        try:
            self._order(life.setup)
            patience = self.load_s
            while True:
                try:
                    async with asyncio.timeout(patience):
                        message = await _read(reader)
                except TimeoutError:
                    raise WorkerFailed(f"said nothing for {patience:g} s") from None
                if message is None:
                    raise WorkerFailed(life.swollen or f"ended with code {await _code(life.process, _END_S)}")
                life.check(message)
                self._take(message)
                patience = self.hung_after_s
        finally:
            self._order(Stop())
            self._writer = None
            writer.close()
            watch.cancel()
            await asyncio.wait((watch,))

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

    async def _watch_memory(self, life: _Life) -> None:
        """Kill a process that has swollen; its end is noticed by whoever reads."""
        process = life.process
        while process.returncode is None:
            with contextlib.suppress(psutil.Error, ProcessLookupError):
                used = psutil.Process(process.pid).memory_info().rss / 1e6
                if used > self.max_memory_mb:
                    life.swollen = f"used {used:.0f} MB, more than {self.max_memory_mb}"
                    process.kill()
                    return
            await asyncio.sleep(_MEMORY_EVERY_S)


async def _read(reader: asyncio.StreamReader) -> ToControl | None:
    """Next message; None at the end. Raises MalformedMessage."""
    try:
        (length,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
        if length > LONGEST:
            raise MalformedMessage(f"announces a message of {length} bytes")
        return unpack_for_control(await reader.readexactly(length))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


async def _end(process: asyncio.subprocess.Process) -> None:
    """The process is gone when this returns, whatever it was doing."""
    if await _code(process, _POLITE_S) is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _code(process: asyncio.subprocess.Process, seconds: float) -> int | None:
    """Its exit code, if it ends within so many seconds."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            return await process.wait()
    return None

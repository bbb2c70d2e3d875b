"""The body of a vision worker process: capture threads in, one analysis loop, messages out."""

import ctypes
import queue
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

import cv2
import structlog

from gateway.domain.errors import GatewayError
from gateway.domain.faces import Image
from gateway.domain.ids import CameraId
from gateway.domain.sightings import CameraReport, CameraState, Sighting
from gateway.ports import FrameSource
from gateway.settings import Camera
from gateway.vision.capture import Capture
from gateway.vision.codec import (
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
    read_blocking,
    unpack_for_worker,
)
from gateway.vision.pipeline import Engine, Pipeline
from gateway.vision.sampler import Sampler
from gateway.vision.slot import LatestSlot

_log = structlog.get_logger(__name__)

REPORT_S = 1.0
_HUNG_S = 15.0
"""On top of a camera's own time-outs: a capture thread that stood still for so long never comes back."""
_GRACE_S = 1.0
_PR_SET_PDEATHSIG = 1
_GONE = frozenset({CameraState.ENDED, CameraState.DOWN, CameraState.FROZEN})

OpenSource = Callable[[Camera], FrameSource]
LoadEngine = Callable[[Setup], tuple[Engine, bool]]
"""The engine, and whether it judges liveness."""


class Unopenable:
    """Stands in for a camera whose settings are wrong, so that the worker's others go on."""

    paced = True

    def __init__(self, why: GatewayError) -> None:
        self._why = why

    def open(self) -> None:
        """See FrameSource."""
        raise self._why

    def read(self) -> tuple[Image, float | None] | None:
        """See FrameSource."""
        raise self._why

    def close(self) -> None:
        """See FrameSource."""


@dataclass(slots=True, kw_only=True)
class _Eye:
    """One camera of this worker."""

    settings: Camera
    slot: LatestSlot
    capture: Capture
    pipeline: Pipeline
    thread: threading.Thread
    session: int = 0
    ended: bool = False
    said: tuple[CameraState, str] = (CameraState.CONNECTING, "")
    """As of the last turn: reported only after what it ended has been sent."""
    told: tuple[CameraState, str] | None = None


@dataclass(slots=True)
class Worker:
    """``run`` returns when told to stop or when the control process has gone."""

    link: socket.socket
    open_source: OpenSource
    load_engine: LoadEngine
    on_abandoned: Callable[[], None] = lambda: None
    """Called when the control process has gone and the analysis does not come to an end by itself."""
    hung_s: float = _HUNG_S
    _stop: threading.Event = field(default_factory=threading.Event)
    _over: threading.Event = field(default_factory=threading.Event)
    _news: threading.Event = field(default_factory=threading.Event)
    _orders: "queue.SimpleQueue[Settle]" = field(default_factory=queue.SimpleQueue)
    _eyes: dict[str, _Eye] = field(default_factory=dict)
    _epoch: int = 0

    def run(self) -> int:
        """Serve until the end; the process's exit code. Raises MalformedMessage, GatewayError."""
        cv2.setNumThreads(1)
        stream: BinaryIO = self.link.makefile("rb")
        first = self._receive(stream)
        if not isinstance(first, Setup):
            return 2
        self._epoch = first.epoch
        threading.Thread(target=self._listen, args=(stream,), name="orders", daemon=True).start()
        try:
            engine, has_liveness = self.load_engine(first)
            self._send(Ready(epoch=first.epoch, has_liveness=has_liveness))
            for camera in first.cameras:
                self._start(camera, first, engine)
            return self._analyse()
        except ConnectionError:  # the control process has gone, and so have the doors
            return 0
        finally:
            self._stop.set()
            self._over.set()

    def _receive(self, stream: BinaryIO) -> ToWorker | None:
        body = read_blocking(stream)
        return None if body is None else unpack_for_worker(body)

    def _listen(self, stream: BinaryIO) -> None:
        """Orders from control; its end is ours."""
        try:
            while True:
                message = self._receive(stream)
                if isinstance(message, Settle):
                    self._orders.put(message)
                elif message is None or isinstance(message, Stop):
                    return
        except (OSError, MalformedMessage) as error:
            _log.warning("orders_ended", why=str(error))
        finally:
            self._stop.set()
            self._news.set()
            if not self._over.wait(_GRACE_S):
                self.on_abandoned()

    def _start(self, camera: Camera, setup: Setup, engine: Engine) -> None:
        source: FrameSource
        try:
            source = self.open_source(camera)
        except GatewayError as error:
            source = Unopenable(error)
        camera_id = CameraId(camera.id)
        slot = LatestSlot(self._news, lockstep=not source.paced)
        capture = Capture(
            camera_id=camera_id,
            source=source,
            slot=slot,
            frozen_after_s=camera.frozen_after_s,
            stop=self._stop,
            on_change=self._news.set,
        )
        sampler = Sampler(of=setup.recognition.of, liveness=camera.id in setup.liveness)
        thread = threading.Thread(target=capture.run, name=f"capture-{camera.id}", daemon=True)
        self._eyes[camera.id] = _Eye(
            settings=camera,
            slot=slot,
            capture=capture,
            pipeline=Pipeline(camera_id, setup.epoch, engine, sampler, film_time=not source.paced),
            thread=thread,
        )
        thread.start()

    def _analyse(self) -> int:
        next_report = 0.0
        while not self._stop.is_set():
            self._news.wait(0.1)
            self._news.clear()
            self._follow_orders()
            now = time.monotonic()
            for eye in self._eyes.values():
                self._turn(eye)
                if now >= next_report or eye.told != eye.said:
                    self._report(eye)
            if now >= next_report:
                next_report = now + REPORT_S
                self._send(Beat())
                if self._hung():
                    return 3
        return 0

    def _turn(self, eye: _Eye) -> None:
        """Analyse the newest frame of a camera, or end its tracks when it has gone."""
        status = eye.capture.status
        eye.said, session = status.said, status.sessions
        frame = eye.slot.take()
        if session != eye.session or (frame is None and eye.said[0] in _GONE and not eye.ended):
            eye.session, eye.ended = session, True
            self._tell(eye.pipeline.end())
        if frame is not None:
            try:
                self._tell(eye.pipeline.process(frame))
            finally:
                eye.slot.done()
            eye.ended = False

    def _tell(self, sightings: Sequence[Sighting]) -> None:
        for sighting in sightings:
            self._send(Seen(sighting))

    def _follow_orders(self) -> None:
        while not self._orders.empty():
            order = self._orders.get()
            eye = self._eyes.get(order.camera_id)
            if eye is not None:
                eye.pipeline.settle(order.track_id, order.settled)

    def _report(self, eye: _Eye) -> None:
        status, now = eye.capture.status, time.monotonic_ns()
        eye.told = eye.said
        self._send(
            Report(
                CameraReport(
                    camera_id=eye.capture.camera_id,
                    worker_epoch=self._epoch,
                    state=eye.said[0],
                    detail=eye.said[1],
                    frames=status.frames,
                    dropped=eye.slot.dropped + status.old + eye.pipeline.stale,
                    analysed=eye.pipeline.analysed,
                    frame_age_ms=None if status.last_ns is None else (now - status.last_ns) / 1e6,
                    at_ns=now,
                )
            )
        )

    def _hung(self) -> bool:
        """A capture thread has died, or stands still beyond every time-out: only a new process helps."""
        now = time.monotonic_ns()
        for name, eye in self._eyes.items():
            if eye.capture.status.state is CameraState.ENDED:
                continue
            if not eye.thread.is_alive():
                _log.error("capture_died", camera=name)
                return True
            limit = eye.settings.open_timeout_s + eye.settings.read_timeout_s + self.hung_s
            if not eye.slot.busy and now - eye.capture.status.alive_ns > limit * 1e9:
                _log.error("capture_hangs", camera=name, seconds=round(limit, 1))
                return True
        return False

    def _send(self, message: ToControl) -> None:
        self.link.sendall(pack(message))


def load_failed(error: GatewayError) -> int:
    """Say why a worker cannot work, and give its exit code."""
    _log.error("worker_cannot_start", why=str(error), code=error.code)
    return 4


def die_with_parent() -> None:
    """Have the kernel kill this process when the gateway's goes, even while it is stopped or hangs.

    The closed socket says the same to a worker that still listens. Linux only; elsewhere nothing happens.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

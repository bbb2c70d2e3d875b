"""The body of a vision worker process: capture threads in, one analysis loop, messages out."""

import queue
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO

import cv2
import structlog

from gateway.domain.errors import GatewayError
from gateway.domain.ids import CameraId
from gateway.domain.sightings import CameraReport, CameraState
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

OpenSource = Callable[[Camera], FrameSource]
LoadEngine = Callable[[Setup], tuple[Engine, bool]]
"""The engine, and whether it judges liveness."""


@dataclass(slots=True)
class _Eye:
    """One camera of this worker."""

    settings: Camera
    slot: LatestSlot
    capture: Capture
    pipeline: Pipeline
    ended: bool = False


@dataclass(slots=True)
class Worker:
    """``run`` returns when told to stop or when the control process has gone."""

    link: socket.socket
    open_source: OpenSource
    load_engine: LoadEngine
    _stop: threading.Event = field(default_factory=threading.Event)
    _news: threading.Event = field(default_factory=threading.Event)
    _orders: "queue.SimpleQueue[Settle]" = field(default_factory=queue.SimpleQueue)
    _eyes: dict[str, _Eye] = field(default_factory=dict)
    _epoch: int = 0

    def run(self) -> int:
        """Serve until the end; the process's exit code."""
        cv2.setNumThreads(1)
        stream: BinaryIO = self.link.makefile("rb")
        first = self._receive(stream)
        if not isinstance(first, Setup):
            return 2
        self._epoch = first.epoch
        engine, has_liveness = self.load_engine(first)
        self._send(Ready(epoch=first.epoch, has_liveness=has_liveness))
        threading.Thread(target=self._listen, args=(stream,), name="orders", daemon=True).start()
        for camera in first.cameras:
            self._start(camera, first, engine)
        try:
            return self._analyse()
        except OSError:  # the control process has gone, and so have the doors
            return 0
        finally:
            self._stop.set()

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

    def _start(self, camera: Camera, setup: Setup, engine: Engine) -> None:
        source = self.open_source(camera)
        slot = LatestSlot(self._news, lockstep=not source.paced)
        camera_id = CameraId(camera.id)
        capture = Capture(camera_id, source, slot, camera.frozen_after_s, self._stop, self._news.set)
        sampler = Sampler(of=setup.recognition.of, liveness=camera.id in setup.liveness)
        pipeline = Pipeline(camera_id, setup.epoch, engine, sampler)
        self._eyes[camera.id] = _Eye(camera, slot, capture, pipeline)
        threading.Thread(target=capture.run, name=f"capture-{camera.id}", daemon=True).start()

    def _analyse(self) -> int:
        told: dict[str, tuple[CameraState, str]] = {}
        next_report = 0.0
        while not self._stop.is_set():
            self._news.wait(0.1)
            self._news.clear()
            self._follow_orders()
            for eye in self._eyes.values():
                self._turn(eye)
            now = time.monotonic()
            for name, eye in self._eyes.items():
                status = eye.capture.status
                if now >= next_report or told.get(name) != (status.state, status.detail):
                    told[name] = (status.state, status.detail)
                    self._report(eye)
            if now >= next_report:
                next_report = now + REPORT_S
                self._send(Beat())
                if self._hung():
                    return 3
        return 0

    def _turn(self, eye: _Eye) -> None:
        """Analyse the newest frame of a camera, or end its tracks when it has gone."""
        frame = eye.slot.take()
        state = eye.capture.status.state
        if frame is not None:
            try:
                for sighting in eye.pipeline.process(frame):
                    self._send(Seen(sighting))
            finally:
                eye.slot.done()
            eye.ended = False
        elif state in {CameraState.ENDED, CameraState.DOWN, CameraState.FROZEN} and not eye.ended:
            eye.ended = True
            for sighting in eye.pipeline.end():
                self._send(Seen(sighting))

    def _follow_orders(self) -> None:
        while not self._orders.empty():
            order = self._orders.get()
            eye = self._eyes.get(order.camera_id)
            if eye is not None:
                eye.pipeline.settle(order.track_id, order.settled)

    def _report(self, eye: _Eye) -> None:
        status, now = eye.capture.status, time.monotonic_ns()
        self._send(
            Report(
                CameraReport(
                    camera_id=eye.capture.camera_id,
                    worker_epoch=self._epoch,
                    state=status.state,
                    detail=status.detail,
                    frames=status.frames,
                    dropped=eye.slot.dropped,
                    analysed=eye.pipeline.analysed,
                    frame_age_ms=None if status.last_ns is None else (now - status.last_ns) / 1e6,
                    at_ns=now,
                )
            )
        )

    def _hung(self) -> bool:
        now = time.monotonic_ns()
        for name, eye in self._eyes.items():
            if eye.capture.status.state is CameraState.ENDED:
                continue
            limit = eye.settings.open_timeout_s + eye.settings.read_timeout_s + _HUNG_S
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

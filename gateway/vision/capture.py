"""One camera's capture thread: open, read, reconnect, and notice pictures that are not of now."""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog

from gateway.domain.errors import CameraUnavailable, GatewayError
from gateway.domain.faces import Frame, Image
from gateway.domain.ids import CameraId
from gateway.domain.sightings import CameraState
from gateway.ports import FrameSource
from gateway.vision.arrival import FreezeDetector, ReplayDetector
from gateway.vision.slot import LatestSlot

_log = structlog.get_logger(__name__)

FIRST_WAIT_S = 0.25
LONGEST_WAIT_S = 10.0


@dataclass(slots=True)
class Status:
    """What the capture thread knows; read by the worker's reporter."""

    state: CameraState = CameraState.CONNECTING
    detail: str = ""
    frames: int = 0
    last_ns: int | None = None
    alive_ns: int = field(default_factory=time.monotonic_ns)
    """Moves while the thread does: one that stands still hangs in a library call."""


@dataclass(slots=True)
class Capture:
    """Reads one source into one slot. ``run`` is the thread's body."""

    camera_id: CameraId
    source: FrameSource
    slot: LatestSlot
    frozen_after_s: float
    stop: threading.Event
    on_change: Callable[[], None]
    status: Status = field(default_factory=Status)
    _seq: int = 0

    def run(self) -> None:
        """Until ``stop`` is set, or a recording ends."""
        wait = FIRST_WAIT_S
        while not self.stop.is_set():
            self._become(CameraState.CONNECTING, "")
            began = self.status.frames
            try:
                self.source.open()
                if self._read_on():
                    return
            except CameraUnavailable as error:
                self._become(CameraState.DOWN, str(error))
            except GatewayError as error:
                self._become(CameraState.DOWN, str(error))
                wait = LONGEST_WAIT_S
            finally:
                self.source.close()
                if self.status.state is not CameraState.ENDED:
                    self.slot.empty()
            wait = FIRST_WAIT_S if self.status.frames > began else min(2 * wait, LONGEST_WAIT_S)
            self._pause(wait * random.uniform(0.5, 1.0))  # noqa: S311  # jitter, not a secret

    def _read_on(self) -> bool:
        """Read until the source fails (raises), stops (False), or a recording ends (True)."""
        freeze, replay = FreezeDetector(self.frozen_after_s), ReplayDetector()
        while not self.stop.is_set():
            if not self.source.paced:
                self.slot.drained(self.stop)  # in lockstep a picture arrives when it is its turn
            got = self.source.read()
            now = time.monotonic_ns()
            self.status.alive_ns = now
            if got is None:
                self.slot.drained(self.stop)
                self._become(CameraState.ENDED, "the recording is over")
                return True
            image, media_s = got
            self.status.frames += 1
            self.status.last_ns = now
            self._seq += 1
            if self.source.paced and freeze.frozen(image, now):
                self.slot.empty()
                self._become(CameraState.FROZEN, f"the same picture for {self.frozen_after_s:g} s")
                continue
            if self.source.paced and replay.old(now):
                self.slot.empty()
                self._become(CameraState.UP, "catching up after a stall: old pictures are dropped")
                continue
            self._become(CameraState.UP, "")
            self.slot.put(self._frame(image, media_s, now), self.stop)
        return False

    def _frame(self, image: Image, media_s: float | None, now_ns: int) -> Frame:
        return Frame(
            camera_id=self.camera_id,
            seq=self._seq,
            mono_ns=now_ns,
            captured_at=datetime.now(UTC),
            media_time_s=media_s,
            image=image,
        )

    def _pause(self, seconds: float) -> None:
        """Wait without looking hung."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self.stop.wait(min(0.5, max(0.0, end - time.monotonic()))):
            self.status.alive_ns = time.monotonic_ns()

    def _become(self, state: CameraState, detail: str) -> None:
        if (state, detail) == (self.status.state, self.status.detail):
            return
        self.status.state, self.status.detail = state, detail
        log = _log.info if state in {CameraState.UP, CameraState.ENDED} else _log.warning
        if state is not CameraState.CONNECTING:
            log("camera_state", camera=self.camera_id, state=state.value, detail=detail)
        self.on_change()

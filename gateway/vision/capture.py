"""One camera's capture thread: open, read, reconnect, and tell pictures of now from others."""

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
_CALM_S = 5.0
"""A camera that gave pictures for so long is reconnected at once when it fails; a flapping one is not."""


@dataclass(slots=True)
class Status:
    """What the capture thread knows; written by it alone, read by the worker."""

    said: tuple[CameraState, str] = (CameraState.CONNECTING, "")
    """State and detail; replaced as one, so that nobody reads half of a change."""
    frames: int = 0
    old: int = 0
    """Pictures that had waited in a buffer, and were not handed on."""
    sessions: int = 0
    """How often the camera was opened: who was seen in one session is not followed into the next."""
    last_ns: int | None = None
    alive_ns: int = field(default_factory=time.monotonic_ns)
    """Moves while the thread does: one that stands still hangs in a library call."""

    @property
    def state(self) -> CameraState:
        """Of the camera."""
        return self.said[0]


@dataclass(slots=True, kw_only=True)
class Capture:
    """Reads one source into one slot. ``run`` is the thread's body."""

    camera_id: CameraId
    source: FrameSource
    slot: LatestSlot
    frozen_after_s: float
    stop: threading.Event
    on_change: Callable[[], None]
    first_wait_s: float = FIRST_WAIT_S
    status: Status = field(default_factory=Status)
    _seq: int = 0
    _freeze: FreezeDetector = field(init=False)

    def __post_init__(self) -> None:
        """Freezes are watched for over reconnections: a hung camera starts anew with the same picture."""
        self._freeze = FreezeDetector(self.frozen_after_s)

    def run(self) -> None:
        """Until ``stop`` is set, or a recording ends."""
        wait = self.first_wait_s
        while not self.stop.is_set():
            began = time.monotonic()
            try:
                self.status.alive_ns = time.monotonic_ns()
                self.source.open()
                self.status.sessions += 1
                if self._read_on():
                    return
            except CameraUnavailable as error:
                self._become(CameraState.DOWN, str(error))
            except GatewayError as error:  # the settings are wrong: asking again soon will not help
                self._become(CameraState.DOWN, str(error))
                wait = LONGEST_WAIT_S
            finally:
                self.source.close()
                if self.status.state is not CameraState.ENDED:
                    self.slot.empty()
            seen_s = (self.status.last_ns or 0) / 1e9 - began
            wait = self.first_wait_s if seen_s > _CALM_S else wait
            self._pause(wait * random.uniform(0.5, 1.0))  # noqa: S311  # jitter, not a secret
            wait = min(2 * wait, LONGEST_WAIT_S)

    def _read_on(self) -> bool:
        """Read until the source fails (raises), stops (False), or a recording ends (True)."""
        replay = ReplayDetector()
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
            # A recording is what it is; only what claims to be live is doubted.
            if media_s is None and self._not_of_now(image, now, replay):
                continue
            self._become(CameraState.UP, "")
            self.slot.put(self._frame(image, media_s, now), self.stop)
        return False

    def _not_of_now(self, image: Image, now_ns: int, replay: ReplayDetector) -> bool:
        old = replay.old(now_ns)
        if self._freeze.frozen(image, now_ns):
            self.slot.empty()
            self._become(CameraState.FROZEN, f"no new picture for {self.frozen_after_s:g} s")
            return True
        self.status.old += old
        return old

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
        while (left := end - time.monotonic()) > 0 and not self.stop.wait(min(0.5, left)):
            self.status.alive_ns = time.monotonic_ns()

    def _become(self, state: CameraState, detail: str) -> None:
        """Change state. Down stays down over attempts to reconnect, so that each is not news."""
        if (state, detail) == self.status.said:
            return
        self.status.said = (state, detail)
        log = _log.info if state in {CameraState.UP, CameraState.ENDED} else _log.warning
        log("camera_state", camera=self.camera_id, state=state.value, detail=detail)
        self.on_change()

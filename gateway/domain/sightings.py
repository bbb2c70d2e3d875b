"""What crosses from a vision worker to the control process: small, no pictures of whole frames."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from gateway.domain.faces import FaceSample, QualityIssue
from gateway.domain.ids import CameraId


@dataclass(frozen=True, slots=True, kw_only=True)
class StageTimes:
    """Milliseconds the vision worker spent on the frame that completed a sighting."""

    wait: float
    """From the frame's arrival to the start of work on it."""
    motion: float
    detect: float
    quality: float
    liveness: float
    embed: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A track's evidence so far. Each one replaces the one before it of the same track."""

    camera_id: CameraId
    worker_epoch: int
    """Changes when the worker restarts, so that track numbers of two lives never mix."""
    track_id: int
    nearest: bool
    """This was the largest face in the frame."""
    samples: tuple[FaceSample, ...]
    """The best usable samples so far, oldest first; every one was judged on its own frame."""
    frames_seen: int
    """Frames in which this track was detected, used or not."""
    poor: QualityIssue | None
    """What spoke against the latest unusable frame of the track, if any was unusable."""
    first_seen_ns: int
    first_usable_ns: int | None
    frame_ns: int
    """Monotonic arrival of the newest frame in this sighting: the start of the door's latency."""
    captured_at: datetime
    media_time_s: float | None
    ended: bool
    """The track is gone; this is its last sighting."""
    stages: StageTimes


class Settled(StrEnum):
    """What control tells the worker about a track it has decided on."""

    GRANTED = "granted"
    """Let in: no more evidence is needed."""
    DENIED = "denied"
    """Only clearly better evidence is worth a look."""
    AGAIN = "again"
    """Denied for a reason that passes: forget the samples, collect fresh ones after a second."""


class CameraState(StrEnum):
    """What the capture thread knows of its camera."""

    CONNECTING = "connecting"
    UP = "up"
    DOWN = "down"
    FROZEN = "frozen"
    ENDED = "ended"
    """A recording has been played to its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraReport:
    """Sent on every change of state, and about once a second as a heartbeat."""

    camera_id: CameraId
    worker_epoch: int
    state: CameraState
    detail: str
    """For people; never holds a credential."""
    frames: int
    dropped: int
    """Frames nobody looked at: overwritten in the slot by newer ones, or too old to decide on."""
    analysed: int
    """Frames the detector ran on; the others passed the motion gate unseen."""
    frame_age_ms: float | None
    at_ns: int

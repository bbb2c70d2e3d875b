"""What the vision side measures of one face in one frame."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from gateway.domain.ids import CameraId, ModelId

Image = NDArray[np.uint8]
"""Height x width x 3, BGR, 0..255."""
Embedding = NDArray[np.float32]
"""One-dimensional, unit length, read-only."""


def freeze(vector: NDArray[np.floating]) -> Embedding:
    """Unit-length, read-only float32 copy of a vector. Raises ValueError if it has no direction."""
    out = np.array(vector, dtype=np.float32).reshape(-1)
    norm = float(np.linalg.norm(out))
    if not np.isfinite(norm) or norm < 1e-6:
        raise ValueError("an embedding of length zero or not finite has no direction")
    out /= norm
    out.setflags(write=False)
    return out


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Frame:
    """One picture from a camera. Times are of its arrival here, not of the camera's own clock."""

    camera_id: CameraId
    seq: int
    """Counts every frame the source gave, the dropped ones too; restarts with the source."""
    mono_ns: int
    captured_at: datetime
    media_time_s: float | None
    """Position in a recording, seconds; None for a live source."""
    image: Image


@dataclass(frozen=True, slots=True)
class Box:
    """Pixel rectangle in the frame: left, top, width, height."""

    x: float
    y: float
    w: float
    h: float

    def iou(self, other: "Box") -> float:
        """Intersection over union, 0..1."""
        w = min(self.x + self.w, other.x + other.w) - max(self.x, other.x)
        h = min(self.y + self.h, other.y + other.h) - max(self.y, other.y)
        if w <= 0 or h <= 0:
            return 0.0
        inter = w * h
        return inter / (self.w * self.h + other.w * other.h - inter)


@dataclass(frozen=True, slots=True)
class Detection:
    """A face found in a frame."""

    box: Box
    landmarks: tuple[tuple[float, float], ...]
    """Five points in pixels, as the picture shows them: the eye on its left, the eye on its right,
    nose tip, mouth corner on its left, mouth corner on its right."""
    score: float


class QualityIssue(StrEnum):
    """Why a face sample cannot be used, after ISO/IEC 29794-5's components."""

    TOO_SMALL = "too_small"
    BLURRED = "blurred"
    TOO_DARK = "too_dark"
    TOO_BRIGHT = "too_bright"
    POSE = "pose"
    CUT_OFF = "cut_off"
    LANDMARKS = "landmarks"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """Measured image quality of one face."""

    eye_distance_px: float
    sharpness: float
    """Variance of the Laplacian of the aligned 112x112 grey face."""
    luma: float
    """Mean brightness of the aligned face, 0..255."""
    yaw: float
    """-1..1: how far the nose tip leaves the midline between the eyes, in eye distances; 0 is frontal."""
    pitch: float
    """0..1: height of the nose tip between the eye line and the mouth line; about 0.55 is frontal."""
    roll_deg: float
    score: float
    """0..1, for choosing the better of two samples of a track."""
    issues: tuple[QualityIssue, ...] = ()

    @property
    def usable(self) -> bool:
        """True when nothing speaks against using the sample."""
        return not self.issues


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FaceSample:
    """The evidence one frame gives about one track: identity, quality and liveness of the same pixels."""

    embedding: Embedding
    model_id: ModelId
    quality: Quality
    live: float | None
    """0..1, probability of a live face; None when it was not judged (context does not fit, no model)."""
    frame_seq: int
    frame_mono_ns: int
    captured_at: datetime
    media_time_s: float | None

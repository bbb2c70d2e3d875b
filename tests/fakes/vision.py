"""Pictures with painted faces, and an engine that finds them."""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

import cv2
import numpy as np

from gateway.domain.faces import Box, Detection, Embedding, Frame, Image, Quality, QualityIssue
from gateway.domain.ids import CameraId
from tests.fakes import faces

WIDTH, HEIGHT = 640, 360
MS = 1_000_000


@dataclass(frozen=True)
class Face:
    """Person ``who`` (0..15), left and top edge, size."""

    who: int
    x: int = 200
    y: int = 100
    size: int = 100


def picture(*shown: Face, shade: int = 90, grain: int | None = None) -> Image:
    """A grey room with faces; ``grain`` makes its noise, None leaves it clean."""
    image = np.full((HEIGHT, WIDTH, 3), shade, np.uint8)
    for face in shown:
        image[face.y : face.y + face.size, face.x : face.x + face.size] = (255, face.who * 10 + 5, 120)
    if grain is not None:
        noise = np.random.default_rng(grain).integers(0, 4, (HEIGHT // 4, WIDTH // 4, 1), np.uint8)
        image[..., 1:] += noise.repeat(4, 0).repeat(4, 1)
    return image


def frame(image: Image, at_ns: int, seq: int = 1) -> Frame:
    return Frame(
        camera_id=CameraId("cam-1"),
        seq=seq,
        mono_ns=at_ns,
        captured_at=datetime.now(UTC),
        media_time_s=None,
        image=image,
    )


def detection(x: float, y: float, w: float, h: float | None = None, turn: float = 0.0) -> Detection:
    """A face box with landmarks where they belong; ``turn`` shifts the nose, in face widths."""
    h = w if h is None else h
    at = ((0.3, 0.4), (0.7, 0.4), (0.5 + turn, 0.6), (0.35, 0.8), (0.65, 0.8))
    return Detection(Box(x, y, w, h), tuple((x + a * w, y + b * h) for a, b in at), 0.9)


@dataclass
class FakeEngine:
    """Finds what ``picture`` painted. What it says of quality and liveness is set by the test."""

    model_id = faces.MODEL
    score: float = 0.8
    issues: tuple[QualityIssue, ...] = ()
    live_score: float | None = 0.95
    detected: int = 0
    judged: int = 0
    embedded: int = 0
    hang_at: set[int] = field(default_factory=set)
    """People at whose sight detection never returns."""
    bad_landmarks: bool = False

    def detect(self, image: Image) -> list[Detection]:
        self.detected += 1
        mask = (image[..., 0] == 255).astype(np.uint8)
        count, _, stats, _ = cv2.connectedComponentsWithStats(mask)
        found = [detection(*map(float, stats[i, :4])) for i in range(1, count) if stats[i, 4] > 50]
        while any(self._who(image, f) in self.hang_at for f in found):
            time.sleep(1)
        return sorted(found, key=lambda d: -d.box.w * d.box.h)

    def refine(self, image: Image, detection: Detection) -> Detection:
        return detection

    def quality(self, image: Image, detection: Detection) -> Quality:
        return faces.quality(self.score, *self.issues)

    def live(self, image: Image, detection: Detection) -> float | None:
        self.judged += 1
        return self.live_score

    def embed(self, image: Image, detection: Detection) -> Embedding:
        self.embedded += 1
        if self.bad_landmarks:
            raise ValueError("the landmarks coincide")
        return faces.axis(self._who(image, detection))

    def _who(self, image: Image, face: Detection) -> int:
        box = face.box
        return int(image[int(box.y + box.h / 2), int(box.x + box.w / 2), 1]) // 10

"""An engine that reads faces out of made-up pictures, for testing everything around the networks.

A picture's first row holds up to eight faces, a pixel pair each: left, top, size | person, quality, liveness.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic_ns

import numpy as np

from gateway.domain.faces import Box, Detection, Embedding, Frame, Image, Quality, QualityIssue
from gateway.domain.ids import CameraId, ModelId
from tests.fakes.faces import MODEL, axis, quality

SIZE = (120, 160)
UNJUDGED = 255
UNUSABLE = 0


@dataclass(frozen=True)
class Face:
    """One face to paint: place in pixels, who, quality and liveness in percent."""

    x: int = 40
    y: int = 30
    size: int = 40
    who: int = 0
    score: int = 80
    live: int = 95


def picture(*faces: Face, grey: int = 90) -> Image:
    out = np.full((*SIZE, 3), grey, np.uint8)
    for face in faces:
        out[face.y : face.y + face.size, face.x : face.x + face.size] = 60 + 40 * face.who
    out[0] = 0
    for i, face in enumerate(faces):
        out[0, 2 * i] = (face.x, face.y, face.size)
        out[0, 2 * i + 1] = (face.who + 1, face.score, face.live)
    return out


def frame(image: Image, seq: int = 1, *, at_ns: int | None = None, camera: str = "cam-1") -> Frame:
    now = monotonic_ns() if at_ns is None else at_ns
    return Frame(
        camera_id=CameraId(camera),
        seq=seq,
        mono_ns=now,
        captured_at=datetime.now(UTC),
        media_time_s=seq / 10,
        image=image,
    )


@dataclass
class FakeEngine:
    model_id: ModelId = MODEL
    calls: list[str] = field(default_factory=list)

    def detect(self, image: Image) -> list[Detection]:
        self.calls.append("detect")
        found = []
        for i in range(8):
            x, y, size = (int(v) for v in image[0, 2 * i])
            if size:
                found.append(Detection(Box(x, y, size, size), ((float(i), 0.0),), 0.9))
        return sorted(found, key=lambda d: -d.box.w)

    def refine(self, image: Image, detection: Detection) -> Detection:
        return detection

    def quality(self, image: Image, detection: Detection) -> Quality:
        self.calls.append("quality")
        score = self._of(image, detection)[1]
        return quality(score / 100) if score != UNUSABLE else quality(0.0, QualityIssue.BLURRED)

    def live(self, image: Image, detection: Detection) -> float | None:
        self.calls.append("live")
        live = self._of(image, detection)[2]
        return None if live == UNJUDGED else live / 100

    def embed(self, image: Image, detection: Detection) -> Embedding:
        self.calls.append("embed")
        return axis(self._of(image, detection)[0] - 1)

    def _of(self, image: Image, detection: Detection) -> tuple[int, int, int]:
        who, score, live = (int(v) for v in image[0, 2 * int(detection.landmarks[0][0]) + 1])
        return who, score, live

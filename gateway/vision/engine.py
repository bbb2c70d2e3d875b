"""The face engine of one worker: detect, judge, embed."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from gateway.domain.errors import ModelMissing
from gateway.domain.faces import Detection, Embedding, Image, Quality, freeze
from gateway.domain.ids import ModelId
from gateway.vision import models, quality
from gateway.vision.align import align
from gateway.vision.detect import Detector
from gateway.vision.liveness import Liveness
from gateway.vision.sessions import Network


@dataclass(slots=True)
class FaceEngine:
    """Not thread-safe; one a worker."""

    model_id: ModelId
    detector: Detector
    embedder: Network
    liveness: Liveness | None
    limits: quality.Limits

    @classmethod
    def load(
        cls, folder: Path, *, threads: int, detect_px: int = 640, min_eye_distance_px: float = 30.0
    ) -> Self:
        """Check every digest, then load. Raises ModelMissing.

        A liveness file that is absent leaves ``has_liveness`` False; one that was altered raises.
        """
        known = models.manifest(folder)
        embedder = known.of("embedder")
        return cls(
            model_id=embedder.model_id,
            detector=Detector(Network(models.check(folder, known.of("detector")), threads), detect_px),
            embedder=Network(models.check(folder, embedder), threads),
            liveness=_liveness(folder, threads),
            limits=quality.Limits(eye_distance_px=min_eye_distance_px),
        )

    @property
    def has_liveness(self) -> bool:
        """A liveness model is loaded."""
        return self.liveness is not None

    def detect(self, image: Image) -> list[Detection]:
        """Faces, largest first."""
        return self.detector(image)

    def quality(self, image: Image, detection: Detection) -> Quality:
        """Judge one detection. Raises ValueError when its landmarks coincide."""
        return quality.judge(image, align(image, detection), detection, self.limits)

    def live(self, image: Image, detection: Detection) -> float | None:
        """Probability of a live face; None without a model, or where the context does not fit."""
        return None if self.liveness is None else self.liveness(image, detection.box)

    def embed(self, image: Image, detection: Detection) -> Embedding:
        """Unit-length embedding. Raises ValueError when the landmarks coincide."""
        face = align(image, detection)[:, :, ::-1]
        tensor = np.ascontiguousarray(face.transpose(2, 0, 1)[None], np.float32)
        return freeze(self.embedder.run(tensor)[0][0])


def liveness_present(folder: Path) -> bool:
    """Whether the liveness model's file is there. Raises ModelMissing when it was altered."""
    model = models.manifest(folder).of("liveness")
    if not (folder / model.file).exists():
        return False
    models.check(folder, model)
    return True


def check_all(folder: Path) -> None:
    """Every digest, as at start. Raises ModelMissing; an absent liveness model is no error here."""
    known = models.manifest(folder)
    models.check(folder, known.of("detector"))
    models.check(folder, known.of("embedder"))
    liveness_present(folder)


def _liveness(folder: Path, threads: int) -> Liveness | None:
    if not liveness_present(folder):
        return None
    model = models.manifest(folder).of("liveness")
    return Liveness(Network(models.check(folder, model), threads))


__all__ = ["FaceEngine", "ModelMissing", "check_all", "liveness_present"]

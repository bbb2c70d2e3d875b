"""The face engine of one worker: detect, judge, embed."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from gateway.domain.errors import ModelMissing
from gateway.domain.faces import Detection, Embedding, Image, Quality, freeze
from gateway.domain.ids import ModelId
from gateway.vision import align, detect, framing, liveness, models, quality
from gateway.vision.manifest import Manifest
from gateway.vision.sessions import Network

_FRAMED = 0.65
"""A rectangle this complete around a face makes it a picture of one, whatever the network says."""
_FRAMED_BAND = 0.25


@dataclass(slots=True, kw_only=True)
class FaceEngine:
    """Not thread-safe; one a worker."""

    model_id: ModelId
    detector: Network
    embedder: Network
    liveness: Network | None
    detect_px: int
    limits: quality.Limits

    @classmethod
    def load(
        cls,
        folder: Path,
        *,
        threads: int,
        detect_px: int = 640,
        min_eye_distance_px: float = 30.0,
        manifest: Manifest | None = None,
    ) -> Self:
        """Check every digest, then load. ``threads`` work on one inference. Raises ModelMissing.

        ``manifest`` stands for the folder's own, where another embedder is to be loaded.
        A liveness file that is absent leaves ``has_liveness`` False; one that was altered raises.
        """
        known = manifest or models.manifest(folder)
        detector, embedder, live = known.of("detector"), known.of("embedder"), known.of("liveness")
        return cls(
            model_id=embedder.model_id,
            detector=Network(detector, models.read(folder, detector), threads=threads),
            embedder=Network(embedder, models.read(folder, embedder), threads=threads),
            liveness=Network(live, models.read(folder, live), threads=threads)
            if liveness_present(folder)
            else None,
            detect_px=detect_px,
            limits=quality.Limits(min_eye_distance_px=min_eye_distance_px),
        )

    @property
    def has_liveness(self) -> bool:
        """A liveness model is loaded."""
        return self.liveness is not None

    def detect(self, image: Image) -> list[Detection]:
        """Faces, largest first, at most twenty, in pixels of the image."""
        return detect.detect(self.detector, image, long_side=self.detect_px)

    def refine(self, image: Image, detection: Detection) -> Detection:
        """The same face with exact landmarks, for a face about to be judged and embedded; about 3 ms."""
        return detect.refine(self.detector, image, detection)

    def quality(self, image: Image, detection: Detection) -> Quality:
        """Judge one face."""
        try:
            aligned = align.align(image, detection)
        except ValueError:
            aligned = None
        return quality.assess(image, detection, aligned, self.limits)

    def live(self, image: Image, detection: Detection) -> float | None:
        """How live a face looks, 0..1; None without a model, or when the face is too near to say.

        The lower of two verdicts: the network's, and that no frame stands around the face.
        """
        if self.liveness is None:
            return None
        seen = liveness.live(self.liveness, image, detection.box)
        if seen is None:
            return None
        rectangle = framing.framed(image, detection.box)
        return min(seen, float(np.clip((_FRAMED - rectangle) / _FRAMED_BAND, 0.0, 1.0)))

    def embed(self, image: Image, detection: Detection) -> Embedding:
        """Unit-length embedding. Raises ValueError when the landmarks coincide."""
        return freeze(self.embedder.run(align.align(image, detection))[0][0])


def liveness_present(folder: Path) -> bool:
    """Whether the liveness model's file is there. Raises ModelMissing when it was altered."""
    model = models.manifest(folder).of("liveness")
    if not (folder / model.file).exists():
        return False
    models.check(folder, model)
    return True


def check_all(folder: Path) -> Manifest:
    """Every digest, as at start. Raises ModelMissing; an absent liveness model is no error here."""
    known = models.manifest(folder)
    models.check(folder, known.of("detector"))
    models.check(folder, known.of("embedder"))
    liveness_present(folder)
    return known


__all__ = ["FaceEngine", "ModelMissing", "check_all", "liveness_present"]

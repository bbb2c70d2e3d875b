"""Made-up people in any number, from pictures of a few real ones.

Each is put together from the parts of four faces (eyes, nose, mouth in a fourth one's head) and then bent:
a face that is nobody's, in a picture as sharp as a photograph. How far apart they are for the embedder is not
known before it is measured: the more pictures there are to begin with, the further.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from gateway.domain.errors import InvalidInput
from gateway.domain.faces import Image
from gateway.rehearsal.portraits import collins, hopper
from gateway.vision.engine import FaceEngine
from gateway.vision.photo import PhotoAnalyser

SIZE = 384
_EYES, _NOSE, _MOUTH = 0.45, 0.58, 0.70
_PLACES = np.array([[0.38, _EYES], [0.62, _EYES], [0.5, _NOSE], [0.41, _MOUTH], [0.59, _MOUTH]], np.float32)
"""Where the five landmarks come to lie, as shares of the picture."""
_PARTS = ((0.5, _EYES, 0.24, 0.09), (0.5, _NOSE, 0.10, 0.10), (0.5, _MOUTH, 0.16, 0.08))
"""Centre and half axes of what is taken from another face."""
_BEND = 0.05
_SMALL_PX = 300
_MOST_OF_ONE = 4
_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Crowd:
    """Faces in one place and size, to make people of."""

    faces: Sequence[Floats]

    @classmethod
    def of(cls, engine: FaceEngine, folder: Path | None) -> "Crowd":
        """The portraits at hand, and those in a folder (at most four of each folder in it). Blocking."""
        analyser = PhotoAnalyser(engine)
        pictures = [collins(analyser).picture, hopper(analyser).picture]
        if folder is not None:
            pictures += list(_pictures(folder))
        faces = [face for picture in pictures if (face := _placed(engine, picture)) is not None]
        if not faces:
            raise InvalidInput("no face in any of the pictures")
        return cls(faces)

    def person(self, seed: int) -> bytes:
        """A JPEG of somebody who does not exist; always the same for a seed. Blocking."""
        chance = np.random.default_rng(seed)
        which = chance.choice(len(self.faces), 4, replace=len(self.faces) < 4)
        head, *others = (self.faces[i] for i in which)
        face = head
        for part, other in zip(_PARTS, others, strict=True):
            share = _oval(*part)[..., None] * np.float32(chance.uniform(0.6, 1.0))
            face = (1 - share) * face + share * _in_the_light_of(other, head)
        face = _sharpened(_bent(face, chance), chance)
        done, data = cv2.imencode(".jpg", face, [cv2.IMWRITE_JPEG_QUALITY, 92])
        if not done:
            raise InvalidInput("a made-up face cannot be encoded")
        return data.tobytes()


def _pictures(folder: Path) -> Iterator[Image]:
    for inside in [folder, *sorted(p for p in folder.rglob("*") if p.is_dir())]:
        files = [p for p in sorted(inside.iterdir()) if p.suffix.lower() in _SUFFIXES]
        for path in files[:_MOST_OF_ONE]:
            picture: Image | None = cv2.imread(str(path))  # type: ignore[assignment]
            if picture is not None:
                yield picture


def _placed(engine: FaceEngine, picture: Image) -> Floats | None:
    """A picture moved, turned and scaled so that its face lies where all others do."""
    if max(picture.shape[:2]) < _SMALL_PX:  # the detector wants some room around a face
        rim = max(picture.shape[:2]) // 3
        wider = cv2.copyMakeBorder(picture, rim, rim, rim, rim, cv2.BORDER_REPLICATE)
        picture = np.asarray(cv2.resize(wider, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC), np.uint8)
    found = engine.detect(picture)
    if not found:
        return None
    landmarks = np.array(engine.refine(picture, found[0]).landmarks, np.float32)
    move, _ = cv2.estimateAffinePartial2D(landmarks, _PLACES * SIZE, method=cv2.LMEDS)
    placed = cv2.warpAffine(
        picture, move, (SIZE, SIZE), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(placed, np.float32)


def _grid() -> tuple[Floats, Floats]:
    down, across = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32)
    return across, down


def _oval(x: float, y: float, half_width: float, half_height: float) -> Floats:
    """1 inside, 0 outside, soft between."""
    across, down = _grid()
    far = np.sqrt(((across / SIZE - x) / half_width) ** 2 + ((down / SIZE - y) / half_height) ** 2)
    return np.asarray(1 / (1 + np.exp((far - 1) * 8)), np.float32)


def _in_the_light_of(face: Floats, other: Floats) -> Floats:
    """With the mean and spread of colours of another face."""
    middle = slice(SIZE // 4, 3 * SIZE // 4)
    mine, theirs = (f[middle, middle].reshape(-1, 3) for f in (face, other))
    level = (face - mine.mean(0)) / (mine.std(0) + 1) * theirs.std(0) + theirs.mean(0)
    return np.asarray(level, np.float32)


def _bent(face: Floats, chance: np.random.Generator) -> Floats:
    """Wider, longer, and pushed at the landmarks and elsewhere."""
    across, down = _grid()
    to_x = (across - SIZE / 2) * np.float32(chance.normal(1, 0.06)) + SIZE / 2
    to_y = down + (down - SIZE * 0.55) * np.float32(chance.normal(0, 0.05))
    points = np.concatenate([_PLACES, chance.uniform(0.25, 0.75, (6, 2))]) * SIZE
    pushes = chance.normal(0, _BEND * SIZE, (len(points), 2))
    pushes[: len(_PLACES)] *= 0.6
    for (x, y), (dx, dy) in zip(points, pushes, strict=True):
        near = np.exp(-((across - x) ** 2 + (down - y) ** 2) / (2 * (0.12 * SIZE) ** 2))
        to_x, to_y = to_x + near * dx, to_y + near * dy
    bent = cv2.remap(
        face,
        np.asarray(to_x, np.float32),
        np.asarray(to_y, np.float32),
        cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(bent, np.float32)


def _sharpened(face: Floats, chance: np.random.Generator) -> Image:
    """Small pictures are soft when they are enlarged; a sensor's noise on top."""
    soft = cv2.GaussianBlur(face, (0, 0), 2.0)
    sharp = face + 2.0 * (face - soft) + chance.normal(0, 2.5, face.shape)
    tint = chance.normal(1, 0.05, 3)
    return np.clip(sharp * tint, 0, 255).astype(np.uint8)

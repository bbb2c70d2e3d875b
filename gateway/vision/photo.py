"""Photographs for enrolment: decoded with care, judged face by face."""

import cv2
import numpy as np
from numpy.typing import NDArray

from gateway.domain.enrolment import FacesInPicture, PhotoFace
from gateway.domain.faces import Box, Detection, Image
from gateway.domain.ids import ModelId
from gateway.vision import portrait
from gateway.vision.detect import refine
from gateway.vision.engine import FaceEngine
from gateway.vision.pictures import Examined, Kind, examine
from gateway.vision.pictures.parts import damaged

WORKING_SIDE = 4096
"""Pictures are judged at no more than this long side, in pixels; reduced while decoding where that can be."""
_CLOSE = 0.6
"""A face larger than this share of the picture is looked for again with a border around: the detector was
made for smaller ones and sets their landmarks more exactly (on tight 92x112 px crops of 33 portraits the
worst score between two pictures of one person rose from 0.57 to 0.64)."""
_RIM = 0.5
"""Border put around such a picture, and around one without a face, as a share of its long side."""
_RIM_SIDE = 1280
"""The detector sees half of it; a border around more pixels would only fill memory."""
_PAPER = 255
"""What stands behind a transparent picture."""


class PhotoAnalyser:
    """``ports.FaceAnalyser`` on a face engine. Blocking; not thread-safe."""

    def __init__(self, engine: FaceEngine) -> None:
        """Use an engine that nobody else uses at the same time."""
        self._engine = engine
        self.model_id: ModelId = engine.model_id

    def photograph(self, data: bytes) -> list[PhotoFace]:
        """Faces, largest first; coordinates in pixels of the upright picture. Raises InvalidInput."""
        return list(self.look(data).faces)

    def look(self, data: bytes) -> FacesInPicture:
        """Faces of an encoded picture, and the picture without what else its file held."""
        examined = examine(data)
        picture = _decoded(examined)
        return FacesInPicture(
            faces=self._faces(picture), clean=examined.clean, media_type=examined.kind.value
        )

    def frame(self, picture: Image) -> FacesInPicture:
        """Faces of a camera's picture, each with its liveness; kept is the largest alone, as a JPEG."""
        faces = self._faces(picture, live=True)
        alone = _around(picture, faces[0].detection.box) if faces else picture
        done, data = cv2.imencode(".jpg", alone, [cv2.IMWRITE_JPEG_QUALITY, 95])
        if not done:
            raise damaged("the camera's picture cannot be kept")
        return FacesInPicture(faces=faces, clean=data.tobytes(), media_type=Kind.JPEG.value)

    def _faces(self, picture: Image, *, live: bool = False) -> tuple[PhotoFace, ...]:
        found = self._engine.detect(picture)
        if not found or max(found[0].box.w, found[0].box.h) > _CLOSE * max(picture.shape[:2]):
            found = _with_rim(self._engine, picture) or found
        exact = [refine(self._engine.detector, picture, face) for face in found]
        return tuple(self._face(picture, face, live=live) for face in exact)

    def _face(self, picture: Image, found: Detection, *, live: bool) -> PhotoFace:
        try:
            embedding = self._engine.embed(picture, found)
        except ValueError:
            embedding = None
        quality = self._engine.quality(picture, found)
        return PhotoFace(
            detection=found,
            quality=quality,
            embedding=embedding,
            measures=portrait.measure(picture, found, quality, self._engine.limits),
            live=self._engine.live(picture, found) if live else None,
        )


def decode(data: bytes) -> Image:
    """An upright BGR picture (EXIF orientation applied) from JPEG, PNG or WebP, at most 4096 px long.

    What the file claims is checked before anything is decoded. Raises InvalidInput with what to do.
    """
    return _decoded(examine(data))


def _decoded(examined: Examined) -> Image:
    raw = np.frombuffer(examined.clean, np.uint8)
    try:
        picture = cv2.imdecode(raw, _how(examined))
    except cv2.error:
        picture = None
    if picture is None:
        raise damaged()
    long = max(picture.shape[:2])
    if long > WORKING_SIDE:
        scale = WORKING_SIDE / long
        picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return _upright(_in_colour(picture), examined.orientation)


def _how(examined: Examined) -> int:
    if examined.alpha:
        return cv2.IMREAD_UNCHANGED
    if examined.kind is Kind.JPEG:
        # Reduced while it is decoded: the full picture is never in memory.
        for step, how in (
            (8, cv2.IMREAD_REDUCED_COLOR_8),
            (4, cv2.IMREAD_REDUCED_COLOR_4),
            (2, cv2.IMREAD_REDUCED_COLOR_2),
        ):
            if max(examined.width, examined.height) >= step * WORKING_SIDE:
                return how | cv2.IMREAD_IGNORE_ORIENTATION
    return cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION


def _in_colour(picture: NDArray[np.generic]) -> Image:
    """Eight bits and three colours; what is transparent shows white paper."""
    wide = picture.dtype == np.uint16
    eight = (np.asarray(picture, np.uint16) >> 8).astype(np.uint8) if wide else np.asarray(picture, np.uint8)
    if eight.ndim == 2:
        return np.asarray(cv2.cvtColor(eight, cv2.COLOR_GRAY2BGR), np.uint8)
    if eight.shape[2] == 3:
        return eight
    share = eight[:, :, 3:].astype(np.uint16)
    mixed = (eight[:, :, :3] * share + _PAPER * (255 - share) + 127) // 255
    return np.ascontiguousarray(mixed.astype(np.uint8))


def _upright(picture: Image, orientation: int) -> Image:
    """Turn and mirror as EXIF 2.3 says: 5 to 8 lie on their side, even numbers but 6 and 8 are mirrored."""
    turns = {3: 2, 4: 2, 5: 1, 6: 3, 7: 3, 8: 1}.get(orientation, 0)
    upright = np.rot90(picture, turns)
    if orientation in {2, 4}:
        upright = upright[:, ::-1]
    elif orientation in {5, 7}:
        upright = upright[::-1]
    return np.ascontiguousarray(upright)


def _around(picture: Image, box: Box) -> Image:
    """Head and shoulders: what else the camera saw is nobody's photograph."""
    height, width = picture.shape[:2]
    left, top = max(0, int(box.x - box.w)), max(0, int(box.y - box.h))
    right, bottom = min(width, int(box.x + 2 * box.w)), min(height, int(box.y + 2 * box.h))
    return np.ascontiguousarray(picture[top:bottom, left:right]) if right > left and bottom > top else picture


def _with_rim(engine: FaceEngine, picture: Image) -> list[Detection]:
    """Look again with a border around; coordinates in the picture without it."""
    scale = min(1.0, _RIM_SIDE / max(picture.shape[:2]))
    small = picture
    if scale < 1.0:
        size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
        small = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    sx, sy = picture.shape[1] / small.shape[1], picture.shape[0] / small.shape[0]
    rim = round(_RIM * max(small.shape[:2]))
    wider = np.asarray(cv2.copyMakeBorder(small, rim, rim, rim, rim, cv2.BORDER_REPLICATE), np.uint8)
    return [
        Detection(
            box=Box((d.box.x - rim) * sx, (d.box.y - rim) * sy, d.box.w * sx, d.box.h * sy),
            landmarks=tuple(((x - rim) * sx, (y - rim) * sy) for x, y in d.landmarks),
            score=d.score,
        )
        for d in engine.detect(wider)
    ]

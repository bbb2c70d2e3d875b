"""Photographs for enrolment: decoded with care, judged face by face."""

import struct

import cv2
import numpy as np

from gateway.domain.enrolment import PhotoFace
from gateway.domain.errors import InvalidInput
from gateway.domain.faces import Box, Detection, Image
from gateway.domain.ids import ModelId
from gateway.vision.detect import refine
from gateway.vision.engine import FaceEngine

MOST_BYTES = 20_000_000
MOST_PIXELS = 50_000_000
_CLOSE = 0.6
"""A face larger than this share of the picture is looked for again with a border around: the detector was
made for smaller ones and sets their landmarks more exactly (on tight 92x112 px crops of 33 portraits the
worst score between two pictures of one person rose from 0.57 to 0.64)."""
_RIM = 0.5
"""Border put around such a picture, and around one without a face, as a share of its long side."""


class PhotoAnalyser:
    """``ports.FaceAnalyser`` on a face engine. Blocking; not thread-safe."""

    def __init__(self, engine: FaceEngine) -> None:
        """Use an engine that nobody else uses at the same time."""
        self._engine = engine
        self.model_id: ModelId = engine.model_id

    def photograph(self, data: bytes) -> list[PhotoFace]:
        """Faces, largest first; coordinates in pixels of the upright picture. Raises InvalidInput."""
        picture = decode(data)
        found = self._engine.detect(picture)
        if not found or max(found[0].box.w, found[0].box.h) > _CLOSE * max(picture.shape[:2]):
            found = _with_rim(self._engine, picture) or found
        return [self._face(picture, refine(self._engine.detector, picture, face)) for face in found]

    def _face(self, picture: Image, found: Detection) -> PhotoFace:
        try:
            embedding = self._engine.embed(picture, found)
        except ValueError:
            embedding = None
        return PhotoFace(detection=found, quality=self._engine.quality(picture, found), embedding=embedding)


def decode(data: bytes) -> Image:
    """An upright BGR picture (EXIF orientation applied) from JPEG, PNG or WebP.

    Size is read from the header before anything is decoded. Raises InvalidInput with what to do.
    """
    if len(data) > MOST_BYTES:
        raise InvalidInput(f"the file has {len(data) / 1e6:.0f} MB; give one under {MOST_BYTES / 1e6:.0f} MB")
    size = header_size(data)
    if size is None:
        raise InvalidInput("not a JPEG, PNG or WebP picture, or cut off in its header; save it again as JPEG")
    if size[0] * size[1] > MOST_PIXELS:
        raise InvalidInput(
            f"the picture is {size[0]}x{size[1]}; give one under {MOST_PIXELS // 10**6} megapixels"
        )
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if picture is None or not _whole(data):
        raise InvalidInput("the picture is damaged or cut off; copy it again from where it came from")
    return np.asarray(picture, np.uint8)


def header_size(data: bytes) -> tuple[int, int] | None:
    """Width and height a picture's header claims; None when it is no picture we take."""
    try:
        if data[:8] == b"\x89PNG\r\n\x1a\n":
            width, height = struct.unpack(">II", data[16:24])
            return width, height
        if data[:3] == b"\xff\xd8\xff":
            return _jpeg_size(data)
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return _webp_size(data)
    except (struct.error, IndexError):
        return None
    return None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Walk the segments to the start of frame (ITU-T T.81, annex B)."""
    at = 2
    while at + 9 < len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if 0xC0 <= marker <= 0xCF and marker not in {0xC4, 0xC8, 0xCC}:
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return width, height
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


def _webp_size(data: bytes) -> tuple[int, int] | None:
    """VP8, VP8L and VP8X headers (RFC 9649)."""
    kind = data[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        width, height = struct.unpack("<HH", data[26:30])
        return width & 0x3FFF, height & 0x3FFF
    return None


def _whole(data: bytes) -> bool:
    """The file's own end mark is there: decoders fill what a cut-off file lacks with grey."""
    if data[:3] == b"\xff\xd8\xff":
        return b"\xff\xd9" in data[-4096:]
    if data[:4] == b"\x89PNG":
        return b"IEND" in data[-4096:]
    return len(data) >= 8 + int.from_bytes(data[4:8], "little")


def _with_rim(engine: FaceEngine, picture: Image) -> list[Detection]:
    """Look again with a border around; coordinates in the picture without it."""
    rim = round(_RIM * max(picture.shape[:2]))
    wider = np.asarray(cv2.copyMakeBorder(picture, rim, rim, rim, rim, cv2.BORDER_REPLICATE), np.uint8)
    return [
        Detection(
            box=Box(d.box.x - rim, d.box.y - rim, d.box.w, d.box.h),
            landmarks=tuple((x - rim, y - rim) for x, y in d.landmarks),
            score=d.score,
        )
        for d in engine.detect(wider)
    ]

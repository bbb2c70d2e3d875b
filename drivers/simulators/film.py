"""Films of walk-ups made from photographs, for rehearsing a door without people.

A live person is simulated by letting the picture *fill* the frame, moved, scaled and relit. A picture
pasted before a background is what a print or a screen held up looks like, and is filmed as such.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from gateway.domain.faces import Box, Image

Medium = Literal["print", "screen"]
Size = tuple[int, int]
"""Width and height in pixels, both even."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """How to film. ``seconds`` of ``fps`` pictures of ``size``; ``seed`` makes hand and light repeatable."""

    size: Size = (1280, 720)
    fps: int = 15
    seconds: float = 4.0
    seed: int = 1

    @property
    def frames(self) -> int:
        """Number of pictures."""
        return max(1, round(self.fps * self.seconds))


def walk_up(photo: Image, face: Box, shot: Shot, *, far: float = 0.18, near: float = 0.26) -> Iterator[Image]:
    """A person coming nearer: the picture fills the frame in every picture.

    ``face`` is the face's box in ``photo``; it grows from ``far`` to ``near`` of the frame's height as
    far as the photograph's own borders allow.
    """
    height, width = photo.shape[:2]
    aspect = shot.size[0] / shot.size[1]
    widest = min(height, width / aspect) * 0.98
    rng = np.random.default_rng(shot.seed)
    sway = rng.uniform(0, 2 * math.pi, 3)
    for i in range(shot.frames):
        t = i / max(1, shot.frames - 1)
        share = far + (near - far) * t
        window = min(widest, face.h / share)
        phase = i / shot.fps
        lean = 1.2 * math.sin(0.9 * phase + sway[0])
        x = face.x + face.w / 2 + 0.10 * face.w * math.sin(1.7 * phase + sway[1])
        y = face.y + face.h / 2 + 0.12 * window + 0.03 * face.h * math.sin(3.4 * phase + sway[2])
        x = float(np.clip(x, window * aspect / 2, width - window * aspect / 2))
        y = float(np.clip(y, window / 2, height - window / 2))
        picture = _window(photo, (x, y), window, lean, shot.size)
        yield _relight(picture, phase, rng)


def held_up(photo: Image, face: Box, shot: Shot, *, medium: Medium, share: float = 0.75) -> Iterator[Image]:
    """A photograph held before the camera, on paper or on a tablet, over the background of ``empty``.

    ``share`` is the height of paper or tablet in the frame's height.
    """
    sheet = _sheet(photo, face, medium)
    rng = np.random.default_rng(shot.seed)
    room = _room(shot)
    scale0 = share * shot.size[1] / sheet.shape[0]
    for i in range(shot.frames):
        phase = i / shot.fps
        scale = scale0 * (1 + 0.05 * math.sin(0.8 * phase))
        turn = 3.0 * math.sin(1.1 * phase) + 2.0
        centre = (
            shot.size[0] * (0.5 + 0.02 * math.sin(1.3 * phase)),
            shot.size[1] * (0.52 + 0.02 * math.cos(0.9 * phase)),
        )
        yield _relight(_paste(room, sheet, centre, scale, turn), phase, rng)


def empty(shot: Shot) -> Iterator[Image]:
    """The doorway with nobody in it: still but for the sensor's noise."""
    room = _room(shot)
    rng = np.random.default_rng(shot.seed)
    for _ in range(shot.frames):
        yield _noise(room, rng, 1.5)


def write_h264(path: Path, pictures: Iterable[Image], shot: Shot, *, bitrate: int = 4_000_000) -> int:
    """Encode to H.264 in an MP4 (needs PyAV, extra ``demo``); returns the number of pictures written.

    No B-frames and a key frame a second, as door cameras are usually set up.
    """
    import av  # an optional extra, heavy to load

    written = 0
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=shot.fps)
        stream.width, stream.height = shot.size
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = bitrate
        stream.time_base = Fraction(1, shot.fps)
        stream.options = {"preset": "veryfast", "tune": "zerolatency", "g": str(shot.fps), "bf": "0"}
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="bgr24")
            frame.pts = written
            container.mux(stream.encode(frame))
            written += 1
        container.mux(stream.encode())
    return written


def _window(photo: Image, centre: tuple[float, float], height: float, lean: float, size: Size) -> Image:
    """The part of a photograph a camera frames, ``height`` source pixels tall, turned by ``lean`` degrees."""
    scale = size[1] / height
    turn = cv2.getRotationMatrix2D(centre, lean, scale)
    turn[0, 2] += size[0] / 2 - centre[0]
    turn[1, 2] += size[1] / 2 - centre[1]
    out = cv2.warpAffine(photo, turn, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(out, np.uint8)


def _sheet(photo: Image, face: Box, medium: Medium) -> Image:
    """The flat thing that is held up: head and shoulders, with paper's white rim or a tablet's bezel."""
    half = 1.35 * face.h
    cx, cy = face.x + face.w / 2, face.y + face.h / 2 + 0.3 * face.h
    top, left = max(0, int(cy - half)), max(0, int(cx - 0.8 * half))
    crop = photo[top : int(cy + half), left : int(cx + 0.8 * half)]
    rim = max(4, crop.shape[0] // (18 if medium == "print" else 12))
    if medium == "print":
        faded = cv2.addWeighted(crop, 0.85, np.full_like(crop, 200), 0.15, 0)
        colour = (235, 238, 240)
    else:
        glow = crop.astype(np.float32) * 1.15 + 12
        glow[:, :, 0] += 10
        faded = np.clip(glow, 0, 255).astype(np.uint8)
        faded[::3] = (faded[::3] * 0.93).astype(np.uint8)
        colour = (18, 18, 20)
    return np.asarray(
        cv2.copyMakeBorder(faded, rim, rim, rim, rim, cv2.BORDER_CONSTANT, value=colour), np.uint8
    )


def _room(shot: Shot) -> Image:
    """A plain lobby: wall, door frame, floor, soft light from the left."""
    w, h = shot.size
    room = np.full((h, w, 3), (148, 156, 160), np.uint8)
    room[int(h * 0.8) :] = (84, 92, 100)
    cv2.rectangle(room, (int(w * 0.68), int(h * 0.12)), (int(w * 0.93), int(h * 0.8)), (96, 112, 132), -1)
    cv2.rectangle(room, (int(w * 0.68), int(h * 0.12)), (int(w * 0.93), int(h * 0.8)), (60, 66, 72), h // 90)
    cv2.circle(room, (int(w * 0.72), int(h * 0.48)), h // 60, (40, 180, 200), -1)
    light = np.linspace(1.12, 0.82, w, dtype=np.float32)[None, :, None]
    grain = np.random.default_rng(7).normal(0, 2.5, (h, w, 1)).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(np.clip(room * light + grain, 0, 255).astype(np.uint8), (5, 5), 0))


def _paste(room: Image, sheet: Image, centre: tuple[float, float], scale: float, turn: float) -> Image:
    """The sheet over the room, turned and scaled, with a soft edge of one pixel."""
    h, w = sheet.shape[:2]
    place = cv2.getRotationMatrix2D((w / 2, h / 2), turn, scale)
    place[0, 2] += centre[0] - w / 2
    place[1, 2] += centre[1] - h / 2
    size = (room.shape[1], room.shape[0])
    over = cv2.warpAffine(sheet, place, size, flags=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    mask = cv2.warpAffine(np.ones((h, w), np.float32), place, size, flags=cv2.INTER_LINEAR)[:, :, None]
    return np.asarray(over * mask + room * (1 - mask), np.uint8)


def _relight(picture: Image, phase: float, rng: np.random.Generator) -> Image:
    """Slow change of light, and the sensor's noise."""
    gain = 1.0 + 0.06 * math.sin(0.7 * phase)
    return _noise(np.asarray(cv2.convertScaleAbs(picture, alpha=gain), np.uint8), rng, 2.0)


def _noise(picture: Image, rng: np.random.Generator, sigma: float) -> Image:
    # One grey noise for all colours, as a sensor's; added in 16 bits so that it is not cut off at 0.
    noise = (rng.standard_normal(picture.shape[:2], np.float32) * sigma).astype(np.int16)
    return np.asarray(np.clip(picture + noise[:, :, None], 0, 255), np.uint8)

"""How good a photograph is to enrol with, in components of ISO/IEC 29794-5.

Measured: distance between the eyes, sharpness, mean luminance, under- and over-exposure, dynamic range,
evenness of the light, pose (from five landmarks and a generic head: good to some ten degrees; a tilted head
is read short, 40 degrees as 22 to 28), whether eyes and mouth show any relief, whether the face is inside the
picture.

Not measured, because five landmarks and grey values do not tell it: whether the eyes are open or closed,
where they look, expression, whether the mouth is open, hats, hair over the forehead, clear glasses, natural
colour, compression artefacts, the background. A covering is seen when it is plain or dark (a bar, a mask of
one colour, sunglasses); a patterned scarf may pass, and a patch over one eye did in 5 of 33 portraits.
Limits were set on the pictures at hand: eyes of 36 usable portraits have a relief of 0.11 and more, covered
ones 0.07 and less; mouths 0.12 and 0.03.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from gateway.domain.enrolment import Component, Measure
from gateway.domain.faces import Detection, Image, Quality
from gateway.vision import align
from gateway.vision.quality import Limits

NOSE_LENGTH = 0.5
"""How far the nose tip stands before the plane of eyes and mouth, in eye distances."""
FRONTAL_NOSE = 0.59
"""Height of the nose tip between eyes and mouth of a face seen from the front; the median of 35 portraits."""
_NOSE_BY_FACE = 0.45
"""The nose's length by the distance from eyes to mouth."""
_DARK, _BRIGHT = 25, 247
"""The standard's limits of under- and over-exposed luminance."""
_FACE = (slice(24, 104), slice(24, 88))
_LEFT, _RIGHT = (slice(36, 96), slice(20, 56)), (slice(36, 96), slice(56, 92))
_CHEEKS = ((slice(62, 86), slice(26, 44)), (slice(62, 86), slice(68, 86)))
_EYE, _MOUTH = (9, 6), (14, 6)
"""Half the width and height of what is looked at in the aligned face, pixels."""
_LIPS = (56.0, 90.0)

Grey = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Ramp:
    """From where a value is refused to where it is as good as can be."""

    refused: float
    best: float

    def __call__(self, value: float) -> float:
        return float(np.clip((value - self.refused) / (self.best - self.refused), 0.0, 1.0))


_BEST_EYE_DISTANCE = 90.0
"""Pixels; what ISO/IEC 39794-5 asks of a portrait."""
_SHARPNESS = _Ramp(60.0, 400.0)
_LIGHT, _GLARE = _Ramp(35.0, 90.0), _Ramp(225.0, 185.0)
_UNDER, _OVER = _Ramp(0.25, 0.02), _Ramp(0.25, 0.01)
_RANGE = _Ramp(5.5, 7.0)
_EVEN = _Ramp(0.15, 0.7)
_TURNED, _LEANING = _Ramp(30.0, 5.0), _Ramp(20.0, 5.0)
_TILTED = _Ramp(25.0, 8.0)
_EYE_RELIEF, _EYE_SHADE, _MOUTH_RELIEF = _Ramp(0.09, 0.18), _Ramp(0.18, 0.4), _Ramp(0.06, 0.14)
_BESIDE, _ABOVE, _BELOW = 0.5, 0.7, 0.5
"""Eye distances from the eyes to the picture's sides and top, and from the mouth to its bottom, at which the
face itself is cut. The face's box does not tell: a detector draws it inside whatever picture it is given."""
_INSIDE = _Ramp(0.0, 0.4)


def measure(picture: Image, detection: Detection, quality: Quality, limits: Limits) -> tuple[Measure, ...]:
    """Every component of one face. ``quality`` is what the door would say of it.

    Units: pixels, variance of the Laplacian, 0..255, share of pixels, share, bits, share, degrees (turned to
    the picture's right, up, clockwise), relief by brightness twice, eye distances.
    """
    try:
        grey = cv2.cvtColor(align.align(picture, detection), cv2.COLOR_BGR2GRAY)
    except ValueError:
        return (Measure(component=Component.EYE_DISTANCE, value=quality.eye_distance_px, score=0.0),)
    face, values = grey[_FACE], np.asarray(grey, np.float64)
    under, over = float((face <= _DARK).mean()), float((face >= _BRIGHT).mean())
    yaw, pitch = angles(quality)
    even = _overlap(grey[_LEFT], grey[_RIGHT])
    eyes, shade = _eyes(values)
    mouth = _relief(values, _LIPS, _MOUTH)
    margin = _margin(picture, detection, quality.eye_distance_px)
    size = _Ramp(limits.min_eye_distance_px - 0.01, max(_BEST_EYE_DISTANCE, limits.min_eye_distance_px + 1))
    bits = _entropy(face)
    rows = (
        (Component.EYE_DISTANCE, quality.eye_distance_px, size(quality.eye_distance_px)),
        (Component.SHARPNESS, quality.sharpness, _SHARPNESS(quality.sharpness)),
        (Component.LUMINANCE, quality.luma, min(_LIGHT(quality.luma), _GLARE(quality.luma))),
        (Component.UNDER_EXPOSURE, under, _UNDER(under)),
        (Component.OVER_EXPOSURE, over, _OVER(over)),
        (Component.DYNAMIC_RANGE, bits, _RANGE(bits)),
        (Component.ILLUMINATION, even, _EVEN(even)),
        (Component.YAW, yaw, _TURNED(abs(yaw))),
        (Component.PITCH, pitch, _TILTED(abs(pitch))),
        (Component.ROLL, quality.roll_deg, _LEANING(abs(quality.roll_deg))),
        (Component.EYES_VISIBLE, eyes, min(_EYE_RELIEF(eyes), _EYE_SHADE(shade))),
        (Component.MOUTH_VISIBLE, mouth, _MOUTH_RELIEF(mouth)),
        (Component.HEAD_IN_FRAME, margin, _INSIDE(margin)),
    )
    return tuple(Measure(component=c, value=float(v), score=s) for c, v, s in rows)


def angles(quality: Quality) -> tuple[float, float]:
    """Yaw and pitch in degrees, as if the head were a generic one far from the camera.

    A nose that stands n eye distances before the face moves by n·tan(yaw) between the foreshortened eyes.
    """
    yaw = math.degrees(math.atan(quality.yaw / NOSE_LENGTH))
    pitch = math.degrees(math.atan((FRONTAL_NOSE - quality.pitch) / _NOSE_BY_FACE))
    return yaw, pitch


def _eyes(values: Grey) -> tuple[float, float]:
    """Relief of the flatter eye, and brightness of the darker one by the cheek's below it."""
    relief = min(_relief(values, at, _EYE) for at in align.TEMPLATE[:2])
    shades = (
        float(np.median(_patch(values, at, _EYE))) / max(1.0, float(values[cheek].mean()))
        for at, cheek in zip(align.TEMPLATE[:2], _CHEEKS, strict=True)
    )
    return relief, min(shades)


def _relief(values: Grey, at: tuple[float, float], half: tuple[int, int]) -> float:
    """Deviation of the brightness by the face's own, so that it does not depend on the light."""
    return float(_patch(values, at, half).std() / (values[_FACE].mean() + 20.0))


def _patch(values: Grey, at: tuple[float, float], half: tuple[int, int]) -> Grey:
    x, y = round(at[0]), round(at[1])
    return values[y - half[1] : y + half[1], x - half[0] : x + half[0]]


def _entropy(grey: NDArray[np.generic]) -> float:
    """Bits a pixel: the standard's dynamic range."""
    share = np.bincount(np.asarray(grey, np.uint8).ravel(), minlength=256) / grey.size
    share = share[share > 0]
    return float(-(share * np.log2(share)).sum())


def _overlap(left: NDArray[np.generic], right: NDArray[np.generic]) -> float:
    """How alike the two halves' histograms are, 0..1: the standard's illumination uniformity."""
    a, b = (np.bincount(np.asarray(h, np.uint8).ravel() // 8, minlength=32) / h.size for h in (left, right))
    return float(np.minimum(a, b).sum())


def _margin(picture: Image, detection: Detection, eye_distance: float) -> float:
    """How much more there is around the face than it needs, on the side where least is; below 0 it is cut."""
    height, width = float(picture.shape[0]), float(picture.shape[1])
    across = [x for x, _ in detection.landmarks]
    down = [y for _, y in detection.landmarks]
    unit = max(1.0, eye_distance)
    return min(
        min(across) / unit - _BESIDE,
        (width - max(across)) / unit - _BESIDE,
        min(down) / unit - _ABOVE,
        (height - max(down)) / unit - _BELOW,
    )

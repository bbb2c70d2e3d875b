"""Image quality of one face, after the components of ISO/IEC 29794-5, from pixels and landmarks alone."""

import math
from dataclasses import dataclass

import cv2

from gateway.domain.faces import Detection, Image, Quality, QualityIssue


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """From where a sample is unusable."""

    min_eye_distance_px: float
    min_sharpness: float = 40.0
    min_luma: float = 35.0
    max_luma: float = 225.0
    max_clipped: float = 0.35
    max_yaw: float = 0.38
    pitch: tuple[float, float] = (0.25, 0.85)
    max_roll_deg: float = 35.0
    max_outside: float = 0.15


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """What five landmarks say of a face. Lengths are in pixels of the picture."""

    eye_distance: float
    roll_deg: float
    yaw: float
    pitch: float
    sane: bool


def assess(image: Image, detection: Detection, aligned: Image | None, limits: Limits) -> Quality:
    """Judge a face. ``aligned`` is its 112 x 112 picture, None when the landmarks do not give one."""
    face = geometry(detection)
    grey = None if aligned is None else cv2.cvtColor(aligned, cv2.COLOR_BGR2GRAY)
    sharpness = 0.0 if grey is None else float(cv2.Laplacian(grey, cv2.CV_32F).var())
    centre = None if grey is None else grey[24:104, 24:88]
    luma = 0.0 if centre is None else float(centre.mean())
    clipped = 0.0 if centre is None else float((centre >= 250).mean())
    wrong = {
        QualityIssue.LANDMARKS: aligned is None or not face.sane,
        QualityIssue.TOO_SMALL: face.eye_distance < limits.min_eye_distance_px,
        QualityIssue.CUT_OFF: outside(image, detection) > limits.max_outside,
        QualityIssue.POSE: abs(face.yaw) > limits.max_yaw
        or not limits.pitch[0] <= face.pitch <= limits.pitch[1]
        or abs(face.roll_deg) > limits.max_roll_deg,
        QualityIssue.TOO_DARK: luma < limits.min_luma,
        QualityIssue.TOO_BRIGHT: luma > limits.max_luma or clipped > limits.max_clipped,
        QualityIssue.BLURRED: sharpness < limits.min_sharpness,
    }
    return Quality(
        eye_distance_px=face.eye_distance,
        sharpness=sharpness,
        luma=luma,
        yaw=face.yaw,
        pitch=face.pitch,
        roll_deg=face.roll_deg,
        score=_score(face, sharpness, luma, detection, limits),
        issues=tuple(issue for issue, holds in wrong.items() if holds),
    )


def geometry(detection: Detection) -> Geometry:
    """Pose and sanity from the five points, in a frame turned so that the eyes are level."""
    left, right, nose, mouth_l, mouth_r = (complex(x, y) for x, y in detection.landmarks)
    eyes = right - left
    distance = abs(eyes)
    if not math.isfinite(distance) or distance < 1.0:
        return Geometry(eye_distance=0.0, roll_deg=0.0, yaw=0.0, pitch=0.0, sane=False)
    # In eye distances: the left eye is 0, the right eye 1, y points from the eyes to the mouth.
    tip, corner_l, corner_r = ((p - left) / eyes for p in (nose, mouth_l, mouth_r))
    mouth = (corner_l + corner_r) / 2
    depth = mouth.imag
    sane = (
        0.5 < depth < 2.5
        and 0.15 * depth < tip.imag < 0.95 * depth
        and 0.3 < (corner_r - corner_l).real < 1.6
        and abs((corner_r - corner_l).imag) < 0.5
        and -0.6 < tip.real < 1.6
        and _inside(detection)
    )
    return Geometry(
        eye_distance=distance,
        roll_deg=math.degrees(math.atan2(eyes.imag, eyes.real)),
        yaw=tip.real - 0.5,
        pitch=tip.imag / depth if depth > 0.1 else 0.0,
        sane=sane,
    )


def outside(image: Image, detection: Detection) -> float:
    """Share of the face box beyond the picture's border."""
    box = detection.box
    height, width = float(image.shape[0]), float(image.shape[1])
    w = min(box.x + box.w, width) - max(box.x, 0)
    h = min(box.y + box.h, height) - max(box.y, 0)
    return 1.0 - max(0.0, w) * max(0.0, h) / max(1e-6, box.w * box.h)


def _inside(detection: Detection) -> bool:
    """All landmarks lie in the face box, or close to it."""
    box = detection.box
    return all(
        box.x - 0.15 * box.w <= x <= box.x + 1.15 * box.w and box.y - 0.1 * box.h <= y <= box.y + 1.1 * box.h
        for x, y in detection.landmarks
    )


def _score(face: Geometry, sharpness: float, luma: float, detection: Detection, limits: Limits) -> float:
    """0..1 for ranking samples: the product of how far each component is from its limit."""
    if not face.sane:
        return 0.0
    size = min(1.0, face.eye_distance / max(60.0, 2 * limits.min_eye_distance_px))
    sharp = sharpness / (sharpness + 2 * limits.min_sharpness)
    light = math.sqrt(max(0.0, 1 - abs(luma - 125) / 125))
    turned, tilted = abs(face.yaw) / (1.5 * limits.max_yaw), abs(face.pitch - 0.55) / 0.6
    frontal = max(0.0, 1 - turned) * max(0.0, 1 - tilted)
    return min(1.0, detection.score) * math.sqrt(size * sharp * light * frontal)

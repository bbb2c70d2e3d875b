"""Image quality of one face, in the components of ISO/IEC 29794-5 that one camera can give."""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from gateway.domain.faces import Detection, Image, Quality, QualityIssue


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Where a sample stops being usable; measured on the test faces, see docs/recognition.md."""

    eye_distance_px: float = 30.0
    sharpness: float = 20.0
    luma_low: float = 35.0
    luma_high: float = 225.0
    yaw: float = 0.33
    pitch_low: float = 0.28
    pitch_high: float = 0.85
    roll_deg: float = 35.0


def judge(image: Image, aligned: Image, detection: Detection, limits: Limits) -> Quality:
    """Measure one detection; ``aligned`` is its 112x112 picture."""
    left, right, nose, mouth_left, mouth_right = (np.array(p) for p in detection.landmarks)
    axis = right - left
    eyes = float(np.hypot(*axis))
    grey = cv2.cvtColor(aligned, cv2.COLOR_BGR2GRAY)
    inner = grey[28:104, 20:92]
    sharpness = float(cv2.Laplacian(inner, cv2.CV_64F).var())
    luma = float(inner.mean())
    unit = axis / max(eyes, 1e-6)
    down = np.array([-unit[1], unit[0]])
    centre, mouth = (left + right) / 2, (mouth_left + mouth_right) / 2
    yaw = float((nose - centre) @ unit) / max(eyes, 1e-6)
    drop = float((mouth - centre) @ down)
    pitch = float((nose - centre) @ down) / drop if drop > 1e-6 else 0.0
    roll = math.degrees(math.atan2(float(axis[1]), float(axis[0])))
    issues = [
        issue
        for issue, bad in (
            (QualityIssue.LANDMARKS, not _sane(detection, eyes, drop)),
            (QualityIssue.TOO_SMALL, eyes < limits.eye_distance_px),
            (QualityIssue.CUT_OFF, _cut_off(image, detection)),
            (
                QualityIssue.POSE,
                abs(yaw) > limits.yaw
                or not limits.pitch_low <= pitch <= limits.pitch_high
                or abs(roll) > limits.roll_deg,
            ),
            (QualityIssue.TOO_DARK, luma < limits.luma_low),
            (QualityIssue.TOO_BRIGHT, luma > limits.luma_high),
            (QualityIssue.BLURRED, sharpness < limits.sharpness),
        )
        if bad
    ]
    return Quality(
        eye_distance_px=eyes,
        sharpness=sharpness,
        luma=luma,
        yaw=max(-1.0, min(1.0, yaw)),
        pitch=pitch,
        roll_deg=roll,
        score=_score(eyes, sharpness, yaw, pitch, luma),
        issues=tuple(issues),
    )


def _sane(detection: Detection, eyes: float, drop: float) -> bool:
    """Landmarks that can be a face's: eyes apart, mouth below them, all inside the box or nearly."""
    box = detection.box
    share = eyes / max(box.w, 1e-6)
    inside = all(
        box.x - 0.15 * box.w <= x <= box.x + 1.15 * box.w
        and box.y - 0.15 * box.h <= y <= box.y + 1.15 * box.h
        for x, y in detection.landmarks
    )
    return inside and 0.12 <= share <= 0.8 and 0.4 <= drop / max(eyes, 1e-6) <= 3.0


def _cut_off(image: Image, detection: Detection) -> bool:
    """A landmark lies at the picture's edge, or a fifth of the face outside it."""
    height, width = image.shape[:2]
    box = detection.box
    visible_w = min(width, box.x + box.w) - max(0.0, box.x)
    visible_h = min(height, box.y + box.h) - max(0.0, box.y)
    edge = any(not (1 <= x < width - 1 and 1 <= y < height - 1) for x, y in detection.landmarks)
    return edge or visible_w * visible_h < 0.8 * box.w * box.h


def _score(eyes: float, sharpness: float, yaw: float, pitch: float, luma: float) -> float:
    """0..1: geometric mean of size, sharpness, pose and exposure, each capped at what is plenty."""
    parts = (
        min(1.0, eyes / 60),
        min(1.0, math.sqrt(max(0.0, sharpness) / 400)),
        max(0.0, 1 - abs(yaw) / 0.5) * max(0.0, 1 - abs(pitch - 0.55) / 0.6),
        max(0.0, 1 - abs(luma - 128) / 128),
    )
    return float(math.prod(max(p, 1e-3) for p in parts) ** (1 / len(parts)))

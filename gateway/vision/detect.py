"""YuNet face detection (W. Wu et al., "YuNet: a tiny millisecond-level face detector", 2023)."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from gateway.domain.faces import Box, Detection, Image
from gateway.vision.sessions import Network, Tensor

STRIDES = (8, 16, 32)
_NMS_IOU = 0.3
MOST_FACES = 20


@dataclass(slots=True)
class Detector:
    """Finds faces. ``long_side`` is that of the picture the network sees; ``min_score`` is 0..1."""

    network: Network
    long_side: int = 640
    min_score: float = 0.6

    def __call__(self, image: Image) -> list[Detection]:
        """Faces, largest first, at most ``MOST_FACES``; coordinates in pixels of ``image``."""
        scale = self.long_side / max(image.shape[:2])
        size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        small = image if scale == 1 else cv2.resize(image, size, interpolation=how)
        height, width = (-(-side // 32) * 32 for side in small.shape[:2])
        canvas = np.zeros((1, 3, height, width), np.float32)
        canvas[0, :, : small.shape[0], : small.shape[1]] = small.transpose(2, 0, 1)
        outputs = dict(zip(self.network.outputs, self.network.run(canvas), strict=True))
        rows = np.concatenate([self._decode(outputs, stride, width) for stride in STRIDES])
        return [_detection(row, scale) for row in _suppress(rows)]

    def _decode(self, outputs: dict[str, Tensor], stride: int, width: int) -> Tensor:
        """Rows of x, y, w, h, five landmark pairs, score, for one stride."""
        cls, obj = outputs[f"cls_{stride}"][0, :, 0], outputs[f"obj_{stride}"][0, :, 0]
        score = np.sqrt(np.clip(cls, 0, 1) * np.clip(obj, 0, 1))
        picked = np.flatnonzero(score >= self.min_score)
        row, column = np.divmod(picked, width // stride)
        origin = np.stack([column, row], 1).astype(np.float32)
        box, points = outputs[f"bbox_{stride}"][0][picked], outputs[f"kps_{stride}"][0][picked]
        size = np.exp(np.clip(box[:, 2:], -8, 8)) * stride
        corner = (origin + box[:, :2]) * stride - size / 2
        marks = (points.reshape(-1, 5, 2) + origin[:, None]) * stride
        return np.concatenate([corner, size, marks.reshape(-1, 10), score[picked, None]], 1)


def _suppress(rows: Tensor) -> Tensor:
    """Greedy non-maximum suppression by score; the survivors by size."""
    rows = rows[np.argsort(-rows[:, 14])][:200]
    kept: list[NDArray[np.float32]] = []
    for row in rows:
        if all(_iou(row, other) < _NMS_IOU for other in kept):
            kept.append(row)
    kept.sort(key=lambda r: -float(r[2] * r[3]))
    return np.stack(kept[:MOST_FACES]) if kept else rows[:0]


def _iou(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    return Box(*map(float, a[:4])).iou(Box(*map(float, b[:4])))


def _detection(row: NDArray[np.float32], scale: float) -> Detection:
    x, y, w, h, *rest = (float(v) / scale for v in row[:14])
    marks = tuple((rest[i], rest[i + 1]) for i in range(0, 10, 2))
    return Detection(box=Box(x, y, w, h), landmarks=marks, score=float(row[14]))

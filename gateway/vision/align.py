"""Five-point alignment to the 112x112 template of ArcFace (J. Deng et al., 2019)."""

import cv2
import numpy as np
from numpy.typing import NDArray

from gateway.domain.faces import Detection, Image

SIDE = 112
TEMPLATE: NDArray[np.float64] = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
TEMPLATE.setflags(write=False)


def similarity(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """2x3 least-squares similarity from five picture points to the template (S. Umeyama, 1991).

    Raises ValueError when the points coincide.
    """
    mean_from, mean_to = points.mean(0), TEMPLATE.mean(0)
    a, b = points - mean_from, TEMPLATE - mean_to
    spread = float((a**2).sum())
    if not np.isfinite(spread) or spread < 1e-6:
        raise ValueError("landmarks coincide")
    u, s, vt = np.linalg.svd(b.T @ a)
    flip = np.diag([1.0, np.sign(np.linalg.det(u @ vt))])
    rotation = u @ flip @ vt
    scale = float((s * np.diag(flip)).sum()) / spread
    return np.hstack([scale * rotation, (mean_to - scale * rotation @ mean_from)[:, None]])


def align(image: Image, detection: Detection) -> Image:
    """The face as a 112x112 BGR picture. Raises ValueError when the landmarks coincide."""
    matrix = similarity(np.asarray(detection.landmarks, np.float64))
    return np.asarray(cv2.warpAffine(image, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR), np.uint8)

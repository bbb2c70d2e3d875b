"""Five-point alignment: the face turned, scaled and shifted onto the ArcFace template."""

import cv2
import numpy as np
from numpy.typing import NDArray

from gateway.domain.faces import Detection, Image

SIZE = 112
TEMPLATE = (
    (38.2946, 51.6963),
    (73.5318, 51.5014),
    (56.0252, 71.7366),
    (41.5493, 92.3655),
    (70.7299, 92.2041),
)
"""Where eyes, nose tip and mouth corners lie in a 112 x 112 aligned face (Deng et al., ArcFace, 2019)."""
_TEMPLATE = np.array([complex(x, y) for x, y in TEMPLATE])


def similarity(landmarks: tuple[tuple[float, float], ...]) -> NDArray[np.float64]:
    """2 x 3 matrix of the least-squares similarity (no mirroring) from five points to the template.

    In the complex plane it is z -> a z + b, so the fit is one line. Raises ValueError for coinciding points.
    """
    points = np.array([complex(x, y) for x, y in landmarks])
    if not np.isfinite(points).all():
        raise ValueError("landmarks that are not finite give no direction")
    centred = points - points.mean()
    spread = float(np.vdot(centred, centred).real)
    if spread < 1e-6:
        raise ValueError("five landmarks in one place give no direction")
    a = complex(np.vdot(centred, _TEMPLATE - _TEMPLATE.mean())) / spread
    b = complex(_TEMPLATE.mean()) - a * complex(points.mean())
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])


def align(image: Image, detection: Detection) -> Image:
    """The aligned face, 112 x 112 BGR. Outside of the picture its border is repeated. Raises ValueError.

    A face much larger than the template is first reduced by area, or its pixels would be skipped.
    """
    matrix = similarity(detection.landmarks)
    image, matrix = _reduced(image, matrix)
    out = cv2.warpAffine(image, matrix, (SIZE, SIZE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(out, np.uint8)


def _reduced(image: Image, matrix: NDArray[np.float64]) -> tuple[Image, NDArray[np.float64]]:
    """Cut out what the aligned face shows and shrink it by a whole number, if it is large enough for that."""
    step = int(1 / np.hypot(matrix[0, 0], matrix[1, 0]))
    if step < 2:
        return image, matrix
    back = cv2.invertAffineTransform(matrix)
    corners = back @ np.array([[0, SIZE, SIZE, 0], [0, 0, SIZE, SIZE], [1, 1, 1, 1]])
    height, width = image.shape[:2]
    left, top = np.clip(np.floor(corners.min(axis=1)) - step, 0, (width, height)).astype(int)
    right, bottom = np.clip(np.ceil(corners.max(axis=1)) + step, 0, (width, height)).astype(int)
    right -= (right - left) % step
    bottom -= (bottom - top) % step
    if right <= left or bottom <= top:
        return image, matrix
    small = cv2.resize(
        image[top:bottom, left:right],
        ((right - left) // step, (bottom - top) // step),
        interpolation=cv2.INTER_AREA,
    )
    # A small pixel i covers source pixels step*i .. step*i + step-1, whose centre is step*i + (step-1)/2.
    centre = (step - 1) / 2
    up = np.array([[step, 0, left + centre], [0, step, top + centre], [0, 0, 1]])
    return np.asarray(small, np.uint8), matrix @ up

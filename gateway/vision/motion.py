"""Whether a picture is worth a look: an idle doorway should cost next to nothing."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from gateway.domain.faces import Image

_WIDTH = 96
_BLOCK = 6
_MOVED = 7.0
"""Mean grey difference of a block that counts as movement; sensor noise averages out below it."""
_CUT_DIFFERENCE = 25.0
_CUT_SHARE = 0.6
"""A scene cut changes most of the picture strongly between two frames."""


@dataclass(frozen=True, slots=True)
class Motion:
    """What changed since the frame before."""

    moved: bool
    cut: bool


class MotionGate:
    """Compares each picture, shrunk and grey, with the one before and with a slow background."""

    def __init__(self) -> None:
        self._last: NDArray[np.float32] | None = None
        self._background: NDArray[np.float32] | None = None

    def look(self, image: Image) -> Motion:
        """Compare; the first picture counts as movement."""
        height = max(_BLOCK, round(image.shape[0] * _WIDTH / image.shape[1]) // _BLOCK * _BLOCK)
        # Sixteen pixels a cell are enough, and ten times quicker than the average of all.
        fine = cv2.resize(image, (2 * _WIDTH, 2 * height), interpolation=cv2.INTER_LINEAR)
        small = cv2.resize(fine, (_WIDTH, height), interpolation=cv2.INTER_AREA)
        grey = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY).astype(np.float32)
        last, background = self._last, self._background
        self._last = grey
        if last is None or background is None or last.shape != grey.shape:
            self._background = grey.copy()
            return Motion(moved=True, cut=last is not None)
        moved = bool(max(_blocks(grey, last).max(), _blocks(grey, background).max()) > _MOVED)
        cut = bool((np.abs(grey - last) > _CUT_DIFFERENCE).mean() > _CUT_SHARE)
        cv2.accumulateWeighted(grey, background, 0.05)
        return Motion(moved=moved, cut=cut)


def _blocks(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean absolute difference of each block."""
    rows, columns = a.shape[0] // _BLOCK, a.shape[1] // _BLOCK
    cut = np.abs(a - b)[: rows * _BLOCK, : columns * _BLOCK]
    return np.asarray(cut.reshape(rows, _BLOCK, columns, _BLOCK).mean((1, 3)))

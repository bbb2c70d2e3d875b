"""Passive liveness from one picture: a face, or a picture of one."""

import cv2
import numpy as np

from gateway.domain.faces import Box, Image
from gateway.vision.sessions import Network

CONTEXT = 2.7
"""Side of the square around the face, in the larger side of its box: the paper's edge, the tablet's rim."""


def live(network: Network, image: Image, box: Box) -> float | None:
    """Probability of a live face, 0..1; None when the square does not fit into the picture.

    Without its context a photograph held close looks like a person, so it is not judged at all.
    """
    square = context(image, box)
    if square is None:
        return None
    side = network.input.size or square.shape[0]
    how = cv2.INTER_AREA if square.shape[0] > side else cv2.INTER_LINEAR
    logits = network.run(np.asarray(cv2.resize(square, (side, side), interpolation=how), np.uint8))[0][0]
    powers = np.exp(logits - logits.max())
    return float(powers[0] / powers.sum())


def context(image: Image, box: Box) -> Image | None:
    """The square of context, shifted inside the picture where needed; None when it is too large for it."""
    height, width = image.shape[:2]
    side = round(CONTEXT * max(box.w, box.h))
    if not 0 < side <= min(height, width):
        return None
    x = round(min(max(box.x + box.w / 2 - side / 2, 0), width - side))
    y = round(min(max(box.y + box.h / 2 - side / 2, 0), height - side))
    return image[y : y + side, x : x + side]

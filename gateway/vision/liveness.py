"""Passive liveness from one picture: a face, or a picture of one."""

import math

import cv2
import numpy as np

from gateway.domain.faces import Box, Image
from gateway.vision.sessions import Network

CONTEXT = 2.7
"""Size of what is judged, in sizes of the face box: the paper's edge and the tablet's rim are out there."""
NEAREST = 1.25
"""Least context, in face sizes, on which a near face is judged at all."""
_LIVE = 0


def live(network: Network, image: Image, box: Box) -> float | None:
    """Probability of a live face, 0..1: the lowest of several looks; None when the face is too near.

    The network learned on crops of the box's own shape, a square shows it more to both sides. Prints and
    screens that pass one often fail the other: the lower score halves those that pass and cost no live face
    in the trials. A face too near for its context is looked at with what there is and with the picture
    mirrored at its borders, which makes a second frame of any rim that is in view.
    """
    crops = context(image, box) or near_context(image, box)
    if not crops:
        return None
    return min(_score(network, crop) for crop in crops)


def context(image: Image, box: Box) -> tuple[Image, ...]:
    """The surroundings of the face, in the box's shape and as a square, shifted inside the picture.

    Empty when the square is too large for the picture or the face too small to have one.
    """
    height, width = image.shape[:2]
    side = CONTEXT * max(box.w, box.h)
    if not 1 <= side <= min(height, width) or min(box.w, box.h) * CONTEXT < 1:
        return ()
    shapes = ((CONTEXT * box.w, CONTEXT * box.h), (side, side))
    return tuple(_cut(image, box, round(w), round(h)) for w, h in shapes)


def near_context(image: Image, box: Box) -> tuple[Image, ...]:
    """For a face whose context reaches out of the picture: the largest square inside, and a mirrored one.

    Empty when even less than ``NEAREST`` face sizes are in view: then nothing can be said.
    """
    height, width = image.shape[:2]
    size = max(box.w, box.h)
    if min(height, width) < NEAREST * size or size < 1:
        return ()
    inside = _cut(image, box, min(height, width), min(height, width))
    rim = math.ceil(CONTEXT * size / 2)
    if rim >= min(height, width):
        return ()
    wider = np.asarray(cv2.copyMakeBorder(image, rim, rim, rim, rim, cv2.BORDER_REFLECT_101), np.uint8)
    moved = Box(box.x + rim, box.y + rim, box.w, box.h)
    side = round(CONTEXT * size)
    return inside, _cut(wider, moved, side, side)


def _cut(image: Image, box: Box, w: int, h: int) -> Image:
    height, width = image.shape[:2]
    w, h = min(max(w, 1), width), min(max(h, 1), height)
    x = round(min(max(box.x + box.w / 2 - w / 2, 0), width - w))
    y = round(min(max(box.y + box.h / 2 - h / 2, 0), height - h))
    return image[y : y + h, x : x + w]


def _score(network: Network, crop: Image) -> float:
    side = network.input.size or 128
    logits = network.run(np.asarray(cv2.resize(crop, (side, side)), np.uint8))[0][0]
    powers = np.exp(logits - logits.max())
    return float(powers[_LIVE] / powers.sum())

"""Passive liveness from one picture: is this a face, or a picture of one?"""

from dataclasses import dataclass

import cv2
import numpy as np

from gateway.domain.faces import Box, Image
from gateway.vision.sessions import Network

SIDE = 128
CONTEXT = 2.7
"""Side of the square around the face, in the larger side of its box: what the network was trained on."""


@dataclass(slots=True)
class Liveness:
    """The network judges a face together with what surrounds it: the paper's edge, the tablet's rim."""

    network: Network

    def __call__(self, image: Image, box: Box) -> float | None:
        """Probability of a live face, 0..1; None when the square does not fit into the picture.

        Without its context a photograph held close looks like a person, so it is not judged at all.
        """
        square = context_square(image, box)
        if square is None:
            return None
        how = cv2.INTER_AREA if square.shape[0] > SIDE else cv2.INTER_LINEAR
        small = cv2.resize(square, (SIDE, SIDE), interpolation=how)
        logits = self.network.run(small.transpose(2, 0, 1)[None].astype(np.float32))[0][0]
        shares = np.exp(logits - logits.max())
        return float(shares[0] / shares.sum())


def context_square(image: Image, box: Box) -> Image | None:
    """The square of context, shifted inside the picture where needed; None when it is too large for it."""
    height, width = image.shape[:2]
    side = round(CONTEXT * max(box.w, box.h))
    if side > min(height, width):
        return None
    x = round(min(max(box.x + box.w / 2 - side / 2, 0), width - side))
    y = round(min(max(box.y + box.h / 2 - side / 2, 0), height - side))
    return image[y : y + side, x : x + side]

"""Two portraits in the public domain that installed packages ship, and the face in each."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from gateway.domain.errors import InvalidInput
from gateway.domain.faces import Box, Image
from gateway.ports import FaceAnalyser


@dataclass(frozen=True, slots=True, kw_only=True)
class Portrait:
    """A photograph of one person."""

    name: str
    picture: Image
    face: Box

    def png(self) -> bytes:
        """The photograph as a file."""
        done, data = cv2.imencode(".png", self.picture)
        if not done:
            raise InvalidInput(f"{self.name}: the picture cannot be encoded")
        return data.tobytes()


def collins(analyser: FaceAnalyser) -> Portrait:
    """Eileen Collins, a NASA picture that scikit-image ships as its "astronaut". Needs extra ``demo``."""
    import skimage.data  # optional and slow to load

    picture = np.ascontiguousarray(skimage.data.astronaut()[:, :, ::-1])  # type: ignore[no-untyped-call]
    return portrait("Eileen Collins", picture, analyser)


def hopper(analyser: FaceAnalyser) -> Portrait:
    """Grace Hopper, a US Navy picture among matplotlib's sample data. Needs extra ``demo``."""
    import matplotlib as mpl

    path = Path(mpl.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    picture = cv2.imread(str(path))
    if picture is None:
        raise InvalidInput(f"{path}: matplotlib's sample picture is missing; install matplotlib again")
    return portrait("Grace Hopper", np.asarray(picture, np.uint8), analyser)


def portrait(name: str, picture: Image, analyser: FaceAnalyser) -> Portrait:
    """A portrait of the largest face in a picture. Raises InvalidInput when there is none."""
    done, data = cv2.imencode(".png", picture)
    faces = analyser.photograph(data.tobytes()) if done else ()
    if not faces:
        raise InvalidInput(f"{name}: no face found in the picture")
    return Portrait(name=name, picture=picture, face=faces[0].detection.box)

"""The peer a user would pick instead: face_recognition (dlib), as its documentation shows it."""

import importlib
import importlib.metadata
import time
import warnings
from collections.abc import Sequence
from types import ModuleType

import numpy as np

from gateway.domain.errors import ModelMissing
from gateway.domain.faces import Image
from gateway.rehearsal.figures import spread


def available() -> ModuleType:
    """The peer's module. Raises ModelMissing when it is not installed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its data package still uses pkg_resources
            return importlib.import_module("face_recognition")
    except ImportError as error:
        raise ModelMissing(
            "the peer is not installed: pip install --require-hashes --no-deps -r requirements/bench.txt, "
            "or give --no-peer",
            code="peer_missing",
        ) from error


def measure(frames: Sequence[Image], enrolled: Sequence[Image]) -> dict[str, object]:
    """Detect, embed and compare on each frame. Raises ModelMissing when the peer is not installed.

    One frame is all it takes: no liveness, no agreement of samples, no record, no relay.
    """
    face_recognition = available()
    known = [face_recognition.face_encodings(_rgb(p))[0] for p in enrolled]
    detect, embed, total, found = [], [], [], 0
    for frame in frames:
        picture = _rgb(frame)
        t0 = time.perf_counter()
        places = face_recognition.face_locations(picture)
        t1 = time.perf_counter()
        for encoding in face_recognition.face_encodings(picture, places):
            found += any(face_recognition.compare_faces(known, encoding))
        t2 = time.perf_counter()
        detect.append((t1 - t0) * 1e3)
        embed.append((t2 - t1) * 1e3)
        total.append((t2 - t0) * 1e3)
    return {
        "name": "face_recognition",
        "version": importlib.metadata.version("face_recognition"),
        "what": "face_locations (HOG), face_encodings, compare_faces; one frame, no liveness, no relay",
        "frames": len(frames),
        "frames_recognised": found,
        "detect_ms": spread(detect),
        "embed_and_compare_ms": spread(embed),
        "frame_ms": spread(total),
    }


def _rgb(picture: Image) -> Image:
    return np.ascontiguousarray(picture[:, :, ::-1])

"""The process that looks at photographs: ``python -m gateway.vision.photo_worker FD FOLDER THREADS EYE_PX``.

Started by ``gateway.vision.photo_process``. It runs at the lowest priority, and the machine's memory is not
its own to fill: what a picture makes it do is its end at worst.
"""

import contextlib
import os
import resource
import socket
import sys
from pathlib import Path

import numpy as np

from gateway.domain.errors import GatewayError, InvalidInput
from gateway.telemetry import logging as log_setup
from gateway.vision.engine import FaceEngine
from gateway.vision.photo import PhotoAnalyser
from gateway.vision.photo_link import (
    Asked,
    Failed,
    Frame,
    Loaded,
    Look,
    Refused,
    Said,
    Seen,
    receive_asked,
    send,
)
from gateway.vision.worker import die_with_parent

_NICE = 19
_MOST_MEMORY = 4_000_000_000
"""Of address space: models, threads and the largest picture that is let in take a third of it."""


def serve(link: socket.socket, analyser: PhotoAnalyser) -> None:
    """Answer until the other side has gone."""
    send(link, Loaded(analyser.model_id))
    while (asked := receive_asked(link)) is not None:
        send(link, _answer(analyser, asked))


def _answer(analyser: PhotoAnalyser, asked: Asked) -> Said:
    try:
        if isinstance(asked, Look):
            return Seen(analyser.look(asked.data))
        return Seen(analyser.frame(_picture(asked)))
    except InvalidInput as error:
        return Refused(error.code, str(error))
    except MemoryError:
        return Refused("too_complex", "the picture needs too much memory; save it again, smaller")


def _picture(asked: Frame) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.frombuffer(asked.data, np.uint8).reshape(asked.height, asked.width, 3)


def main() -> int:
    """Load the models, then serve."""
    log_setup.configure(form="json", level=os.environ.get("FACEGATE_WORKER_LOG", "warning"))
    die_with_parent()
    os.nice(_NICE)
    with contextlib.suppress(ValueError, OSError):  # a lower limit was set from outside
        resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY, _MOST_MEMORY))
    folder, threads, eye_px = Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    with socket.socket(fileno=int(sys.argv[1])) as link:
        try:
            engine = FaceEngine.load(folder, threads=threads, min_eye_distance_px=eye_px)
        except GatewayError as error:
            send(link, Failed(str(error)))
            return 1
        serve(link, PhotoAnalyser(engine))
    return 0


if __name__ == "__main__":
    sys.exit(main())

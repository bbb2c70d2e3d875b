"""Composition root of a vision worker process: the one place that joins cameras and face engine.

``python -m gateway.vision_process FD`` with an inherited socket; started by ``gateway.vision.supervisor``.
"""

import os
import socket
import sys
from pathlib import Path

from drivers.cameras import open_source
from gateway.domain.errors import GatewayError
from gateway.telemetry import logging as log_setup
from gateway.vision.codec import Setup
from gateway.vision.engine import FaceEngine
from gateway.vision.pipeline import Engine
from gateway.vision.worker import Worker, die_with_parent, load_failed


def load_engine(setup: Setup) -> tuple[Engine, bool]:
    """The real engine. Raises ModelMissing."""
    engine = FaceEngine.load(
        Path(setup.models_folder),
        threads=setup.threads,
        detect_px=setup.vision.detect_px,
        min_eye_distance_px=setup.recognition.min_eye_distance_px,
    )
    return engine, engine.has_liveness


def main() -> int:
    """Serve the control process at the other end of the socket."""
    log_setup.configure(form="json", level=os.environ.get("FACEGATE_WORKER_LOG", "warning"))
    die_with_parent()
    with socket.socket(fileno=int(sys.argv[1])) as link:
        try:
            return Worker(link, open_source, load_engine, on_abandoned=lambda: os._exit(5)).run()
        except GatewayError as error:
            return load_failed(error)


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    # Capture threads may sit in library calls that never return; nothing here needs tidying.
    os._exit(code)

"""OpenCV's video capture, tamed: silent, bounded in time, and free of its process-wide traps.

Found by running OpenCV 5.0 with FFmpeg 8:

- FFmpeg's demuxer options come from an environment variable, read as a capture is opened.
- Opening and releasing captures share one lock, so a camera that does not answer holds up all others;
  ``OPENCV_FFMPEG_IS_THREAD_SAFE`` takes it away (FFmpeg itself has needed none since version 4).
- At log level DEBUG, or with ``OPENCV_VIDEOIO_DEBUG``, addresses are printed with their passwords. At
  level ERROR, and with FFmpeg's own log off, nothing is.
"""

import os
import ssl
import threading
from collections.abc import Sequence
from time import monotonic, sleep
from typing import Literal

import cv2
import numpy as np

from gateway.domain.errors import CameraUnavailable
from gateway.domain.faces import Image

Transport = Literal["tcp", "udp"]

_ENVIRONMENT = {"OPENCV_FFMPEG_IS_THREAD_SAFE": "1", "OPENCV_FFMPEG_LOGLEVEL": "-8"}
_OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
_PINNED_S = 0.5


def prepare() -> None:
    """Set what OpenCV reads from its surroundings. Call it before threads open captures; idempotent."""
    os.environ.pop("OPENCV_FFMPEG_DEBUG", None)
    for name, value in (_ENVIRONMENT | {_OPTIONS: _options("tcp")}).items():
        if name not in os.environ or (name != _OPTIONS and os.environ[name] != value):
            os.environ[name] = value
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)


def open_rtsp(address: str, transport: Transport, *, open_s: float, read_s: float) -> cv2.VideoCapture | None:
    """Open a stream; None when that fails. Returns within ``open_s``; each grab within ``read_s``."""
    _environment.choose(_options(transport))
    return _open(address, cv2.CAP_FFMPEG, [*_timeouts(open_s, read_s), cv2.CAP_PROP_N_THREADS, 1])


def open_file(path: str, *, open_s: float, read_s: float) -> cv2.VideoCapture | None:
    """Open a recording; None when that fails."""
    return _open(path, cv2.CAP_FFMPEG, _timeouts(open_s, read_s))


def open_device(path: str) -> cv2.VideoCapture | None:
    """Open a V4L2 device; None when that fails."""
    return _open(path, cv2.CAP_V4L2, [])


def picture(image: object, where: str) -> Image:
    """Make sure that it is HxWx3 BGR, contiguous. Raises CameraUnavailable."""
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or not image.size:
        raise CameraUnavailable(f"{where}: gives pictures that are not 8 bits a colour")
    if image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 1):
        image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    if image.ndim != 3 or image.shape[2] != 3:
        raise CameraUnavailable(f"{where}: gives pictures of shape {image.shape}, not height x width x 3")
    return np.ascontiguousarray(image, dtype=np.uint8)


class _Environment:
    """The environment variable with FFmpeg's options, for one value at a time.

    OpenCV reads it in the first microseconds of an open that may last seconds, and does not say when. So a
    value stays for half a second before another may take its place. Should a machine be so slow that this
    is not enough, a camera is asked for the other transport, which nearly all of them speak as well.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until = 0.0

    def choose(self, options: str) -> None:
        """Return when an open from now on will see these options."""
        with self._lock:
            if os.environ.get(_OPTIONS) != options:
                sleep(max(0.0, self._until - monotonic()))
                os.environ[_OPTIONS] = options
            self._until = monotonic() + _PINNED_S


_environment = _Environment()  # one, because the process has one environment


def _options(transport: Transport) -> str:
    """FFmpeg's options: video only; the frame rate is not worth two seconds of probing."""
    trusted = ssl.get_default_verify_paths().cafile or ""
    tls = f"tls_verify;1|ca_file;{trusted}"  # left to itself, FFmpeg believes every certificate
    return f"rtsp_transport;{transport}|allowed_media_types;video|fpsprobesize;0|{tls}"


def _timeouts(open_s: float, read_s: float) -> list[int]:
    return [
        *(cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, max(1, round(open_s * 1000))),
        *(cv2.CAP_PROP_READ_TIMEOUT_MSEC, max(1, round(read_s * 1000))),
    ]


def _open(address: str, backend: int, parameters: Sequence[int]) -> cv2.VideoCapture | None:
    capture = cv2.VideoCapture()
    try:
        opened = capture.open(address, backend, parameters)
    except cv2.error:  # its message may quote the address
        opened = False
    if opened and capture.isOpened():
        return capture
    capture.release()
    return None

"""RTSP cameras, by OpenCV's FFmpeg."""

from time import monotonic

import cv2

from drivers.cameras import opencv
from drivers.cameras.credentials import read_credentials
from drivers.cameras.lateness import MAX_LATE_S, Lateness
from drivers.cameras.rtsp_reason import check_certificate, why
from gateway.domain.errors import CameraUnavailable, ConfigError
from gateway.domain.faces import Image
from gateway.settings import Camera

_WAIT = 0.8
"""Share of the read time-out that is spent waiting for one picture; the rest is for passing over old ones."""


class RtspSource:
    """A live stream over TCP or UDP. Pictures that lay in a buffer too long are passed over.

    The credentials are read anew at every opening, so that a changed password needs no restart.
    """

    paced = True

    def __init__(self, camera: Camera) -> None:
        self._camera = camera
        self._capture: cv2.VideoCapture | None = None
        self._lateness = Lateness()
        opencv.prepare()

    def __repr__(self) -> str:
        return f"RtspSource({self._camera.url}, {self._camera.transport})"

    def open(self) -> None:
        """See FrameSource."""
        self.close()
        camera, started = self._camera, monotonic()
        try:
            credentials = read_credentials(camera.credentials_file)
            address = credentials.inside(camera.url) if credentials else camera.url
        except ConfigError as error:
            raise CameraUnavailable(f"{camera.url}: {error}") from None
        check_certificate(camera, started)
        self._capture = opencv.open_rtsp(
            address,
            camera.transport,
            open_s=started + camera.open_timeout_s - monotonic(),
            read_s=_WAIT * camera.read_timeout_s,
        )
        if self._capture is None:
            raise why(camera, credentials, started)
        self._lateness = Lateness()

    def read(self) -> tuple[Image, float | None] | None:
        """See FrameSource; never None."""
        capture, url, limit = self._capture, self._camera.url, self._camera.read_timeout_s
        if capture is None:
            raise CameraUnavailable(f"{url}: is not open")
        started = monotonic()
        while monotonic() - started < (1 - _WAIT) * limit:
            self._grab(capture)
            late = self._lateness.late_s(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000, monotonic())
            if late <= MAX_LATE_S:
                good, image = capture.retrieve()
                if not good:
                    raise CameraUnavailable(f"{url}: sent a picture that cannot be decoded")
                return opencv.picture(image, url), None
        raise CameraUnavailable(
            f"{url}: its pictures come late and do not catch up; network or CPU overloaded?"
        )

    def _grab(self, capture: cv2.VideoCapture) -> None:
        began, limit = monotonic(), _WAIT * self._camera.read_timeout_s
        good = capture.grab()
        if (
            monotonic() - began >= 0.9 * limit
        ):  # at the time-out FFmpeg may still give the picture it held back
            raise CameraUnavailable(f"{self._camera.url}: sent no picture for {limit:.1f} s")
        if not good:
            raise CameraUnavailable(f"{self._camera.url}: ended the stream")

    def close(self) -> None:
        """See FrameSource."""
        capture, self._capture = self._capture, None
        if capture is not None:
            capture.release()

"""MJPEG cameras: HTTP or HTTPS, multipart/x-mixed-replace."""

from time import monotonic

import cv2
import numpy as np

from drivers.cameras import opencv
from drivers.cameras.credentials import read_credentials
from drivers.cameras.http_stream import HttpStream
from drivers.cameras.multipart import MAX_PIXELS, BrokenStream, Parts, announced_boundary, jpeg_size
from drivers.cameras.network import unreachable
from gateway.domain.errors import CameraUnavailable, ConfigError
from gateway.domain.faces import Image
from gateway.settings import Camera

_BAD_IN_A_ROW = 10
_CATCH_UP_S = 0.25
_ELSEWHERE = "sends on to another address; put that one into the site file"
_MEANINGS = dict.fromkeys((301, 302, 303, 307, 308), _ELSEWHERE) | {
    401: "wants a user and password; put them into a file and name it in credentials_file",
    403: "forbids it to this user; give the user the right to view",
    404: "has no such page; take the path from the camera's manual",
    503: "is busy; perhaps too many viewers",
}


class MjpegSource:
    """A live MJPEG stream. Of pictures that are there already, the newest is given and the others dropped.

    The credentials are read anew at every opening, so that a changed password needs no restart.
    """

    paced = True

    def __init__(self, camera: Camera) -> None:
        self._camera = camera
        self._stream: HttpStream | None = None
        self._parts = Parts()

    def __repr__(self) -> str:
        return f"MjpegSource({self._camera.url})"

    def open(self) -> None:
        """See FrameSource."""
        self.close()
        camera = self._camera
        try:
            credentials = read_credentials(camera.credentials_file)
        except ConfigError as error:
            raise CameraUnavailable(f"{camera.url}: {error}") from None
        stream = HttpStream.open(camera.url, credentials, seconds=camera.open_timeout_s)
        boundary = announced_boundary(stream.header("content-type"))
        if stream.status != 200 or boundary is None:
            stream.close()
            raise CameraUnavailable(f"{camera.url}: {self._refusal(stream)}")
        self._stream, self._parts = stream, Parts(boundary)

    def read(self) -> tuple[Image, float | None] | None:
        """See FrameSource; never None."""
        if self._stream is None:
            raise CameraUnavailable(f"{self._camera.url}: is not open")
        deadline = monotonic() + self._camera.read_timeout_s
        for _ in range(_BAD_IN_A_ROW):
            image = self._decode(self._newest(self._stream, deadline))
            if image is not None:
                return image, None
        raise CameraUnavailable(f"{self._camera.url}: sends pictures that are not JPEG, or too large")

    def close(self) -> None:
        """See FrameSource."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()

    def _newest(self, stream: HttpStream, deadline: float) -> bytes:
        """The next picture; if more are waiting already, the last of them."""
        url, limit = self._camera.url, self._camera.read_timeout_s
        newest: bytes | None = None
        patience = monotonic() + _CATCH_UP_S
        try:
            while True:
                while (part := self._parts.next()) is not None:
                    newest = part
                if newest is not None and not (stream.ready() and monotonic() < patience):
                    return newest
                data = b"" if self._parts.ended else stream.receive(deadline)
                if not data:
                    if newest is not None:
                        return newest
                    raise CameraUnavailable(f"{url}: ended the stream")
                self._parts.feed(data)
        except TimeoutError:
            raise CameraUnavailable(f"{url}: sent no whole picture for {limit:g} s") from None
        except OSError as error:
            raise unreachable(url, error, limit) from error
        except (BrokenStream, ValueError) as error:
            raise CameraUnavailable(f"{url}: sends broken MJPEG ({error})") from error

    def _decode(self, data: bytes) -> Image | None:
        size = jpeg_size(data)
        if size is None or not 0 < size[0] * size[1] <= MAX_PIXELS:
            return None
        try:
            image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        except cv2.error:
            return None
        return None if image is None else opencv.picture(image, self._camera.url)

    def _refusal(self, stream: HttpStream) -> str:
        """What an answer that is no MJPEG stream means."""
        camera, kind = self._camera, stream.header("content-type").partition(";")[0].strip()
        if stream.status == 200:
            if kind.startswith("image/"):
                return (
                    "gives one still picture, not a stream; take the MJPEG address from the camera's manual"
                )
            return f"answers with {kind or 'no type'}, not MJPEG; take the address from the camera's manual"
        if stream.status == 401 and camera.credentials_file is not None:
            return f"refuses the user and password in {camera.credentials_file}"
        return f"{_MEANINGS.get(stream.status, 'refuses the stream')} (HTTP status {stream.status})"

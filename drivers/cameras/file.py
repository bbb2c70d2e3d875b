"""Recordings, at their own pace or as fast as they can be analysed."""

from pathlib import Path
from time import monotonic, sleep
from urllib.parse import unquote, urlsplit

import cv2

from drivers.cameras import opencv
from gateway.domain.errors import CameraUnavailable
from gateway.domain.faces import Image
from gateway.settings import Camera

_BEHIND_S = 1.0
"""A reader who is further behind is not made to catch up."""


class FileSource:
    """A recording. Media time is the position in it, and starts again at 0 with every round of a loop."""

    def __init__(self, camera: Camera) -> None:
        self._camera = camera
        self._path = file_path(camera.url)
        self._capture: cv2.VideoCapture | None = None
        self._interval_s = 0.04
        self._given = 0
        self._media_s = 0.0
        self._due_s: float | None = None
        self.paced = camera.pace == "own"
        opencv.prepare()

    def __repr__(self) -> str:
        return f"FileSource({self._path})"

    def open(self) -> None:
        """See FrameSource."""
        self.close()
        self._capture = self._start()
        self._due_s = None

    def read(self) -> tuple[Image, float | None] | None:
        """See FrameSource."""
        if self._capture is None:
            raise CameraUnavailable(f"{self._path}: is not open")
        good, image = self._capture.read()
        if not good:
            if self._given == 0:
                raise CameraUnavailable(f"{self._path}: holds no picture that can be decoded")
            if not self._camera.loop:
                return None
            self.close()
            self._capture = self._start()
            good, image = self._capture.read()
            if not good:
                raise CameraUnavailable(f"{self._path}: cannot be played a second time; has it changed?")
        before, self._media_s = self._media_s, self._position(self._capture)
        step = self._media_s - before if self._given else self._interval_s
        self._given += 1
        if self.paced:
            self._wait(step)
        return opencv.picture(image, str(self._path)), self._media_s

    def close(self) -> None:
        """See FrameSource."""
        capture, self._capture = self._capture, None
        if capture is not None:
            capture.release()

    def _start(self) -> cv2.VideoCapture:
        """Open the recording at its beginning."""
        path, camera = self._path, self._camera
        if not path.is_file():
            raise CameraUnavailable(f"{path}: there is no such recording; check the path")
        try:
            with path.open("rb") as file:
                head = file.read(4096)
        except OSError as error:
            raise CameraUnavailable(
                f"{path}: cannot be read ({error.strerror}); let this user read it"
            ) from None
        capture = None
        if not _is_text(head):  # FFmpeg would play a text as a film of letters, and follow a play list
            capture = opencv.open_file(str(path), open_s=camera.open_timeout_s, read_s=camera.read_timeout_s)
        if capture is None:
            raise CameraUnavailable(f"{path}: is no video that can be played here; MP4 with H.264 can")
        fps = capture.get(cv2.CAP_PROP_FPS)
        self._interval_s = 1.0 / fps if 0.1 <= fps <= 1000 else 0.04
        self._given, self._media_s = 0, 0.0
        return capture

    def _position(self, capture: cv2.VideoCapture) -> float:
        """Seconds into the recording; counted where the file has no time stamps."""
        stamp = float(capture.get(cv2.CAP_PROP_POS_MSEC)) / 1000
        return stamp if self._given == 0 or stamp > self._media_s else self._media_s + self._interval_s

    def _wait(self, step_s: float) -> None:
        """Until the picture is due; no longer than the read time-out, whatever the time stamps say."""
        now = monotonic()
        step_s = min(step_s, self._camera.read_timeout_s)
        due = now if self._due_s is None else self._due_s + step_s
        self._due_s = due if now - due < _BEHIND_S else now
        if due > now:
            sleep(min(due - now, self._camera.read_timeout_s))


def file_path(address: str) -> Path:
    """The path of a recording, given as such or as a file:// URL."""
    return Path(unquote(urlsplit(address).path)) if address.startswith("file://") else Path(address)


def _is_text(head: bytes) -> bool:
    try:
        head[:4000].decode("utf-8")
    except UnicodeDecodeError:
        return False
    return b"\x00" not in head

"""USB cameras and other V4L2 devices of this machine."""

import errno
import fcntl
import math
import os
from time import monotonic

import cv2

from drivers.cameras import opencv
from gateway.domain.errors import CameraUnavailable
from gateway.domain.faces import Image
from gateway.settings import Camera

_QUERYCAP = 0x80685600
"""VIDIOC_QUERYCAP: fills 104 bytes; device_caps is the 32-bit word at 88 (linux/videodev2.h)."""
_CAPTURES = 0x1 | 0x1000
_SELECT = "OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT"


class UsbSource:
    """A V4L2 device. OpenCV waits for its pictures in whole seconds, the same for all of a process.

    So the longest read time-out of the process holds, rounded up, unless a camera was read already.
    """

    paced = True

    def __init__(self, camera: Camera) -> None:
        self._camera = camera
        self._capture: cv2.VideoCapture | None = None
        opencv.prepare()
        seconds = max(1, math.ceil(camera.read_timeout_s))
        os.environ[_SELECT] = str(max(seconds, int(os.environ.get(_SELECT, "0") or 0)))

    def __repr__(self) -> str:
        return f"UsbSource({self._camera.url})"

    def open(self) -> None:
        """See FrameSource."""
        self.close()
        device = self._camera.url
        try:
            _check(device)
        except OSError as error:
            raise CameraUnavailable(f"{device}: {_reason(error)}") from error
        self._capture = opencv.open_device(device)
        if self._capture is None:
            raise CameraUnavailable(f"{device}: is in use by another program, or gives no format known here")

    def read(self) -> tuple[Image, float | None] | None:
        """See FrameSource; never None."""
        device = self._camera.url
        if self._capture is None:
            raise CameraUnavailable(f"{device}: is not open")
        began = monotonic()
        good, image = self._capture.read()
        if good:
            return opencv.picture(image, device), None
        waited = monotonic() - began
        if waited >= 0.9:
            raise CameraUnavailable(f"{device}: sent no picture for {waited:.1f} s")
        raise CameraUnavailable(f"{device}: stopped; was it unplugged, or opened by another program?")

    def close(self) -> None:
        """See FrameSource."""
        capture, self._capture = self._capture, None
        if capture is not None:
            capture.release()


def _check(device: str) -> None:
    """Raises OSError (ENOTTY: no video device; ENOTSUP: one that captures nothing)."""
    handle = os.open(device, os.O_RDWR | os.O_NONBLOCK)
    try:
        answer = bytearray(104)
        fcntl.ioctl(handle, _QUERYCAP, answer)
    finally:
        os.close(handle)
    if not int.from_bytes(answer[88:92], "little") & _CAPTURES:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))


def _reason(error: OSError) -> str:
    """What an operator should do about it."""
    match error.errno:
        case errno.ENOENT | errno.ENODEV | errno.ENXIO:
            return "there is no such device; is the camera plugged in? `ls /dev/video*` shows those there are"
        case errno.EACCES | errno.EPERM:
            return "this user may not open it; add the user to the group video"
        case errno.EBUSY:
            return "is in use by another program"
        case errno.ENOTTY | errno.EINVAL:
            return "is not a video device"
        case errno.ENOTSUP:
            return (
                "captures no pictures (many cameras have a second device for metadata); try the one before it"
            )
        case _:
            return f"cannot be opened ({error.strerror})"

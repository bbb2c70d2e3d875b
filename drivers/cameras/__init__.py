"""Sources of frames, one file a kind."""

from urllib.parse import urlsplit

from drivers.cameras.credentials import read_credentials
from drivers.cameras.file import FileSource
from drivers.cameras.mjpeg import MjpegSource
from drivers.cameras.rtsp import RtspSource
from drivers.cameras.usb import UsbSource
from gateway.ports import FrameSource
from gateway.settings import Camera

__all__ = ["open_source"]


def open_source(camera: Camera) -> FrameSource:
    """The source for a camera's address; nothing is connected yet.

    Raises ConfigError when its credentials file cannot be used. Call it before the capture threads start:
    it sets environment variables that OpenCV reads.
    """
    credentials = read_credentials(camera.credentials_file)
    match urlsplit(camera.url).scheme:
        case "rtsp" | "rtsps":
            if credentials is not None:
                credentials.inside(camera.url)
            return RtspSource(camera)
        case "http" | "https":
            return MjpegSource(camera)
        case _ if camera.url.startswith("/dev/video"):
            return UsbSource(camera)
        case _:
            return FileSource(camera)

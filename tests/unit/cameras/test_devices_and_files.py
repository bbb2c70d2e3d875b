import errno
import fcntl
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drivers.cameras import open_source, opencv, usb
from drivers.cameras.file import FileSource, file_path
from drivers.cameras.mjpeg import MjpegSource
from drivers.cameras.rtsp import RtspSource
from drivers.cameras.usb import UsbSource
from gateway.domain.errors import CameraUnavailable
from gateway.settings import Camera


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("rtsp://h/x", RtspSource),
        ("rtsps://h/x", RtspSource),
        ("http://h/x", MjpegSource),
        ("https://h/x", MjpegSource),
        ("/dev/video0", UsbSource),
        ("/var/film.mp4", FileSource),
        ("file:///var/film.mp4", FileSource),
    ],
)
def test_the_address_says_the_kind(url: str, kind: type) -> None:
    assert type(open_source(Camera(id="c", url=url))) is kind


def test_paths_of_recordings() -> None:
    assert file_path("/a b/c%20d.mp4") == Path("/a b/c%20d.mp4")
    assert file_path("file:///a%20b/c.mp4") == Path("/a b/c.mp4")


def test_a_device_that_is_not_there() -> None:
    with pytest.raises(CameraUnavailable, match="plugged in"):
        open_source(Camera(id="c", url="/dev/video97")).open()


def test_a_file_that_is_no_device(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"")
    source = UsbSource(Camera(id="c", url=str(tmp_path / "x")))
    with pytest.raises(CameraUnavailable, match="is not a video device"):
        source.open()


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (errno.EACCES, "group video"),
        (errno.EBUSY, "in use by another program"),
        (errno.EIO, "cannot be opened"),
    ],
)
def test_devices_that_cannot_be_opened(monkeypatch: pytest.MonkeyPatch, code: int, advice: str) -> None:
    def refuse(*_: Any) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(usb.os, "open", refuse)
    with pytest.raises(CameraUnavailable, match=advice):
        UsbSource(Camera(id="c", url="/dev/video0")).open()


@pytest.mark.parametrize(
    ("capabilities", "message"), [(0x00800000, "metadata"), (0x1, "in use by another program")]
)
def test_a_metadata_node_is_told_from_a_busy_camera(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capabilities: int, message: str
) -> None:
    def answer(_handle: int, request: int, buffer: bytearray) -> int:
        assert request == usb._QUERYCAP
        buffer[88:92] = capabilities.to_bytes(4, "little")
        return 0

    device = tmp_path / "video0"
    device.write_bytes(b"")
    monkeypatch.setattr(fcntl, "ioctl", answer)
    with pytest.raises(CameraUnavailable, match=message):
        UsbSource(Camera(id="c", url=str(device))).open()


def test_the_longest_usb_timeout_of_the_process_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(usb._SELECT, "3")
    UsbSource(Camera(id="c", url="/dev/video0", read_timeout_s=1.2))
    assert os.environ[usb._SELECT] == "3"
    UsbSource(Camera(id="c", url="/dev/video0", read_timeout_s=4.2))
    assert os.environ[usb._SELECT] == "5"


@pytest.mark.parametrize(
    "content", [b"", b"#EXTM3U\nhttp://198.51.100.1/x\n", b"some words\n" * 300, bytes(5000)]
)
def test_files_that_are_no_video(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(content)
    with pytest.raises(CameraUnavailable, match="is no video"):
        open_source(Camera(id="c", url=str(path))).open()


def test_a_folder_is_no_recording(tmp_path: Path) -> None:
    with pytest.raises(CameraUnavailable, match="no such recording"):
        open_source(Camera(id="c", url=str(tmp_path))).open()


def test_odd_pictures_become_three_channels_or_an_error() -> None:
    assert opencv.picture(np.zeros((4, 6), np.uint8), "c").shape == (4, 6, 3)
    turned = opencv.picture(np.zeros((6, 4, 3), np.uint8).transpose(1, 0, 2), "c")
    assert turned.flags.c_contiguous
    for odd in (
        None,
        np.zeros((4, 6, 3), np.uint16),
        np.zeros((4, 6, 4), np.uint8),
        np.zeros((0, 6, 3), np.uint8),
    ):
        with pytest.raises(CameraUnavailable):
            opencv.picture(odd, "c")

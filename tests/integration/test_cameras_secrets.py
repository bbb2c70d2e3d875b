"""A camera's password is in no message, no log and nothing FFmpeg or OpenCV print."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from drivers.cameras import open_source
from drivers.simulators.camera import Fault
from gateway.domain.errors import CameraUnavailable, ConfigError
from gateway.ports import FrameSource
from gateway.settings import Camera
from tests.fakes.camera_thread import CameraThread, film

USER, PASSWORD = "gate", "pä:ss/w@rd %41?#"
TRACES = ("ss/w", "ss%2Fw", "rd %41", "%2541", "Z2F0ZTp")
"""Parts of it as such, percent-encoded, and in Base64."""


@pytest.fixture(scope="module")
def thread(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CameraThread]:
    recording = film(tmp_path_factory.mktemp("film") / "numbered.mp4")
    with CameraThread(recording, credentials=(USER, PASSWORD)) as running:
        yield running


def secret(folder: Path, text: str = f"{USER}:{PASSWORD}\n") -> str:
    path = folder / "door.secret"
    path.write_text(text, "utf-8")
    path.chmod(0o600)
    return str(path)


@pytest.mark.parametrize("kind", ["tcp", "udp", "mjpeg"])
def test_an_awkward_password_opens_the_stream(thread: CameraThread, kind: str, tmp_path: Path) -> None:
    url = thread.camera.mjpeg_url if kind == "mjpeg" else thread.camera.rtsp_url
    transport = "udp" if kind == "udp" else "tcp"
    camera = Camera(id="c", url=url, transport=transport, credentials_file=secret(tmp_path))
    with closing(open_source(camera)) as source:
        source.open()
        assert source.read() is not None


@pytest.mark.parametrize("kind", ["rtsp", "mjpeg"])
@pytest.mark.parametrize("case", ["wrong", "missing", "refused", "silent", "no-such-path", "dropped"])
def test_failures_never_show_it(
    thread: CameraThread, kind: str, case: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    url = thread.camera.mjpeg_url if kind == "mjpeg" else thread.camera.rtsp_url
    if case == "refused":
        url = url.replace(str(port_of(url)), str(free_port()))
    if case == "no-such-path":
        url += "x"
    text = f"{USER}:{PASSWORD}" + ("x" if case == "wrong" else "")
    camera = Camera(
        id="c",
        url=url,
        credentials_file=None if case == "missing" else secret(tmp_path, text),
        open_timeout_s=1.0 if case == "silent" else 4.0,
    )
    if case == "silent":
        thread.fault(Fault.SILENT)
    said = []
    try:
        with closing(open_source(camera)) as source:
            said += [repr(source), str(source)]
            with pytest.raises(CameraUnavailable) as raised:
                use(source, thread)
    finally:
        thread.fault(Fault.NONE)
    said += [str(raised.value), repr(raised.value), str(raised.getrepr(showlocals=False))]
    output = capfd.readouterr()
    for trace in TRACES:
        assert trace not in "\n".join([*said, output.out, output.err])
    expected = {
        "wrong": "refuses the user and password in",
        "missing": "wants a user and password",
        "refused": "refuses the connection",
        "silent": "did not answer",
        "no-such-path": "has no such",
        "dropped": "ended the stream|cannot be reached",
    }
    assert raised.match(expected[case])


def test_not_even_with_every_debug_switch_on(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from drivers.cameras import open_source\n"
        "from gateway.settings import Camera\n"
        "source = open_source(Camera(id='c', url=sys.argv[1], credentials_file=sys.argv[2]))\n"
        "try:\n    source.open()\nexcept Exception as error:\n    print(error)\n"
    )
    noisy = {
        "OPENCV_VIDEOIO_DEBUG": "1",
        "OPENCV_LOG_LEVEL": "VERBOSE",
        "OPENCV_FFMPEG_DEBUG": "1",
        "OPENCV_FFMPEG_LOGLEVEL": "56",
    }
    url = f"rtsp://127.0.0.1:{free_port()}/x"
    done = subprocess.run(
        [sys.executable, "-c", program, url, secret(tmp_path)],
        env=os.environ | noisy,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        timeout=30,
        check=True,
    )
    output = (done.stdout + done.stderr).decode()
    assert "refuses the connection" in output
    assert not [trace for trace in TRACES if trace in output]


def test_one_too_long_for_ffmpeg_is_refused_before_it_is_cut(tmp_path: Path) -> None:
    camera = Camera(id="c", url="rtsp://127.0.0.1/x", credentials_file=secret(tmp_path, "u:" + "p" * 130))
    with pytest.raises(ConfigError, match="127 fit"):
        open_source(camera)


def test_the_longest_that_fits_works(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    recording = film(tmp_path_factory.mktemp("film") / "short.mp4", 40)
    password = "p" * 125
    with CameraThread(recording, credentials=("u", password)) as thread:
        path = secret(tmp_path, f"u:{password}")
        with closing(
            open_source(Camera(id="c", url=thread.camera.rtsp_url, credentials_file=path))
        ) as source:
            source.open()
            assert source.read() is not None


def use(source: FrameSource, thread: CameraThread) -> None:
    source.open()
    thread.fault(Fault.DROP)
    for _ in range(200):
        source.read()


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        return int(taken.getsockname()[1])


def port_of(url: str) -> int:
    return urlsplit(url).port or 0

"""Sources against an RTSP server that is not ours: gst-rtsp-server in a child process."""

import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from time import monotonic

import pytest

from drivers.cameras import open_source
from gateway.domain.errors import CameraUnavailable
from gateway.ports import FrameSource
from gateway.settings import Camera

PYTHON = "/usr/bin/python3"
SCRIPT = Path(__file__).with_name("gst_rtsp_server.py")
PACKAGES = "python3-gi gir1.2-gst-rtsp-server-1.0"
PROBE = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"


@pytest.fixture(scope="module", autouse=True)
def installed() -> None:
    if (
        not Path(PYTHON).exists()
        or subprocess.run([PYTHON, "-c", PROBE], capture_output=True, check=False).returncode
    ):
        pytest.skip(f"needs a real RTSP server: apt-get install --no-install-recommends {PACKAGES}")


@contextmanager
def server(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The running child and the address it serves; killed on exit."""
    child = subprocess.Popen([PYTHON, str(SCRIPT), *arguments], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    try:
        port = child.stdout.readline().strip()
        assert port.isdigit(), "the server did not start"
        yield child, f"rtsp://127.0.0.1:{port}/door"
    finally:
        child.kill()
        child.wait(10)
        child.stdout.close()


def source_of(url: str, **more: object) -> FrameSource:
    return open_source(Camera(id="c", url=url, open_timeout_s=8.0, read_timeout_s=2.0, **more))


def read_on(source: FrameSource) -> None:
    for _ in range(100):
        source.read()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with server() as (_, address):
        yield address


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_its_pictures_are_read(url: str, transport: str) -> None:
    with closing(source_of(url, transport=transport)) as source:
        source.open()
        for _ in range(10):
            found = source.read()
            assert found is not None
        image, media_s = found
        assert image.shape == (240, 320, 3)
        assert media_s is None
        bars = [image[60, x].tolist() for x in (22, 68, 297)]
        assert min(bars[0]) > 150, "the first bar is white"
        assert bars[1][0] < 60, "the second bar is yellow: no blue"
        assert bars[1][2] > 120, "but red"
        assert bars[2][0] > 120, "the last bar is blue"
        assert bars[2][2] < 60, "and not red"


def test_a_path_it_does_not_know_is_named_as_such(url: str) -> None:
    with (
        closing(source_of(url + "-of-another-house")) as source,
        pytest.raises(CameraUnavailable, match="404"),
    ):
        source.open()


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_killed_in_the_middle_and_back_again(transport: str) -> None:
    with server() as (child, address), closing(source_of(address, transport=transport)) as source:
        source.open()
        assert source.read() is not None
        child.kill()
        child.wait(10)
        started = monotonic()
        with pytest.raises(CameraUnavailable, match=r"ended the stream|sent no picture"):
            read_on(source)
        assert monotonic() - started < 2.0 + 2.0
        with pytest.raises(CameraUnavailable, match="refuses the connection"):
            source.open()
        port = address.split(":")[2].split("/")[0]
        with server("--port", port):
            source.open()
            assert source.read() is not None


@pytest.mark.parametrize("scheme", ["basic", "digest"])
def test_it_asks_for_a_password(scheme: str, tmp_path: Path) -> None:
    user, password = "gate", 'q"uo\\te @:/% x'
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.write_text(f"{user}:{password}\n")
    bad.write_text(f"{user}:other\n")
    for path in (good, bad):
        path.chmod(0o600)
    arguments = ("--user", user, "--password", password, "--scheme", scheme)
    with server(*arguments) as (_, address):
        with closing(source_of(address)) as source, pytest.raises(CameraUnavailable, match="wants a user"):
            source.open()
        wrong = source_of(address, credentials_file=str(bad))
        with closing(wrong), pytest.raises(CameraUnavailable, match="refuses the user and password"):
            wrong.open()
        with closing(source_of(address, credentials_file=str(good))) as source:
            source.open()
            assert source.read() is not None

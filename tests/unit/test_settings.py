"""The site file: every error names file, key and fix."""

from pathlib import Path

import pytest

from gateway import settings
from gateway.domain.errors import ConfigError

GOOD = """
name = "x"
state_folder = "state"
[[cameras]]
id = "c"
url = "rtsp://192.0.2.1/s"
[[devices]]
id = "d"
profile = "waveshare-relay"
host = "192.0.2.2"
[[access_points]]
id = "p"
name = "P"
camera = "c"
device = "d"
channel = 1
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "site.toml"
    path.write_text(text)
    return path


def test_a_good_file_is_read_and_paths_are_its_own(tmp_path: Path):
    site = settings.load(write(tmp_path, GOOD))
    assert site.state_folder == str(tmp_path / "state")
    assert site.access_points[0].liveness == "required"


def test_the_example_is_good():
    settings.load(Path(__file__).parents[2] / "config" / "site.example.toml")


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("channel = 1", "channel = 0", ["access_points[0].channel", ">= 1"]),
        ("channel = 1", "chanel = 1", ["chanel"]),
        ('camera = "c"', 'camera = "zz"', ["access_points[0].camera", "zz"]),
        ('device = "d"\n', 'device = "zz"\n', ["access_points[0].device", "zz"]),
        ("rtsp://192.0.2.1/s", "rtsp://u:p@192.0.2.1/s", ["cameras[0].url", "credentials_file"]),
        ("rtsp://192.0.2.1/s", "ftp://192.0.2.1/s", ["cameras[0].url", "ftp"]),
        ('name = "x"', 'name = "x"\nextra = 1', ["extra"]),
        ('name = "x"', "", ["name"]),
        ("channel = 1", 'channel = 1\nliveness = "maybe"', ["liveness"]),
        ("channel = 1", "channel = 1\npulse_ms = 100", ["pulse_ms"]),
        ('name = "x"', 'name = "x', ["TOML"]),
        ('state_folder = "state"', 'state_folder = "state"\n[database]\nmode = "server"', ["url_file"]),
    ],
)
def test_a_bad_line_names_file_key_and_fix(tmp_path: Path, before: str, after: str, words: list[str]):
    path = write(tmp_path, GOOD.replace(before, after, 1))
    with pytest.raises(ConfigError) as refused:
        settings.load(path)
    message = str(refused.value)
    assert message.startswith(str(path))
    assert all(word in message for word in words), message
    assert "u:p" not in message


def test_one_camera_for_two_doors_is_refused(tmp_path: Path):
    second = (
        GOOD[GOOD.index("[[access_points]]") :].replace('"p"', '"q"').replace("channel = 1", "channel = 2")
    )
    with pytest.raises(ConfigError, match="serves two"):
        settings.load(write(tmp_path, GOOD + second))


def test_a_missing_file_says_where_to_start(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"site\.example\.toml"):
        settings.load(tmp_path / "none.toml")

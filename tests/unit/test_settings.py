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
[[doors]]
id = "main"
name = "Main"
device = "d"
channel = 1
[[access_points]]
id = "p"
name = "P"
camera = "c"
door = "main"
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
        ("channel = 1", "channel = 0", ["doors[0].channel", ">= 1"]),
        ("channel = 1", "chanel = 1", ["chanel"]),
        ('camera = "c"', 'camera = "zz"', ["access_points[0].camera", "zz"]),
        ('device = "d"\n', 'device = "zz"\n', ["doors[0].device", "zz"]),
        ("rtsp://192.0.2.1/s", "rtsp://u:p@192.0.2.1/s", ["cameras[0].url", "credentials_file"]),
        ("rtsp://192.0.2.1/s", "ftp://192.0.2.1/s", ["cameras[0].url", "ftp"]),
        ('name = "x"', 'name = "x"\nextra = 1', ["extra"]),
        ('name = "x"', "", ["name"]),
        ('door = "main"', 'door = "main"\nliveness = "maybe"', ["liveness"]),
        ('door = "main"', 'door = "zz"', ["access_points[0].door", "zz"]),
        ('door = "main"', 'door = "main"\nchannel = 1', ["access_points[0]", "[[doors]]"]),
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
    second = GOOD[GOOD.index("[[access_points]]") :].replace('"p"', '"q"') + 'direction = "out"\n'
    with pytest.raises(ConfigError, match="serves two"):
        settings.load(write(tmp_path, GOOD + second))


def test_a_missing_file_says_where_to_start(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"site\.example\.toml"):
        settings.load(tmp_path / "none.toml")


WIRED = (
    GOOD
    + """
[[doors]]
id = "inner"
name = "Inner"
device = "d"
channel = 2
[doors.sensors]
contact = { device = "d", input = 1 }
fire = { device = "d", input = 8, on = "open" }
[[turnstiles]]
id = "gate"
name = "Gate"
device = "d"
in = { channel = 3, passed = { device = "d", input = 2 } }
"""
)


def test_doors_turnstiles_and_sensors_are_read(tmp_path: Path):
    site = settings.load(write(tmp_path, WIRED))
    inner, gate = site.doors[1], site.turnstiles[0]
    assert inner.sensors.fire == settings.Input(device="d", input=8, on="open")
    assert [(way, lane.channel) for way, lane in gate.lanes()] == [("in", 3)]


def door(more: str = "", channel: int = 9, device: str = "d") -> str:
    return f'[[doors]]\nid = "x"\nname = "X"\ndevice = "{device}"\nchannel = {channel}\n{more}\n'


def device(more: str) -> str:
    return f'[[devices]]\nid = "e"\nprofile = "x"\n{more}\n'


def side(where: str) -> str:
    return (
        '[[cameras]]\nid = "k"\nurl = "rtsp://192.0.2.1/2"\n'
        f'[[access_points]]\nid = "q"\nname = "Q"\ncamera = "k"\n{where}\n'
    )


def turnstile(more: str) -> str:
    return f'[[turnstiles]]\nid = "x"\nname = "X"\ndevice = "d"\n{more}\n'


def interlock(*doors: str) -> str:
    return f'[[interlocks]]\nid = "m"\ndoors = [{", ".join(f"{d!r}" for d in doors)}]\n'


BOLT_ON_A_CONTACT = 'sensors = { bolt = { device = "d", input = 1 } }'


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (door(channel=3), ["relay 3", "turnstiles[0].in"]),
        (door().replace('"x"', '"gate"'), ['"gate"', "twice"]),
        (door(device="e"), ["doors[2].device", '"e"']),
        (door(BOLT_ON_A_CONTACT), ["doors[2].sensors.bolt.input", "doors[1].sensors.contact"]),
        (door('relock = "open"'), ["relock", "contact"]),
        (door('rex = "unlock"'), ["rex", "sensors.rex"]),
        (door("pulse_ms = 31000"), ["pulse_ms"]),
        (door("extended_pulse_ms = 1000"), ["extended_pulse_ms", "pulse_ms"]),
        (door("held_warning_s = 40"), ["held_warning_s", "held_alarm_s"]),
        (turnstile(""), ["turnstiles[1]", "direction"]),
        (turnstile("pulse_ms = 600\nin = { channel = 9 }"), ["turnstiles[1].pulse_ms"]),
        (interlock("inner"), ["interlocks[0].doors", "two"]),
        (interlock("inner", "main"), ["interlocks[0].doors", '"main"', "contact"]),
        (interlock("inner", "none"), ["interlocks[0].doors", '"none"']),
        (device(""), ["devices[1].host"]),
        (device('transport = "rtu"'), ["devices[1].serial"]),
        (device('transport = "tls"\nhost = "h"'), ["devices[1].ca_file"]),
        (device('host = "h"\nca_file = "f"'), ["devices[1].transport", "tls"]),
        (side('door = "gate"\ndirection = "out"'), ["access_points[1].direction", "gate", "out"]),
        (side('door = "main"'), ["access_points[1].direction", "main"]),
    ],
)
def test_what_contradicts_itself_names_file_key_and_fix(tmp_path: Path, more: str, words: list[str]):
    path = write(tmp_path, WIRED + more)
    with pytest.raises(ConfigError) as refused:
        settings.load(path)
    message = str(refused.value)
    assert message.startswith(str(path))
    assert all(word in message for word in words), message


def test_one_fire_wire_may_serve_several_doors(tmp_path: Path):
    more = door('sensors = { fire = { device = "d", input = 8, on = "open" } }')
    settings.load(write(tmp_path, WIRED + more))

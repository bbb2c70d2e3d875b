"""The installer's tools as an installer types them, on a simulated device in a process of its own."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

FACEGATE = [sys.executable, "-c", "from gateway.cli import main; main()"]


def facegate(*words: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*FACEGATE, *words], capture_output=True, text=True, timeout=timeout, check=False)


@dataclass
class Simulated:
    port: int
    record: Path
    process: subprocess.Popen[str]


def serve(*words: str) -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen([*FACEGATE, "simulate", *words], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, process.stdout.readline()


@pytest.fixture
def simulated(tmp_path: Path) -> Iterator[Simulated]:
    record = tmp_path / "edges.jsonl"
    process, line = serve("--profile", "waveshare-relay-di", "--record", str(record))
    found = re.search(r"127\.0\.0\.1:(\d+)", line)
    assert found, line
    yield Simulated(int(found[1]), record, process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    process.stdout.close()


def site(folder: Path, port: int) -> Path:
    path = folder / "site.toml"
    path.write_text(
        f'name = "t"\nstate_folder = "{folder}/state"\n'
        '[[cameras]]\nid = "c"\nurl = "rtsp://127.0.0.1:1/none"\n'
        f'[[devices]]\nid = "d"\nprofile = "waveshare-relay-di"\nhost = "127.0.0.1"\nport = {port}\n'
        '[[doors]]\nid = "main"\nname = "Main"\ndevice = "d"\nchannel = 1\npulse_ms = 500\n'
        '[doors.sensors]\ncontact = { device = "d", input = 1 }\n'
        '[[access_points]]\nid = "p"\nname = "P"\ncamera = "c"\ndoor = "main"\n'
    )
    return path


def test_profiles_lists_every_device_with_its_class():
    text = facegate("door", "profiles").stdout
    for name in ("waveshare-relay", "moxa-e1214", "wago-750", "kmtronic-8", "isma-sfar-8di8do"):
        assert name in text
    assert "class A" in text
    assert "class C" in text


def test_scan_reads_only_and_finds_the_profile(simulated: Simulated):
    done = facegate("door", "scan", "127.0.0.1", "--port", str(simulated.port), "--units", "1-2")
    assert done.returncode == 0, done.stderr
    assert "waveshare-relay-di" in done.stdout
    assert "wago-750" not in done.stdout
    assert "unit 2: no answer" in done.stdout
    assert simulated.record.read_text() == ""


def test_scan_of_nothing_says_so():
    done = facegate("door", "scan", "127.0.0.1", "--port", "1")
    assert done.returncode == 2
    assert "cannot be reached" in done.stderr


def test_a_door_is_tested_once_and_on_record(simulated: Simulated, state: Path):
    config = site(state, simulated.port)
    done = facegate("door", "test", "main", "--yes", "--config", str(config))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "pulse: confirmed" in done.stdout
    assert "relay: OFF and read back" in done.stdout
    assert re.search(r"class +A", done.stdout)
    edges = [json.loads(line) for line in simulated.record.read_text().splitlines()]
    assert [e["on"] for e in edges if e["relay"] == 1] == [True, False]
    checked = facegate("audit", "verify", "--offline", "--config", str(config))
    assert checked.returncode == 0
    assert "2 events" in checked.stdout, "the order before the frame, and its outcome"


def test_a_door_is_not_opened_without_a_yes(simulated: Simulated, tmp_path: Path):
    config = site(tmp_path, simulated.port)
    asked = subprocess.run(
        [*FACEGATE, "door", "test", "main", "--config", str(config)],
        input="n\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert asked.returncode == 130
    assert "Main" in asked.stdout
    assert simulated.record.read_text() == ""


def test_watch_shows_and_writes_nothing(simulated: Simulated, tmp_path: Path):
    config = site(tmp_path, simulated.port)
    done = facegate("door", "watch", "main", "--seconds", "2", "--config", str(config))
    assert done.returncode == 0, done.stderr
    assert "relay main" in done.stdout
    assert "OFF (locked)" in done.stdout
    assert "contact" in done.stdout
    assert simulated.record.read_text() == ""


def test_an_unknown_door_names_those_there_are(tmp_path: Path):
    done = facegate("door", "test", "none", "--yes", "--config", str(site(tmp_path, 1)))
    assert done.returncode == 2
    assert '"none"' in done.stderr
    assert "main" in done.stderr


def test_a_whole_site_is_simulated_with_its_doors(tmp_path: Path):
    script = tmp_path / "script.toml"
    script.write_text('[[at]]\ns = 0.0\ndo = "force"\ndoor = "main"\nseconds = 0.2\n')
    process, line = serve("--site", str(site(tmp_path, 45_123)), "--script", str(script))
    try:
        assert 'transport = "tcp", host = "127.0.0.1", port = 45123' in line
        assert process.stdout is not None
        assert "opens (it is forced)" in process.stdout.readline()
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        process.stdout.close()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[[at]]\ns = 0\ndo = "fly"\ndoor = "door"\n', ["at[0].do", "fly", "person_walks"]),
        ('[[at]]\ns = 0\ndo = "cut"\ndoor = "gate"\n', ["at[0].door", "gate", "door"]),
        ("[[at]]\ns = 0\n", ["at[0]", "do", "fault"]),
        ('[[at]]\ns = 0\nfault = "nonsense"\n', ["script.toml", "nonsense"]),
        ("at = 3\n", ["script.toml"]),
    ],
)
def test_a_bad_script_names_file_key_and_fix(tmp_path: Path, text: str, words: list[str]):
    script = tmp_path / "script.toml"
    script.write_text(text)
    done = facegate("simulate", "--profile", "waveshare-relay-di", "--script", str(script))
    assert done.returncode == 2
    assert all(word in done.stderr for word in words), done.stderr


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (
            'profile = "waveshare-relay-di"',
            'profile = "kmtronic-8"',
            ["devices[0]", "unsafe_pulse", "stays open"],
        ),
        ("pulse_ms = 500", "pulse_ms = 550", ["doors[0]", "pulse_ms", "550"]),
        ('profile = "waveshare-relay-di"', 'profile = "moxa-e1214"', ["doors[0]", "pulse_ms", "1500"]),
        (
            'profile = "waveshare-relay-di"',
            'profile = "moxa-e1212"\ntransport = "rtu_tcp"',
            ["devices[0].transport", "rtu_tcp"],
        ),
        ('profile = "waveshare-relay-di"', 'profile = "beckhoff-bk9000"', ["devices[0]", "spare_channel"]),
        ("channel = 1", "channel = 9", ["doors[0]", "relays 1 to 8"]),
        ("input = 1", "input = 9", ["input", "9"]),
    ],
)
def test_check_config_refuses_what_the_device_cannot_do(
    tmp_path: Path, before: str, after: str, words: list[str]
):
    path = site(tmp_path, 502)
    path.write_text(path.read_text().replace(before, after))
    done = facegate("check-config", "--config", str(path))
    assert done.returncode == 2, done.stdout
    assert all(word in done.stderr for word in (str(path), *words)), done.stderr

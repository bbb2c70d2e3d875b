"""Commands as a person types them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.rehearsal.portraits import Portrait
from tests.e2e.conftest import DATA

FACEGATE = [str(Path(sys.executable).with_name("facegate"))]


def facegate(*words: str, expect: int = 0, timeout: float = 100) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([*FACEGATE, *words], capture_output=True, text=True, timeout=timeout, check=False)
    assert done.returncode == expect, (done.stdout, done.stderr)
    return done


def site(state: Path) -> Path:
    path = state / "site.toml"
    path.write_text(
        f'name = "t"\nstate_folder = "{state}/state"\n'
        '[[cameras]]\nid = "c"\nurl = "rtsp://127.0.0.1:1/none"\n'
        '[[devices]]\nid = "d"\nprofile = "waveshare-relay"\nhost = "127.0.0.1"\nport = 1\n'
        '[[doors]]\nid = "m"\nname = "M"\ndevice = "d"\nchannel = 1\n'
        '[[access_points]]\nid = "p"\nname = "P"\ncamera = "c"\ndoor = "m"\nliveness = "off"\n'
    )
    return path


def test_help_is_quick_and_complete():
    text = facegate("--help").stdout
    for command in ("run", "demo", "trial", "enrol", "models", "audit", "bench", "evaluate", "check-config"):
        assert command in text


def test_check_config_says_good_and_that_liveness_is_off(state: Path):
    text = facegate("check-config", "--config", str(site(state))).stdout
    assert "good" in text
    assert "LIVENESS IS OFF" in text


def test_a_bad_site_file_is_one_clear_line(state: Path):
    path = site(state)
    path.write_text(path.read_text().replace("channel = 1", "channel = 31"))
    said = facegate("check-config", "--config", str(path), expect=2).stderr
    assert "has relays 1 to" in said
    assert "Traceback" not in said


def test_no_site_file_says_what_to_do():
    assert "site.example.toml" in facegate("check-config", expect=2).stderr


def test_enrol_refuses_clearly_and_enrols(state: Path, collins: Portrait, hopper: Portrait):
    config = str(site(state))
    photo, other, text = state / "e.png", state / "h.png", state / "x.png"
    photo.write_bytes(collins.png())
    other.write_bytes(hopper.png())
    text.write_text("not a picture")
    assert "[bad_photo]" in facegate("enrol", "1", "Eileen", str(text), "--config", config, expect=2).stderr
    done = facegate("enrol", "1", "Eileen", str(photo), "--config", config, "--json")
    assert json.loads(done.stdout)["templates"] == 1
    said = facegate("enrol", "2", "Somebody", str(photo), "--config", config, expect=2).stderr
    assert "[already_enrolled]" in said
    said = facegate("enrol", "3", "Two", str(photo), str(other), "--config", config, expect=2).stderr
    assert "[photos_disagree]" in said
    key = state / "state" / "master.key"
    assert key.stat().st_mode & 0o777 == 0o600
    key.unlink()
    said = facegate("enrol", "4", "Late", str(other), "--config", config, expect=2).stderr
    assert "[master_key_missing]" in said


def test_missing_models_stop_the_start_with_what_to_do(state: Path, tmp_path: Path):
    path = site(state)
    path.write_text(path.read_text().replace("[[cameras]]", f'models_folder = "{tmp_path}"\n[[cameras]]', 1))
    said = facegate("run", "--config", str(path), expect=2).stderr
    assert "facegate models pull" in said


@pytest.mark.skipif(
    not (DATA / "portraits").exists(), reason="the shared test faces are not beside this checkout"
)
def test_evaluate_names_no_one_falsely(tmp_path: Path, analyser):
    out = tmp_path / "counts.json"
    facegate("evaluate", str(DATA / "portraits"), "--json", str(out))
    counts = json.loads(out.read_text())
    assert counts["falsely_identified"] == 0
    assert counts["strangers_identified"] == 0
    assert counts["identified"] >= 0.9 * counts["shown"]


@pytest.mark.timeout(300)
def test_the_demo_goes_as_it_should(state: Path, tmp_path: Path, analyser):
    out = tmp_path / "demo.json"
    facegate("demo", "--once", "--json", str(out), "--state", str(state / "demo"), timeout=280)
    summary = json.loads(out.read_text())
    assert summary["ok"]
    assert summary["grants"] == summary["pulses"] == 1
    assert all(chain["whole"] for chain in summary["chain"].values())

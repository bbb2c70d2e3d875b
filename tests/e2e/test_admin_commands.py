"""The first administrator, as whoever sets up a site types it."""

from pathlib import Path

import pytest

from tests.e2e.test_commands import facegate

SITE = """
name = "t"
state_folder = "{state}"
[[cameras]]
id = "c"
url = "rtsp://127.0.0.1:1/none"
[[devices]]
id = "d"
profile = "waveshare-relay"
host = "127.0.0.1"
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


@pytest.fixture
def site(tmp_path: Path, state: Path) -> Path:
    path = tmp_path / "site.toml"
    path.write_text(SITE.format(state=state / "own"))
    return path


def test_the_first_administrator_is_made_and_everything_is_on_record(site: Path, tmp_path: Path):
    secret = tmp_path / "password"
    secret.write_text("a long and good secret\n")
    made = facegate("admin", "create", "root", "--config", str(site), "--password-file", str(secret))
    assert "administrator" in made.stdout
    again = facegate(
        "admin", "create", "ROOT", "--config", str(site), "--password-file", str(secret), expect=2
    )
    assert "login_taken" in again.stderr
    secret.write_text("short\n")
    weak = facegate(
        "admin", "reset-password", "root", "--config", str(site), "--password-file", str(secret), expect=2
    )
    assert "weak_password" in weak.stderr
    shown = facegate("admin", "list", "--config", str(site))
    assert shown.stdout == "root\tadministrator\tpassword alone\n"
    for text in (made, again, weak, shown):
        assert "a long and good secret" not in text.stdout + text.stderr

from pathlib import Path

import pytest

from drivers.cameras import open_source
from drivers.cameras.credentials import Credentials, read_credentials
from gateway.domain.errors import ConfigError
from gateway.settings import Camera


def written(folder: Path, content: bytes, mode: int = 0o600) -> str:
    path = folder / "secret"
    path.write_bytes(content)
    path.chmod(mode)
    return str(path)


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_one_line_of_user_and_password(tmp_path: Path, end: bytes) -> None:
    found = read_credentials(written(tmp_path, b"gate:a:b c" + end))
    assert found is not None
    assert (found.user, found.password) == ("gate", "a:b c")


def test_no_file_named_is_no_credentials() -> None:
    assert read_credentials(None) is None


@pytest.mark.parametrize(
    "content", [b"", b"hunter2", b":hunter2", b"a:hunter2\nb:c", b"a:\xffhunter2", b"a:hun\x00ter2"]
)
def test_anything_else_is_refused_without_quoting_it(tmp_path: Path, content: bytes) -> None:
    path = written(tmp_path, content)
    with pytest.raises(ConfigError) as raised:
        read_credentials(path)
    assert path in str(raised.value)
    assert "user:password" in str(raised.value)
    chain = (raised.value, raised.value.__context__, raised.value.__cause__)
    assert "hun" not in repr([(e, vars(e), e.args) for e in chain if e is not None])


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o666])
def test_a_file_open_to_everyone_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(ConfigError, match="chmod 600"):
        read_credentials(written(tmp_path, b"a:b", mode))


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        read_credentials(str(tmp_path / "none"))
    with pytest.raises(ConfigError, match="not a file"):
        read_credentials(str(tmp_path))


def test_a_source_is_not_made_with_bad_credentials(tmp_path: Path) -> None:
    for url in ("rtsp://h/x", "http://h/x"):
        with pytest.raises(ConfigError, match="no such file"):
            open_source(Camera(id="c", url=url, credentials_file=str(tmp_path / "none")))


def test_they_are_percent_encoded_into_an_address_and_absent_from_repr() -> None:
    who = Credentials("ga@te", "p:/?#%ä")
    assert who.inside("rtsp://[::1]:554/x?a=1") == "rtsp://ga%40te:p%3A%2F%3F%23%25%C3%A4@[::1]:554/x?a=1"
    assert repr(who) == "Credentials()"

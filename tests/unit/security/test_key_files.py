"""The key file on disk: whole or not at all, one writer at a time, its owner's for good."""

import os
import threading
from pathlib import Path

import pytest

from gateway.domain.errors import ConfigError
from gateway.security import key_files


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "k"
    path.write_bytes(b"before")
    path.chmod(0o600)
    return path


def test_one_at_a_time_whoever_asks(path: Path) -> None:
    inside, most = 0, 0

    def visit() -> None:
        nonlocal inside, most
        for _ in range(20):
            with key_files.alone(path):
                inside += 1
                most = max(most, inside)
                inside -= 1

    threads = [threading.Thread(target=visit) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert most == 1


def test_the_turn_is_given_back_when_a_change_fails(path: Path) -> None:
    with pytest.raises(ZeroDivisionError), key_files.alone(path):
        raise ZeroDivisionError
    with key_files.alone(path) as real:
        assert real == path


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="none"), key_files.alone(tmp_path / "none" / "k"):
        pytest.fail("there is no such folder")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_replaced_file_stays_its_owners(path: Path) -> None:
    os.chown(path, 12345, 12346)
    key_files.put(path, b"after", replace=True)
    assert (path.stat().st_uid, path.stat().st_gid) == (12345, 12346)
    assert path.read_bytes() == b"after"


def test_the_first_writer_of_a_new_file_counts(path: Path) -> None:
    key_files.put(path, b"mine", replace=False)
    assert path.read_bytes() == b"before"


def test_no_more_is_read_than_asked_for(path: Path) -> None:
    path.write_bytes(b"x" * 10_000)
    text, _ = key_files.read(path, 100, group=False)
    assert len(text) == 101


def test_every_change_shows(path: Path) -> None:
    stamps = [key_files.stamp(path)]
    key_files.put(path, b"after!", replace=True)
    stamps.append(key_files.stamp(path))
    path.write_bytes(b"longer than that")
    stamps.append(key_files.stamp(path))
    assert len(set(stamps)) == 3
    path.unlink()
    with pytest.raises(ConfigError, match="cannot be read"):
        key_files.stamp(path)

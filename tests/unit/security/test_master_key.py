"""The master key's file: made once, whole, for its owner alone, and never a second time."""

import base64
import os
import stat
import threading
from pathlib import Path

import pytest

from gateway.domain.errors import ConfigError
from gateway.security import whole_files
from gateway.security.keyring import KeyPlace, KeyRing
from gateway.security.master_key import LENGTH, MasterKey


def read(path: Path) -> MasterKey:
    return KeyRing.read(KeyPlace(path=path)).wrapping()


def read_or_make(path: Path, *, in_use: bool) -> MasterKey:
    return KeyRing.read_or_make(KeyPlace(path=path), in_use=in_use).wrapping()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "master.key"


def test_is_made_once_and_read_ever_after(path: Path) -> None:
    made = read_or_make(path, in_use=False).reveal()
    assert len(made) == LENGTH
    assert read_or_make(path, in_use=False).reveal() == made
    assert read_or_make(path, in_use=True).reveal() == made == read(path).reveal()
    assert list(path.parent.iterdir()) == [path]


def test_is_for_its_owner_alone_whatever_the_umask(path: Path) -> None:
    before = os.umask(0)
    try:
        read_or_make(path, in_use=False)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_two_gateways_have_two_keys(path: Path) -> None:
    other = path.with_name("other.key")
    assert read_or_make(path, in_use=False).reveal() != read_or_make(other, in_use=False).reveal()


def test_a_lost_one_is_never_replaced(path: Path) -> None:
    with pytest.raises(ConfigError, match=r"master\.key.*missing.*backup") as lost:
        read_or_make(path, in_use=True)
    assert lost.value.code == "master_key_missing"
    assert not path.exists()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o644, 0o777])
def test_one_open_to_others_is_refused(path: Path, mode: int) -> None:
    read_or_make(path, in_use=False)
    path.chmod(mode)
    with pytest.raises(ConfigError, match=f"mode {mode:04o}.*chmod 600") as told:
        read(path)
    assert told.value.code == "master_key_exposed"
    path.chmod(0o400)  # tighter is welcome
    assert len(read(path).reveal()) == LENGTH


GOOD = base64.b64encode(bytes(range(LENGTH)))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\n",
        GOOD[:-4],
        GOOD + GOOD,
        base64.b64encode(bytes(LENGTH - 1)),
        base64.b64encode(bytes(LENGTH + 1)),
        bytes(LENGTH),
        b"not base64 !" * 4,
        GOOD[:10] + b"\n" + GOOD[10:],
        GOOD + b"\n" * 10_000,
        "schlüssel".encode(),
    ],
)
def test_a_malformed_one_is_told_without_showing_it(path: Path, text: bytes) -> None:
    path.write_bytes(text)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="not a master key") as told:
        read_or_make(path, in_use=False)
    assert told.value.code == "master_key_malformed"
    assert path.read_bytes() == text, "nobody's file is written over"
    assert GOOD[:10].decode() not in str(told.value)


@pytest.mark.parametrize("text", [GOOD, GOOD + b"\n", b"  " + GOOD + b"\r\n"])
def test_space_around_it_does_no_harm(path: Path, text: bytes) -> None:
    path.write_bytes(text)
    path.chmod(0o600)
    assert read(path).reveal() == bytes(range(LENGTH))


@pytest.mark.parametrize("make", [Path.mkdir, lambda p: p.symlink_to("nowhere")])
def test_what_is_no_file_is_told(path: Path, make) -> None:
    make(path)
    with pytest.raises(ConfigError, match=r"master\.key"):
        read_or_make(path, in_use=False)


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be made"):
        read_or_make(tmp_path / "none" / "master.key", in_use=False)


def test_a_first_start_that_fails_leaves_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(whole_files.os, "fsync", full)
    with pytest.raises(ConfigError, match="No space left"):
        read_or_make(path, in_use=False)
    assert list(path.parent.iterdir()) == []


def test_many_first_starts_at_once_agree(path: Path) -> None:
    found: list[MasterKey] = []
    together = threading.Barrier(8)

    def start() -> None:
        together.wait(10)
        found.append(read_or_make(path, in_use=False))

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(found) == 8
    assert len({key.reveal() for key in found}) == 1
    assert list(path.parent.iterdir()) == [path]

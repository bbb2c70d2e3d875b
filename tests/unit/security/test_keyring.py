"""The keys' file while keys are changed: whose it is, what it says, and what may be done to it."""

import base64
import os
import stat
import threading
from pathlib import Path

import pytest

from gateway.domain.errors import ConfigError
from gateway.domain.keys import KeyId
from gateway.security.keyring import CREDENTIAL, ENVIRONMENT, KeyPlace, KeyRing
from gateway.security.master_key import MasterKey

A, B, C = (MasterKey(bytes([i] * 32)) for i in range(3))
NONE: frozenset[KeyId] = frozenset()


def line(key: MasterKey) -> str:
    return base64.b64encode(key.reveal()).decode()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "master.key"


def write(path: Path, *lines: str, mode: int = 0o600) -> Path:
    path.write_text("\n".join(lines) + "\n")
    path.chmod(mode)
    return path


def ring_of(path: Path, *lines: str) -> KeyRing:
    return KeyRing.read(KeyPlace(path=write(path, *lines)))


# Where it is.


def test_the_environment_comes_before_systemd_and_systemd_before_the_file(tmp_path: Path) -> None:
    write(tmp_path / CREDENTIAL, line(A))
    own = tmp_path / "own"
    everything = {ENVIRONMENT: "/named", "CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert KeyPlace.of(own, everything) == KeyPlace(path=Path("/named"), ours=False)
    del everything[ENVIRONMENT]
    assert KeyPlace.of(own, everything) == KeyPlace(path=tmp_path / CREDENTIAL, ours=False, lent=True)
    assert KeyPlace.of(own, {}) == KeyPlace(path=own)
    assert KeyPlace.of(own, {ENVIRONMENT: ""}) == KeyPlace(path=own)
    (tmp_path / CREDENTIAL).unlink()  # credentials for something else
    assert KeyPlace.of(own, everything) == KeyPlace(path=own)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may enter any folder")
def test_credentials_that_cannot_be_looked_at_are_not_passed_over(tmp_path: Path) -> None:
    shut = tmp_path / "shut"
    shut.mkdir()
    write(shut / CREDENTIAL, line(A))
    shut.chmod(0)
    try:
        place = KeyPlace.of(tmp_path / "own", {"CREDENTIALS_DIRECTORY": str(shut)})
        assert place.lent
        with pytest.raises(ConfigError, match="Permission denied"):
            KeyRing.read(place)
    finally:
        shut.chmod(0o700)


def test_a_given_file_is_never_made(path: Path) -> None:
    with pytest.raises(ConfigError, match=r"missing.*/dev/urandom") as told:
        KeyRing.read_or_make(KeyPlace(path=path, ours=False), in_use=False)
    assert told.value.code == "master_key_missing"
    assert not path.exists()


@pytest.mark.parametrize("mode", [0o400, 0o440, 0o600])
def test_systemd_shows_its_own_access_as_the_groups(path: Path, mode: int) -> None:
    write(path, line(A), mode=mode)
    assert KeyRing.read(KeyPlace(path=path, ours=False, lent=True)).current() == A.key_id


@pytest.mark.parametrize(
    ("mode", "lent"), [(0o440, False), (0o460, True), (0o444, True), (0o450, True), (0o602, True)]
)
def test_no_more_than_that(path: Path, mode: int, lent: bool) -> None:
    write(path, line(A), mode=mode)
    with pytest.raises(ConfigError) as told:
        KeyRing.read(KeyPlace(path=path, lent=lent))
    assert told.value.code == "master_key_exposed"


# What it says.


def test_keys_have_their_roles(path: Path) -> None:
    ring = ring_of(path, f"current {line(A)}", f"next {line(B)}", f"old   {line(C)}")
    assert (ring.current(), ring.pending()) == (A.key_id, B.key_id)
    assert ring.held() == {A.key_id, B.key_id, C.key_id}
    assert [key.key_id for key in ring.every()] == [A.key_id, B.key_id, C.key_id]


@pytest.mark.parametrize(
    "lines",
    [
        (line(A), line(B)),
        (f"current {line(A)}", f"current {line(B)}"),
        (line(A), f"current {line(B)}"),
        (line(A), f"next {line(B)}", f"next {line(C)}"),
        (line(A), f"old {line(A)}"),
        (f"next {line(A)}",),
        (f"old {line(A)}",),
        (line(A), f"older {line(B)}"),
        (line(A), f"old{line(B)}"),
        (line(A), "", line(B)),
        (line(A), "old"),
        (line(A), *(f"old {line(MasterKey(bytes([i] * 32)))}" for i in range(1, 18))),
    ],
)
def test_what_makes_no_sense_is_refused_and_not_shown(path: Path, lines: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match=r"master\.key") as told:
        ring_of(path, *lines)
    assert told.value.code == "master_key_malformed"
    assert line(A)[:12] not in str(told.value)


def test_a_pipe_is_told_at_once(path: Path) -> None:
    os.mkfifo(path, 0o600)
    with pytest.raises(ConfigError, match="plain file"):
        KeyRing.read(KeyPlace(path=path))


# Following it.


def test_it_wraps_by_what_the_database_prefers_where_that_is_here(path: Path) -> None:
    ring = ring_of(path, f"current {line(A)}", f"next {line(B)}")
    ring.prefer(B.key_id)
    assert ring.current() == B.key_id
    ring.prefer(C.key_id)
    assert ring.current() == A.key_id
    write(path, f"current {line(A)}", f"next {line(C)}")
    ring.reload()
    assert ring.current() == C.key_id


def test_a_changed_file_is_read_again_and_an_unchanged_one_is_not(path: Path, monkeypatch) -> None:
    ring = ring_of(path, line(A))
    other = path.with_name("other")
    write(other, f"current {line(A)}", f"next {line(B)}").replace(path)
    ring.reload()
    assert ring.held() == {A.key_id, B.key_id}
    monkeypatch.setattr("gateway.security.key_files.read", lambda *_a, **_k: pytest.fail("read again"))
    ring.reload()


def test_a_key_that_is_not_known_is_looked_for_in_the_file(path: Path) -> None:
    ring = ring_of(path, line(A))
    assert ring.find(B.key_id) is None
    write(path, f"current {line(A)}", f"next {line(B)}")
    found = ring.find(B.key_id)
    assert found is not None
    assert found.reveal() == B.reveal()


@pytest.mark.parametrize("spoil", ["missing", "malformed", "exposed", "folder"])
def test_a_file_that_cannot_be_read_again_leaves_the_keys(path: Path, spoil: str) -> None:
    ring = ring_of(path, line(A))
    match spoil:
        case "missing":
            path.unlink()
        case "malformed":
            write(path, "half a li")
        case "exposed":
            write(path, f"current {line(A)}", f"next {line(B)}", mode=0o644)
        case "folder":
            path.unlink()
            path.mkdir(mode=0o700)
    with pytest.raises(ConfigError):
        ring.reload()
    assert ring.find(B.key_id) is None, "and looking for another does not fail"
    assert ring.current() == A.key_id
    if spoil != "folder":
        write(path, f"current {line(A)}", f"next {line(B)}")
        ring.reload()
        assert B.key_id in ring.held()


# Changing it.


def test_a_change_of_keys_from_one_line_to_one_line(path: Path) -> None:
    ring = ring_of(path, line(A))
    new = ring.add_next(NONE)
    assert ring.add_next(NONE) == new == ring.pending()
    assert path.read_text().startswith(f"current {line(A)}\nnext ")
    ring.promote(new)
    ring.promote(new)
    assert path.read_text().endswith(f"\nold {line(A)}\n")
    assert (ring.current(), ring.pending(), ring.held()) == (new, None, {new, A.key_id})
    ring.keep_only(new)
    ring.keep_only(new)
    assert ring.held() == {new}
    assert line(A) not in path.read_text()
    assert len(path.read_text().split()) == 1, "as a file that never saw a change"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [*path.parent.iterdir()] == [path]
    assert KeyRing.read(KeyPlace(path=path)).current() == new


def test_a_spent_next_key_is_replaced(path: Path) -> None:
    ring = ring_of(path, f"current {line(A)}", f"next {line(B)}")
    new = ring.add_next(frozenset({B.key_id}))
    assert new not in {A.key_id, B.key_id}
    assert ring.held() == {A.key_id, new}


def test_a_key_that_is_not_in_the_file_is_not_promoted(path: Path) -> None:
    ring = ring_of(path, f"current {line(A)}", f"next {line(B)}")
    before = path.read_text()
    for change in (ring.promote, ring.keep_only):
        with pytest.raises(ConfigError, match=C.key_id) as told:
            change(C.key_id)
        assert told.value.code == "master_key_missing"
    assert path.read_text() == before


def test_a_link_is_followed_when_keys_change(tmp_path: Path, path: Path) -> None:
    """Replacing the link would leave the old key where it is, and lose the new one with the link."""
    far = tmp_path / "far"
    far.mkdir()
    write(far / "real.key", line(A))
    path.symlink_to(far / "real.key")
    ring = KeyRing.read(KeyPlace(path=path))
    new = ring.add_next(NONE)
    ring.promote(new)
    ring.keep_only(new)
    assert path.is_symlink()
    assert line(A) not in (far / "real.key").read_text()
    assert [*far.iterdir()] == [far / "real.key"]


def test_what_a_killed_change_left_half_done_does_not_keep_the_old_key(path: Path) -> None:
    ring = ring_of(path, f"current {line(B)}", f"old {line(A)}")
    left = write(path.with_name(".master.key.0a1b2c3d"), f"current {line(A)}", f"next {line(B)}")
    others = write(path.with_name(".master.key.swp"), "an editor's")
    ring.keep_only(B.key_id)
    assert not left.exists()
    assert others.exists(), "and nobody else's file is touched"


def test_what_systemd_lends_is_not_changed_and_it_says_which_file_to_change(path: Path) -> None:
    write(path, line(A))
    ring = KeyRing.read(KeyPlace(path=path, ours=False, lent=True))
    before = path.read_text()
    with pytest.raises(ConfigError, match=rf"{ENVIRONMENT}=.*facegate keys rotate") as told:
        ring.add_next(NONE)
    assert told.value.code == "master_key_lent"
    assert path.read_text() == before
    assert ring.held() == {A.key_id}
    ring.promote(A.key_id)  # nothing to change
    ring.keep_only(A.key_id)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_is_told_and_nothing_changes(path: Path) -> None:
    ring = ring_of(path, line(A))
    path.parent.chmod(0o500)
    try:
        with pytest.raises(ConfigError, match="Permission denied") as told:
            ring.add_next(NONE)
        assert told.value.code == "master_key_unwritable"
        assert ring.held() == {A.key_id}
    finally:
        path.parent.chmod(0o700)


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_change_that_fails_leaves_the_file_and_the_keys(path: Path, monkeypatch, call: str) -> None:
    ring = ring_of(path, line(A))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(*((os, "fsync", full) if call == "fsync" else (Path, "replace", full)))
    with pytest.raises(ConfigError, match="No space left"):
        ring.add_next(NONE)
    monkeypatch.undo()
    assert path.read_text() == line(A) + "\n"
    assert [*path.parent.iterdir()] == [path]
    assert ring.held() == {A.key_id}


def test_many_changes_at_once_agree_on_one_next_key(path: Path) -> None:
    write(path, line(A))
    rings = [KeyRing.read(KeyPlace(path=path)) for _ in range(8)]
    together, found = threading.Barrier(8), []

    def change(ring: KeyRing) -> None:
        together.wait(10)
        found.append(ring.add_next(NONE))

    threads = [threading.Thread(target=change, args=(ring,)) for ring in rings]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(found) == 8
    assert len(set(found)) == 1
    assert KeyRing.read(KeyPlace(path=path)).pending() == found[0]


def test_the_end_of_one_change_does_not_destroy_the_next_key_of_another(path: Path) -> None:
    ring = ring_of(path, f"current {line(B)}", f"next {line(C)}", f"old {line(A)}")
    ring.keep_only(B.key_id)
    assert path.read_text() == f"current {line(B)}\nnext {line(C)}\n"

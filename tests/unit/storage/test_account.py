"""Who may search a folder, by its mode alone."""

from pathlib import Path

import pytest

from gateway.storage.pg_account import Account

UID, GID = 12, 34


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "f").mkdir()
    return tmp_path / "f"


@pytest.mark.parametrize(
    ("mode", "owner", "group", "other"),
    [
        (0o700, True, False, False),
        (0o711, True, True, True),
        (0o750, True, True, False),
        (0o701, True, False, True),
        (0o077, False, True, True),
        (0o644, False, False, False),
    ],
)
def test_the_most_specific_class_decides(
    folder: Path, mode: int, owner: bool, group: bool, other: bool
) -> None:
    folder.chmod(mode)
    found = folder.stat()
    folder_owner = Account("o", found.st_uid, GID, frozenset({GID}))
    folder_group = Account("g", UID + found.st_uid, found.st_gid, frozenset({found.st_gid}))
    stranger = Account("s", UID + found.st_uid, GID, frozenset({GID + found.st_gid}))
    assert (folder_owner.may(folder), folder_group.may(folder), stranger.may(folder)) == (owner, group, other)
    folder.chmod(0o700)


def test_running_a_program_needs_reading_it(tmp_path: Path) -> None:
    program = tmp_path / "p"
    program.touch()
    stranger = Account("s", program.stat().st_uid + 1, 0, frozenset({program.stat().st_gid + 1}))
    for mode, may in ((0o755, True), (0o711, False), (0o744, False)):
        program.chmod(mode)
        assert stranger.may(program, read=True) is may

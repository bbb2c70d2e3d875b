"""The sealed roster on disk: what is not ours, not whole or not now is never believed."""

import random
import stat
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.domain.errors import SealBroken, Unavailable
from gateway.domain.keys import KeyId
from gateway.security import whole_files
from gateway.security.master_key import MasterKey
from gateway.security.roster_file import NAME, STAMP, SealedRosterFile
from tests.contract.test_roster_copy_contract import MORNING, kept

KEY, OTHER = MasterKey(bytes(range(32))), MasterKey(bytes(32))


def copy(folder: Path, gateway: str = "gateway-1", keys: object = KEY) -> SealedRosterFile:
    return SealedRosterFile(folder, gateway, keys)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    file = copy(tmp_path)
    file.write(kept())
    file.confirm(MORNING + timedelta(minutes=1))
    return tmp_path


def test_another_process_reads_it(written: Path) -> None:
    assert copy(written).read().people == kept().people


def test_only_its_owner_can_read_it(written: Path) -> None:
    for path in written.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_nothing_in_it_can_be_read_without_the_key(written: Path) -> None:
    content = b"".join(path.read_bytes() for path in written.iterdir())
    for plain in ("Łucja".encode(), b"Example", b"E1", b"main", b"suspended", bytes([1]) * 16, KEY.reveal()):
        assert plain not in content


def test_every_flipped_byte_is_noticed(written: Path) -> None:
    path = written / NAME
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ (1 << random.randrange(8))]) + whole[at + 1 :])
        with pytest.raises(SealBroken):
            copy(written).read()


def test_every_cut_is_noticed_and_so_is_what_was_added(written: Path) -> None:
    path = written / NAME
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(SealBroken):
            copy(written).read()
    path.write_bytes(whole + b"\0")
    with pytest.raises(SealBroken):
        copy(written).read()


def test_another_gateways_file_does_not_open_under_the_same_master_key(written: Path) -> None:
    with pytest.raises(SealBroken):
        copy(written, gateway="gateway-2").read()


def test_a_file_under_another_master_key_does_not_open(written: Path) -> None:
    with pytest.raises(SealBroken) as refused:
        copy(written, keys=OTHER).read()
    assert refused.value.code == "master_key_unknown"


def test_a_broken_or_foreign_stamp_makes_the_copy_older_never_younger(written: Path, tmp_path: Path) -> None:
    assert copy(written).read().confirmed_at == MORNING + timedelta(minutes=1)
    stamp = written / STAMP
    whole = stamp.read_bytes()
    for content in (
        b"",
        whole[:-1],
        whole + b"\0",
        bytes(len(whole)),
        *(_flipped(whole, i) for i in range(40)),
    ):
        stamp.write_bytes(content)
        assert copy(written).read().confirmed_at == MORNING
    stamp.unlink()
    assert copy(written).read().confirmed_at == MORNING


def test_a_stamp_from_another_writing_of_the_same_gateway_does_not_count(written: Path) -> None:
    stamp = (written / STAMP).read_bytes()
    copy(written).write(kept(version=8))
    (written / STAMP).write_bytes(stamp)
    assert copy(written).read() == kept(version=8)


def test_a_people_box_is_no_stamp(written: Path) -> None:
    (written / STAMP).write_bytes((written / NAME).read_bytes())
    assert copy(written).read().confirmed_at == MORNING


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _flipped(whole: bytes, at: int) -> bytes:
    at %= len(whole)
    return whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]


@pytest.mark.parametrize("when", ["fsync", "replace"])
def test_a_full_disk_leaves_what_was_there_and_no_half_of_another(
    written: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    if when == "fsync":
        monkeypatch.setattr(whole_files.os, "fsync", full)
    else:
        monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(Unavailable, match="No space left"):
        copy(written).write(kept(version=8))
    monkeypatch.undo()
    assert copy(written).read().version == 7
    assert _names(written) == [NAME, STAMP]


def test_what_killed_writers_left_goes_with_the_next_writing_and_with_a_removal(written: Path) -> None:
    for name in (NAME, STAMP):
        (written / f".{name}.0a1b2c3d").write_bytes(b"half of somebody who was erased")
    file = copy(written)
    file.write(kept(version=8))
    file.confirm(MORNING + timedelta(hours=1))
    assert _names(written) == [NAME, STAMP]
    (written / f".{NAME}.0a1b2c3d").write_bytes(b"half")
    file.remove()
    assert _names(written) == []


def test_a_folder_in_its_place_is_told(tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    with pytest.raises(Unavailable, match=r"roster\.sealed"):
        copy(tmp_path).read()


@dataclass
class Ring:
    """Two keys of which one wraps."""

    keys: list[MasterKey]

    def wrapping(self) -> MasterKey:
        return self.keys[0]

    def find(self, key_id: KeyId) -> MasterKey | None:
        return next((k for k in self.keys if k.key_id == key_id), None)

    def every(self) -> list[MasterKey]:
        return self.keys


def test_a_changed_master_key_asks_for_a_new_writing_which_needs_the_old_key_no_more(tmp_path: Path) -> None:
    ring = Ring([KEY])
    file = copy(tmp_path, keys=ring)
    file.write(kept())
    assert not file.stale()
    ring.keys = [OTHER, KEY]
    assert file.stale()
    assert copy(tmp_path, keys=ring).read() == kept(), "until then the old key opens it"
    again = copy(tmp_path, keys=ring)
    again.read()
    assert again.stale(), "one that was only read asks for it as well"
    file.write(kept())
    assert not file.stale()
    assert copy(tmp_path, keys=OTHER).read() == kept()

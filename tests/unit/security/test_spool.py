"""Sealed uploads: read at any place, and not at all when a bit, a chunk or the key is another."""

import secrets
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.domain.errors import InvalidInput, InvariantBroken, SealBroken, Unavailable
from gateway.security.spool import CHUNK, SealedFolder
from tests.fakes.site_keys import FakeSiteKeys

NAME = "0b3c7f8e-45a2-4f0e-9a52-3f6f1c1f7f11.zip"
SEALED = CHUNK + 16
HEAD = 8


@pytest.fixture
def folder(tmp_path: Path) -> SealedFolder:
    return SealedFolder(tmp_path / "uploads", FakeSiteKeys(), reserve_bytes=0)


async def put(folder: SealedFolder, data: bytes, name: str = NAME, step: int = 50_000) -> bytes:
    writer = await folder.begin(name)
    for at in range(0, len(data), step):
        await writer.write(data[at : at + step])
    return await writer.finish()


async def read(folder: SealedFolder, key: bytes, name: str = NAME) -> bytes:
    with await folder.open(name, key) as file:
        return file.read()


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 3 * CHUNK + 7])
@pytest.mark.parametrize("step", [1000, CHUNK, 10 * CHUNK])
async def test_what_was_written_is_read_at_any_place(folder: SealedFolder, size: int, step: int):
    data = secrets.token_bytes(size)
    key = await put(folder, data, step=step)
    with await folder.open(NAME, key) as file:
        assert file.read() == data
        for at in (0, size // 2, max(0, size - 3), size, size + 10):
            file.seek(at)
            assert file.read(5) == data[at : at + 5]
        assert file.seek(-min(size, 4), 2) == size - min(size, 4)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(places=st.lists(st.tuples(st.integers(0, 3 * CHUNK), st.integers(0, 2 * CHUNK)), max_size=8))
async def test_reads_in_any_order_are_those_of_the_plain_file(
    folder: SealedFolder, places: list[tuple[int, int]]
):
    await folder.destroy(NAME)
    data = secrets.token_bytes(2 * CHUNK + 99)
    with await folder.open(NAME, await put(folder, data)) as file:
        for at, length in places:
            file.seek(at)
            assert file.read(length) == data[at : at + length]


async def test_nothing_of_it_is_on_disk_in_the_clear(folder: SealedFolder):
    data = b"\xff\xd8\xff a face " * 20_000
    key = await put(folder, data)
    raw = (folder.folder / NAME).read_bytes()
    assert b"a face" not in raw
    assert key not in raw
    assert (folder.folder / NAME).stat().st_mode & 0o777 == 0o600


def chunk(raw: bytes, number: int) -> bytes:
    return raw[HEAD + number * SEALED : HEAD + (number + 1) * SEALED]


@pytest.mark.parametrize(
    "harm",
    [
        lambda raw: raw[:-1],
        lambda raw: raw[:-SEALED],
        lambda raw: raw[: HEAD + 2 * SEALED],
        lambda raw: raw[: HEAD + 5],
        lambda raw: raw[:HEAD],
        lambda raw: b"",
        lambda raw: raw + b"x",
        lambda raw: raw + raw[HEAD : HEAD + SEALED],
        lambda raw: b"X" + raw[1:],
        lambda raw: raw[:HEAD] + chunk(raw, 1) + chunk(raw, 0) + raw[HEAD + 2 * SEALED :],
        lambda raw: raw[:HEAD] + raw[HEAD + SEALED :],
        lambda raw: raw[:1000] + bytes([raw[1000] ^ 1]) + raw[1001:],
    ],
)  # fmt: skip
async def test_what_was_altered_cut_off_or_exchanged_does_not_open(folder: SealedFolder, harm):
    key = await put(folder, secrets.token_bytes(3 * CHUNK + 5))
    path = folder.folder / NAME
    path.write_bytes(harm(path.read_bytes()))
    with pytest.raises(SealBroken):
        await read(folder, key)


async def test_a_file_opens_under_its_own_key_name_and_site_alone(folder: SealedFolder):
    key = await put(folder, b"one")
    other = await put(folder, b"two", "0b3c7f8e-45a2-4f0e-9a52-3f6f1c1f7f12.zip")
    for wrong in (other, b"", key[:-1]):
        with pytest.raises(SealBroken):
            await read(folder, wrong)
    elsewhere = SealedFolder(folder.folder, FakeSiteKeys())
    with pytest.raises(SealBroken):
        await read(elsewhere, key)
    assert await read(folder, key) == b"one"


async def test_what_is_abandoned_destroyed_or_swept_is_gone(folder: SealedFolder):
    writer = await folder.begin(NAME)
    await writer.write(bytes(200_000))
    await writer.abandon()
    await writer.abandon()
    assert [*folder.folder.iterdir()] == []
    key = await put(folder, b"x")
    await put(folder, b"y", "a.csv")
    assert await folder.keep_only(frozenset({NAME})) == 1
    await folder.destroy(NAME)
    await folder.destroy(NAME)
    with pytest.raises(InvalidInput) as gone:
        await read(folder, key)
    assert gone.value.code == "file_gone"


async def test_a_disk_that_fills_up_is_left_some_room(tmp_path: Path):
    left = [5_000_000_000]
    folder = SealedFolder(tmp_path / "uploads", FakeSiteKeys(), free=lambda _path: left[0])
    writer = await folder.begin(NAME)
    await writer.write(bytes(CHUNK * 2))
    left[0] = 10
    with pytest.raises(Unavailable) as full:
        await writer.write(bytes(CHUNK * 300))
    assert full.value.code == "disk_full"
    await writer.abandon()
    assert [*folder.folder.iterdir()] == []


@pytest.mark.parametrize("name", ["../x.zip", "/etc/passwd", "x", "", ".zip", "a/b.zip", "a.zip\n"])
async def test_no_name_leads_elsewhere(folder: SealedFolder, name: str):
    with pytest.raises(InvariantBroken):
        await folder.begin(name)

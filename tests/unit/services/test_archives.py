"""ZIP files: good ones of every make are read, bad ones refused before anything is unpacked."""

import io
import shutil
import subprocess
import tracemalloc
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.errors import InvalidInput
from gateway.domain.imports import StaffLine
from gateway.services.imports import archive
from gateway.services.imports.photos import Folder, PhotoBook
from tests.fakes.bad_zips import JPEG, bad_zips, packed, wide

BAD = list(bad_zips())
MOST_MEMORY = 4_000_000


def read_all(data: bytes) -> dict[str, bytes]:
    checked = archive.check(io.BytesIO(data))
    return {name: checked.read(name) for name in checked.names()}


def unpack(file: io.BytesIO, *, seen_late: bool) -> None:
    checked = archive.check(file)
    assert seen_late, "taken, though its directory is bad"
    for name in checked.names():  # what the directory does not show, unpacking does
        checked.read(name)


@pytest.mark.parametrize(("what", "data", "code"), BAD, ids=[what for what, _, _ in BAD])
def test_a_bad_archive_is_refused_with_its_reason_in_little_memory(what: str, data: bytes, code: str):
    file = io.BytesIO(data)
    tracemalloc.start()
    try:
        with pytest.raises(InvalidInput) as refused:
            unpack(file, seen_late=not code)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert refused.value.code == (code or "zip_damaged")
    assert len(str(refused.value)) < 300
    assert peak < MOST_MEMORY


def test_there_are_enough_bad_ones():
    assert len(BAD) >= 60
    assert len({code for _, _, code in BAD}) >= 15


class Unseekable(io.RawIOBase):
    def __init__(self) -> None:
        self.data = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data) -> int:
        self.data += data
        return len(data)


def fill(made: zipfile.ZipFile) -> None:
    made.writestr("1.jpg", JPEG)
    made.writestr("photos/Jürgen-2.jpg", JPEG[::-1])
    made.mkdir("empty")
    with made.open("wide.jpg", "w", force_zip64=True) as file:
        file.write(b"wide")


GOOD = {"1.jpg": JPEG, "photos/Jürgen-2.jpg": JPEG[::-1], "wide.jpg": b"wide"}


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_archives_are_read_as_they_are_commonly_made(method: int):
    assert read_all(packed(method=method, fill=fill)) == GOOD
    streamed = Unseekable()
    with zipfile.ZipFile(streamed, "w", method) as made:
        fill(made)
    assert read_all(bytes(streamed.data)) == GOOD
    assert read_all(wide(packed(method=method, fill=fill))) == GOOD
    assert read_all(packed()) == {}


@pytest.mark.skipif(shutil.which("zip") is None, reason="needs Info-ZIP")
def test_archives_of_info_zip_are_read(tmp_path: Path):
    (tmp_path / "ä b").mkdir()
    (tmp_path / "ä b" / "1.jpg").write_bytes(JPEG)
    (tmp_path / "2.jpg").write_bytes(JPEG * 20)
    subprocess.run(["zip", "-qr", "a.zip", "ä b", "2.jpg"], cwd=tmp_path, check=True)
    assert read_all((tmp_path / "a.zip").read_bytes()) == {"ä b/1.jpg": JPEG, "2.jpg": JPEG * 20}
    piped = subprocess.run(
        ["zip", "-q", "-", "2.jpg"], cwd=tmp_path, check=True, stdout=subprocess.PIPE
    ).stdout
    assert read_all(piped) == {"2.jpg": JPEG * 20}


_GOOD_BYTES = packed(("1.jpg", JPEG), ("2.jpg", JPEG[::-1]))


@given(st.lists(st.tuples(st.integers(0, len(_GOOD_BYTES) - 1), st.integers(0, 255)), min_size=1, max_size=6))
def test_an_altered_archive_gives_what_was_in_it_or_a_refusal(changes: list[tuple[int, int]]):
    data = bytearray(_GOOD_BYTES)
    for at, value in changes:
        data[at] = value
    try:
        found = read_all(bytes(data))
    except InvalidInput:
        return
    assert set(found.values()) <= {JPEG, JPEG[::-1]}


def test_forty_thousand_entries_are_checked_in_flat_memory():
    data = packed(*((f"{i}.jpg", b"x") for i in range(40_000)), method=zipfile.ZIP_STORED)
    file = io.BytesIO(data)
    tracemalloc.start()
    try:
        assert len(list(archive.check(file).names())) == 40_000
        assert tracemalloc.get_traced_memory()[1] < 80_000_000
    finally:
        tracemalloc.stop()
    with zipfile.ZipFile(file, "a") as one_more:
        one_more.writestr("one-more.jpg", b"x")
    with pytest.raises(InvalidInput) as refused:
        archive.check(file)
    assert refused.value.code == "zip_too_many"


def test_reads_from_several_threads_do_not_mix():
    files = {f"{i}.jpg": bytes([i]) * 300_000 + JPEG for i in range(8)}
    checked = archive.check(io.BytesIO(packed(*files.items(), method=zipfile.ZIP_STORED)))
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(checked.read, [*files] * 20))
    assert found == [*files.values()] * 20


def line(number: str, *photos: str) -> StaffLine:
    return StaffLine(line=2, number=number, photos=photos)


def book(*names: str, numbers: tuple[str, ...] = ("E1", "E1-2", "E2")) -> PhotoBook:
    return PhotoBook.of(archive.check(io.BytesIO(packed(*((n, JPEG) for n in names)))), numbers)


def test_photographs_are_found_by_the_number():
    found = book(
        "PHOTOS/E1.jpg", "PHOTOS/E1-10.JPG", "PHOTOS/E1-3.png", "E1-2.jpg", "x/E2/front.webp", "E1.txt",
        "__MACOSX/PHOTOS/._E1.jpg", "PHOTOS/.E1.jpg", "E9.jpg",
    )  # fmt: skip
    assert found.of_line(line("E1")) == ("PHOTOS/E1.jpg", "PHOTOS/E1-3.png", "PHOTOS/E1-10.JPG")
    assert found.of_line(line("E1-2")) == ("E1-2.jpg",)
    assert found.of_line(line("E2")) == ("x/E2/front.webp",)
    assert found.of_line(line("E3")) == ()


def test_photographs_are_found_by_their_names():
    found = book("PHOTOS/a/1.jpg", "PHOTOS/b/1.jpg", "PHOTOS/2.jpg")
    assert found.of_line(line("E1", "a/1.jpg", "2.jpg")) == ("PHOTOS/a/1.jpg", "PHOTOS/2.jpg")
    for name, code in (
        ("1.jpg", "photo_ambiguous"),
        ("3.jpg", "photo_missing"),
        ("../2.jpg", "photo_missing"),
    ):
        with pytest.raises(InvalidInput) as refused:
            found.of_line(line("E1", name))
        assert refused.value.code == code


def test_links_in_a_folder_lead_nowhere(tmp_path: Path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "E1.jpg").write_bytes(b"not yours")
    root = tmp_path / "PHOTOS"
    root.mkdir()
    (root / "E1.jpg").symlink_to(outside / "E1.jpg")
    (root / "E2").symlink_to(outside)
    (root / "E3.jpg").write_bytes(JPEG)
    folder = Folder(root)
    assert list(folder.names()) == ["E3.jpg"]
    assert folder.read("E3.jpg") == JPEG
    with pytest.raises(InvalidInput):
        folder.read("E1.jpg")

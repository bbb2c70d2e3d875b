"""The migration files: their names, numbers and checksums."""

from pathlib import Path

import pytest

from gateway.domain.errors import InvariantBroken
from gateway.storage.migrate import Migration, read


def put(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).write_text(f"-- {name}\n")
    return folder


def test_reads_them_in_order(tmp_path: Path) -> None:
    found = read(put(tmp_path, "0002_b.sql", "0001_a.sql", "notes.txt"))
    assert [(m.number, m.name) for m in found] == [(1, "0001_a.sql"), (2, "0002_b.sql")]
    assert found[0].sha256 != found[1].sha256


def test_the_shipped_ones_are_in_order() -> None:
    assert [m.number for m in read()] == list(range(1, len(read()) + 1))


@pytest.mark.parametrize(
    "names",
    [
        ("0001_a.sql", "0003_c.sql"),
        ("0002_b.sql",),
        ("0001_a.sql", "0001_b.sql"),
        ("1_a.sql",),
        ("0001-a.sql",),
    ],
    ids=str,
)
def test_gaps_doubles_and_strange_names_are_told(tmp_path: Path, names: tuple[str, ...]) -> None:
    with pytest.raises(InvariantBroken, match="migrations"):
        read(put(tmp_path, *names))


def test_the_checksum_is_of_the_text_however_lines_end(tmp_path: Path) -> None:
    (tmp_path / "0001_a.sql").write_bytes(b"SELECT 1;\r\nSELECT 2;\r\n")
    assert read(tmp_path)[0].sha256 == Migration(1, "0001_a.sql", "SELECT 1;\nSELECT 2;\n").sha256

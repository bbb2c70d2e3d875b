"""The rows of a CSV file as spreadsheets write it (RFC 4180 and its common variants). Blocking.

UTF-8 with or without a byte order mark, or Windows-1252; comma, semicolon or tab; any line end. Whatever the
bytes are, the only error is InvalidInput, and memory stays within one line.
"""

import codecs
import csv
import io
import itertools
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from gateway.domain.errors import InvalidInput
from gateway.domain.imports import COLUMNS, MOST_CSV_BYTES, MOST_LINE_CHARS, MOST_LINES
from gateway.services.imports.cells import plain

_SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab"}
_PIECE = 1 << 18
_OTHER_KINDS = {
    b"PK\x03\x04": "an Excel workbook or a ZIP",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"%PDF": "a PDF",
    b"\xff\xd8\xff": "a JPEG picture",
    b"\x89PNG": "a PNG picture",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
    b"\x1f\x8b": "a gzip archive",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """How a file is to be read, found out by reading all of it once."""

    encoding: str
    """``utf-8`` or ``windows-1252``."""
    separator: str
    columns: tuple[str, ...]
    rows: int
    """Rows with something in them, the column names not counted."""

    @property
    def note(self) -> str:
        """What was found out, in words."""
        return f"read as {self.encoding}, cells separated by {_SEPARATORS[self.separator]}"


def survey(file: BinaryIO) -> Sheet:
    """Read a whole file for what is wrong with it as a file. Raises InvalidInput naming line and remedy."""
    encoding = _encoding(file)
    separator, columns = _header(file, encoding)
    count = sum(1 for _ in _rows(file, encoding, separator)) - 1
    if count == 0:
        raise InvalidInput("the file has column names and no people under them", code="csv_empty")
    return Sheet(encoding=encoding, separator=separator, columns=columns, rows=count)


def rows(file: BinaryIO, sheet: Sheet) -> Iterator[tuple[int, list[str]]]:
    """Row number as a spreadsheet shows it, and its cells; empty rows are left out."""
    found = _rows(file, sheet.encoding, sheet.separator)
    next(found)
    return found


def _encoding(file: BinaryIO) -> str:
    """Windows-1252 only where nothing speaks for UTF-8: a damaged file is not read as another one."""
    if file.seek(0, os.SEEK_END) > MOST_CSV_BYTES:
        raise InvalidInput(
            f"the file has more than {MOST_CSV_BYTES // 10**6} MB; divide it", code="csv_too_large"
        )
    file.seek(0)
    start = file.read(4)
    for magic, kind in _OTHER_KINDS.items():
        if start.startswith(magic):
            raise InvalidInput(f"this is {kind}, not a CSV file; save it as CSV UTF-8", code="not_csv")
    file.seek(0)
    foreign = international = number = 0
    utf8 = codecs.getincrementaldecoder("utf-8")()
    while line := file.readline(_PIECE):
        number += 1
        if not line.isascii() or utf8.getstate()[0]:
            if _decodes(utf8, line):
                international = international or number
            else:
                foreign = foreign or number
                _check_windows(line, number)
    if utf8.getstate()[0]:
        foreign = foreign or number
    if foreign and international:
        raise InvalidInput(
            f"line {international} is UTF-8 and line {foreign} is not; save the file as CSV UTF-8",
            code="csv_encoding",
        )
    return "windows-1252" if foreign else "utf-8"


def _decodes(decoder: codecs.IncrementalDecoder, piece: bytes) -> bool:
    """A piece may end within a character: the decoder keeps the rest."""
    try:
        decoder.decode(piece)
    except UnicodeDecodeError:
        decoder.reset()
        return False
    return True


def _check_windows(piece: bytes, number: int) -> None:
    try:
        piece.decode("windows-1252")
    except UnicodeDecodeError:
        raise InvalidInput(
            f"line {number} is neither UTF-8 nor Windows-1252; save the file as CSV UTF-8",
            code="csv_encoding",
        ) from None


def _header(file: BinaryIO, encoding: str) -> tuple[str, tuple[str, ...]]:
    """The separator under which most column names are known ones."""
    best: tuple[str, tuple[str, ...]] = ("", ())
    malformed: InvalidInput | None = None
    for separator in _SEPARATORS:
        try:
            names = _names(file, encoding, separator)
        except InvalidInput as error:  # quoted names, read with another separator than theirs
            malformed = error
            continue
        if not best[1] or _known(names) > _known(best[1]):
            best = separator, names
    if not best[1] and malformed is not None:
        raise malformed
    if not best[1]:
        raise InvalidInput("the first line must hold the names of the columns", code="csv_no_header")
    _check_names(best[1])
    return best


def _names(file: BinaryIO, encoding: str, separator: str) -> tuple[str, ...]:
    first = next(_rows(file, encoding, separator), None)
    if first is None or first[0] != 1:
        return ()
    return tuple("_".join(name.casefold().replace("-", " ").split()) for name in first[1])


def _known(names: tuple[str, ...]) -> int:
    return len(set(COLUMNS) & set(names))


def _check_names(names: tuple[str, ...]) -> None:
    if not _known(names):  # perhaps there are none, and these are people: not to be quoted
        raise InvalidInput(
            f"the first line holds no known column name; known are {', '.join(COLUMNS)}",
            code="csv_unknown_column",
        )
    unknown = [f"{name[:40]!r}" for name in names if name not in COLUMNS]
    if unknown:
        more = f" and {len(unknown) - 8} more" if len(unknown) > 8 else ""
        raise InvalidInput(
            f"unknown columns: {', '.join(unknown[:8])}{more}; known are {', '.join(COLUMNS)}",
            code="csv_unknown_column",
        )
    if len(set(names)) != len(names):
        double = sorted({n for n in names if names.count(n) > 1})
        raise InvalidInput(f"columns that are there twice: {', '.join(double)}", code="csv_double_column")
    if "number" not in names:
        raise InvalidInput(
            'the column "number" is missing: it says whom a line is about', code="csv_no_number"
        )


def _rows(file: BinaryIO, encoding: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not empty, with their numbers."""
    file.seek(0)
    text = io.TextIOWrapper(
        _Kept(file), encoding="utf-8-sig" if encoding == "utf-8" else encoding, newline=""
    )
    lines = _Lines(text)
    reader = csv.reader(lines, delimiter=separator, strict=True)
    found = 0
    for read in itertools.count():
        if read % 16 == 0:
            time.sleep(0)  # lets the event loop in
        lines.begin()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise InvalidInput(
                f"row {lines.row}: {error}; a quotation mark may be missing or too many", code="csv_malformed"
            ) from None
        except UnicodeDecodeError:
            raise InvalidInput(f"row {lines.row}: not {encoding} text", code="csv_encoding") from None
        if any(cell.strip() for cell in cells):
            found += 1
            if found > MOST_LINES + 1:
                raise InvalidInput(f"more than {MOST_LINES} people; divide the file", code="csv_too_long")
            yield lines.row, [plain(cell) for cell in cells]


class _Kept(io.BufferedReader):
    """A reader over a file that stays open when the text reader is thrown away."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(_Through(file))


class _Through(io.RawIOBase):
    """Reads through to a file, and never closes it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "bytearray | memoryview") -> int:  # type: ignore[override]
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


class _Lines:
    """Physical lines for the csv reader, with a bound on what one row may take."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._text = text
        self.row = 0
        self._chars = 0

    def begin(self) -> None:
        """Another row."""
        self.row += 1
        self._chars = 0

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self._text.readline(MOST_LINE_CHARS + 1)
        self._chars += len(line)
        if self._chars > MOST_LINE_CHARS:
            raise InvalidInput(
                f"row {self.row} has more than {MOST_LINE_CHARS} characters; a quotation mark may be missing",
                code="csv_line_too_long",
            )
        if not line:
            raise StopIteration
        return line

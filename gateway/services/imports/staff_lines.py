"""What the rows of a staff file say, each checked with all its faults. Blocking."""

import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import BinaryIO

from gateway.domain.consent import How
from gateway.domain.imports import (
    MOST_PHOTOS,
    SEPARATOR,
    ConsentNote,
    Fault,
    StaffLine,
    Value,
)
from gateway.domain.people import PersonStatus
from gateway.domain.staff import TEXTS
from gateway.services.imports import csv_lines
from gateway.services.imports.csv_lines import Sheet

_YES = frozenset({"yes", "true", "1", "y"})
_NO = frozenset({"no", "false", "0", "n", ""})
_KEYS = ("number", "user_name", "external_id")
"""Of these each person has their own."""
_NO_EDGES = (*_KEYS, "email")
_UNSEEN = frozenset({"Cc", "Cs", "Zl", "Zp"})


@dataclass(slots=True)
class _Row:
    """One row on its way to a line."""

    cells: Mapping[str, str]
    values: dict[str, Value] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def wrong(self, code: str, message: str) -> None:
        """Note a fault."""
        self.faults.append(Fault(code, message))

    def text(self, column: str) -> str:
        """A cell without the spaces around it; empty where the file lacks the column."""
        return self.cells.get(column, "").strip()


def read(file: BinaryIO, sheet: Sheet) -> Iterator[StaffLine]:
    """All lines in order. Raises InvalidInput when the file is no longer what was surveyed."""
    seen: dict[tuple[str, str], int] = {}
    for number, cells in csv_lines.rows(file, sheet):
        yield _not_twice(_line(number, cells, sheet), seen)


def _line(number: int, cells: list[str], sheet: Sheet) -> StaffLine:
    row = _Row(dict(zip(sheet.columns, cells, strict=False)))
    if len(cells) != len(sheet.columns):
        row.wrong(
            "wrong_cells",
            f"{len(cells)} cells under {len(sheet.columns)} column names; "
            "a separator inside a cell needs quotation marks around the cell",
        )
    for column in TEXTS:
        if column in row.cells:
            _take_text(row, column)
    _take_extended(row)
    _take_status(row)
    _take_profiles(row)
    photos = _photos(row)
    consent = _consent(row)
    who = row.values.pop("number", None)
    return StaffLine(
        line=number,
        number=who if isinstance(who, str) else "",
        values=row.values,
        photos=photos,
        consent=consent,
        faults=tuple(row.faults),
    )


def _take_text(row: _Row, column: str) -> None:
    value = row.cells[column]
    if not value.strip():
        value = ""
    if not value and column in {"number", "name"}:
        if column == "number" or not _joined_name(row):
            row.wrong(f"no_{column}", f"{column}: must not be empty")
        elif _joined_name(row):
            row.values["name"] = _joined_name(row)
        return
    if len(value) > TEXTS[column]:
        row.wrong("bad_text", f"{column}: has {len(value)} characters, {TEXTS[column]} are allowed")
        return
    if any(unicodedata.category(c) in _UNSEEN for c in value):
        row.wrong("bad_text", f"{column}: holds a line break or control character; take it out")
        return
    if column in _NO_EDGES and value != value.strip():
        row.wrong("bad_text", f"{column}: has spaces around it; take them away")
        return
    if column == "email" and value and not _like_an_address(value):
        row.wrong("bad_email", "email: not an address; write it as name@example.org")
        return
    row.values[column] = value or None


def _joined_name(row: _Row) -> str:
    return " ".join(filter(None, (row.text("given_name"), row.text("family_name"))))[: TEXTS["name"]]


def _like_an_address(value: str) -> bool:
    local, at, host = value.rpartition("@")
    return bool(local and at and host) and not any(c.isspace() for c in value)


def _take_extended(row: _Row) -> None:
    if "extended" not in row.cells:
        return
    said = row.text("extended").casefold()
    if said in _YES or said in _NO:
        row.values["extended"] = said in _YES
    else:
        row.wrong("bad_extended", "extended: write yes or no")


def _take_status(row: _Row) -> None:
    said = row.text("status").casefold()
    if not said:
        return
    try:
        row.values["status"] = PersonStatus(said)
    except ValueError:
        row.wrong("bad_status", f"status: write {', '.join(PersonStatus)}")


def _take_profiles(row: _Row) -> None:
    if "profiles" not in row.cells:
        return
    names = _parts(row.text("profiles"))
    if any(len(n) > 64 or not n.isprintable() for n in names):
        row.wrong("no_such_profile", "profiles: write the keys of access profiles, as staff, with | between")
        return
    row.values["profiles"] = frozenset(names)


def _photos(row: _Row) -> tuple[str, ...]:
    names = _parts(row.text("photos"))
    if len(names) > MOST_PHOTOS:
        row.wrong("too_many_photos", f"photos: {len(names)} are named, {MOST_PHOTOS} are allowed")
    if len(set(names)) != len(names):
        row.wrong("double_photo", "photos: the same file is named twice")
    if any("\\" in n or n.startswith("/") or ".." in n.split("/") for n in names):
        row.wrong("bad_photo_name", "photos: name files inside the archive or folder, with / between folders")
    return names


def _parts(text: str) -> tuple[str, ...]:
    return tuple(filter(None, (part.strip() for part in text.split(SEPARATOR))))


def _consent(row: _Row) -> ConsentNote | None:
    version, given, how = (row.text(c) for c in ("consent_version", "consent_given_on", "consent_how"))
    if not (version or given or how):
        return None
    if not (version and given and how):
        row.wrong(
            "consent_incomplete",
            "consent_version, consent_given_on and consent_how: give all three, or none",
        )
        return None
    if len(version) > 64 or not version.isprintable():
        row.wrong("bad_consent", "consent_version: write the version of a consent text of this site")
    try:
        day = date.fromisoformat(given) if len(given) == 10 else None
    except ValueError:
        day = None
    if day is None:
        row.wrong("bad_consent", "consent_given_on: write a day as 2026-03-31")
    if how.casefold() not in set(How):
        row.wrong("bad_consent", f"consent_how: write {', '.join(How)}")
    if row.faults or day is None:
        return None
    return ConsentNote(version=version, given_on=day, how=How(how.casefold()))


def _not_twice(line: StaffLine, seen: dict[tuple[str, str], int]) -> StaffLine:
    """The first line with a number stands; any later one is refused, and says which was first."""
    faults = []
    for key in _KEYS:
        value = line.number if key == "number" else line.values.get(key)
        if not isinstance(value, str) or not value:
            continue
        entry = (key, value.casefold() if key == "user_name" else value)
        first = seen.setdefault(entry, line.line)
        if first != line.line:
            faults.append(Fault(f"double_{key}", f"{key}: the same as in row {first} of this file"))
    return replace(line, faults=(*line.faults, *faults)) if faults else line

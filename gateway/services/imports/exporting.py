"""People out again, as an import takes them in: the same lines, and on request the kept photographs."""

import asyncio
import csv
import io
import zipfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from gateway.domain.accounts import Actor
from gateway.domain.enrolment import PhotographEntry
from gateway.domain.ids import PersonId
from gateway.domain.imports import COLUMNS, PERSON_COLUMNS, SEPARATOR, ConsentNote
from gateway.domain.query import Query
from gateway.domain.staff import StaffRecord
from gateway.ports import Clock
from gateway.services.imports.cells import harmless
from gateway.services.imports.desks import ConsentNotes, StaffDesk
from gateway.services.imports.given import STAFF_IN_ARCHIVE
from gateway.services.witness import Acted

_PAGE = 200
_BOM = "﻿"
"""Without it the most common spreadsheet takes UTF-8 for Windows-1252."""
_SUFFIX = {"image/jpeg": "jpg", "image/png": "png", "image/webp": "webp"}


class OpenedPhotograph(Protocol):
    """A photograph in the clear."""

    @property
    def data(self) -> bytes:
        """The encoded picture."""
        ...

    @property
    def media_type(self) -> str:
        """``image/jpeg``, ``image/png`` or ``image/webp``."""
        ...


class KeptPhotographs(Protocol):
    """``services.enrolment.Photographs``: every look is on record."""

    async def entries(self, person_id: PersonId) -> Sequence[PhotographEntry]:
        """What is kept of a person, unopened."""
        ...

    async def read(self, actor: Actor, person_id: PersonId, photograph_id: str) -> OpenedPhotograph:
        """Open one."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Exporting:
    """The use cases behind ``facegate people export`` and ``GET /export``."""

    staff: StaffDesk
    consents: ConsentNotes
    photographs: KeptPhotographs
    clock: Clock
    acted: Acted

    async def lines(self, actor: Actor) -> AsyncIterator[bytes]:
        """A CSV file, in parts; UTF-8 with a byte order mark, every cell quoted."""
        await self._told(actor, "csv", photographs=False)
        yield _line(COLUMNS, first=True)
        async for person in self._people():
            yield _line(await self._cells(person, ()))

    async def archive(self, actor: Actor, *, photographs: bool) -> AsyncIterator[bytes]:
        """A ZIP file, in parts: ``staff.csv``, and with ``photographs`` those that are kept."""
        await self._told(actor, "zip", photographs=photographs)
        made = _Archive(self.clock.now())
        lines = bytearray(_line(COLUMNS, first=True))
        async for person in self._people():
            names = []
            if photographs:
                for entry in await self.photographs.entries(person.person_id):
                    opened = await self.photographs.read(actor, person.person_id, entry.photograph_id)
                    name = f"photos/{entry.photograph_id}.{_SUFFIX.get(opened.media_type, 'jpg')}"
                    yield await asyncio.to_thread(made.add, name, opened.data)
                    names.append(name)
            lines += _line(await self._cells(person, names))
        yield await asyncio.to_thread(made.add, STAFF_IN_ARCHIVE, bytes(lines), pack=True)
        yield made.end()

    async def _people(self) -> AsyncIterator[StaffRecord]:
        query = Query(sort="number", limit=_PAGE)
        while True:
            page = await self.staff.find(query)
            for person in page.people:
                yield person
            if page.last is None:
                return
            query = Query(sort="number", limit=_PAGE, after=page.last)

    async def _cells(self, person: StaffRecord, photos: Sequence[str]) -> list[str]:
        cells = {name: _text(getattr(person, name)) for name in PERSON_COLUMNS}
        note = await self.consents.in_force(person.person_id) if person.consented else None
        cells |= {"photos": SEPARATOR.join(photos)} | _consent_cells(note)
        return [cells[name] for name in COLUMNS]

    async def _told(self, actor: Actor, form: str, *, photographs: bool) -> None:
        await self.acted(actor, "people.export", after={"form": form, "photographs": photographs})


class _Sink(io.RawIOBase):
    """Takes what is written until it is fetched; says that it cannot be rewound."""

    def __init__(self) -> None:
        self._data = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: "bytes | bytearray | memoryview") -> int:  # type: ignore[override]
        self._data += data
        return len(data)

    def fetch(self) -> bytes:
        """What came since the last time."""
        data = bytes(self._data)
        self._data.clear()
        return data


@dataclass(slots=True)
class _Archive:
    """A ZIP that leaves as it is made."""

    at: datetime
    _sink: _Sink = field(default_factory=_Sink)
    _zip: zipfile.ZipFile = field(init=False)

    def __post_init__(self) -> None:
        self._zip = zipfile.ZipFile(self._sink, "w")

    def add(self, name: str, data: bytes, *, pack: bool = False) -> bytes:
        """Put a file in; returns what is ready to be sent. Blocking."""
        info = zipfile.ZipInfo(name, self.at.timetuple()[:6])
        info.external_attr = 0o100600 << 16
        info.compress_type = zipfile.ZIP_DEFLATED if pack else zipfile.ZIP_STORED
        self._zip.writestr(info, data)
        return self._sink.fetch()

    def end(self) -> bytes:
        """The directory."""
        self._zip.close()
        return self._sink.fetch()


def _line(cells: Sequence[str], *, first: bool = False) -> bytes:
    out = io.StringIO(_BOM if first else "")
    out.seek(0, io.SEEK_END)
    csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerow([harmless(c) for c in cells])
    return out.getvalue().encode()


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, frozenset):
        return SEPARATOR.join(sorted(value))
    return str(value)


def _consent_cells(note: ConsentNote | None) -> dict[str, str]:
    return {
        "consent_version": note.version if note else "",
        "consent_given_on": note.given_on.isoformat() if note else "",
        "consent_how": note.how.value if note else "",
    }

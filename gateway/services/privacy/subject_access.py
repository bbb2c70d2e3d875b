"""Everything that is held about one person, as one ZIP, made while it is sent (GDPR art. 15 and 20).

Photographs are opened one at a time into the stream: at no moment is one on a disk in the clear.
"""

import asyncio
import json
import zipfile
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from gateway.domain.accounts import Actor
from gateway.domain.enrolment import PhotographEntry, Purpose
from gateway.domain.errors import InvalidInput, SealBroken
from gateway.domain.events import Json
from gateway.domain.holdings import Holdings
from gateway.domain.ids import PersonId
from gateway.ports import Clock, PhotographStore, Sealer
from gateway.ports.privacy import HoldingsStore
from gateway.services.privacy.held_data import DATA, README, everything, picture_name, readme
from gateway.services.privacy.zip_stream import ZipStream
from gateway.services.witness import Acted

_NOT_THEIRS = ("address",)
"""Of an operator's action: where the operator sat is the operator's own data."""
_UNREADABLE = "This photograph is held, but its seal does not open any more; nobody can see it.\n"


class Opens(Protocol):
    """Opens what the record holds sealed; ``services.witness.Record.open``."""

    def __call__(self, wrapped_key: bytes, person_id: PersonId, sealed: str) -> dict[str, Json]:
        """Raises SealBroken."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectAccess:
    """The use case behind the export of one person."""

    store: HoldingsStore
    photographs: PhotographStore
    sealer: Sealer
    opens: Opens
    acted: Acted
    clock: Clock

    async def export(self, actor: Actor, person_id: PersonId) -> AsyncIterator[bytes]:
        """The ZIP as it comes. That somebody looked is on record before the first byte.

        Raises InvalidInput (code "no_such_person"), DatabaseUnavailable, JournalUnavailable.
        """
        held = await self.store.holdings(person_id)
        await self.acted(
            actor, "person.export", person_id=person_id, after={"photographs": len(held.photographs)}
        )
        stream = ZipStream()
        with stream.archive as archive:
            archive.writestr(README, readme(held, self.clock.now()))
            async for _ in self._data(archive, held):
                yield stream.taken()
            for number, entry in enumerate(held.photographs, 1):
                await self._picture(archive, held, entry, number)
                yield stream.taken()
        yield stream.taken()

    async def _data(self, archive: zipfile.ZipFile, held: Holdings) -> AsyncIterator[None]:
        """``data.json``, its events page by page: years of them need no more memory than a day's."""
        head = json.dumps(everything(held, self.clock.now()), ensure_ascii=False, indent=1)
        with archive.open(DATA, "w") as file:
            file.write(head.removesuffix("\n}").encode() + b',\n "events": [')
            between = b"\n"
            async for page in self.store.events(held.person.person_id):
                await asyncio.to_thread(self._write, file, page, held, between)
                between = b",\n"
                yield
            file.write(b"\n ]\n}\n")

    def _write(self, file: Any, page: Sequence[Mapping[str, Any]], held: Holdings, before: bytes) -> None:
        lines = (json.dumps(self._event(event, held), ensure_ascii=False) for event in page)
        file.write(before + ",\n".join(lines).encode())

    def _event(self, event: Mapping[str, Any], held: Holdings) -> Mapping[str, Any]:
        """An event as its person may see it, with the values that were sealed in it."""
        data = {name: value for name, value in event["data"].items() if name not in _NOT_THEIRS}
        sealed = data.pop("sealed", None)
        if isinstance(sealed, str):
            try:
                data["changed"] = self.opens(held.wrapped_key, held.person.person_id, sealed)
            except (SealBroken, ValueError):
                data["changed"] = None  # of a key that is no more
        return {**event, "data": data}

    async def _picture(
        self, archive: zipfile.ZipFile, held: Holdings, entry: PhotographEntry, number: int
    ) -> None:
        """One photograph; one that was destroyed since the export began is not held any more."""
        try:
            found, key = await self.photographs.get(held.person.person_id, entry.photograph_id)
        except InvalidInput:
            return
        name = picture_name(entry, number)

        def add() -> None:
            try:
                plain = self.sealer.open_as(
                    key, held.person.person_id, Purpose.PHOTOGRAPH, found.photograph_id, found.sealed
                )
            except SealBroken:
                archive.writestr(f"{name}.txt", _UNREADABLE)
            else:
                archive.writestr(name, plain, zipfile.ZIP_STORED)  # compressed already

        await asyncio.to_thread(add)

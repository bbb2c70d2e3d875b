"""An import of the operator's own files, carried out at once by the command that names them."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from gateway.domain.accounts import Actor
from gateway.domain.imports import ImportRecord, NewImport
from gateway.ports import ImportStore
from gateway.services.imports.given import Given, from_disk
from gateway.services.imports.importing import Importing, Progress, already_running
from gateway.services.witness import Acted

BY_COMMAND = "(command)"
"""Stands for the gateway that holds the files: none does, and no gateway is called so."""


@dataclass(frozen=True, slots=True)
class CommandImport:
    """The use case behind ``facegate people import``."""

    store: ImportStore
    importing: Importing
    acted: Acted

    async def run(
        self,
        actor: Actor,
        staff: Path,
        photos: Path | None,
        *,
        dry_run: bool,
        begun: Callable[[ImportRecord], Progress],
    ) -> ImportRecord:
        """Import, or go on with what the same command began and could not finish.

        ``begun`` is told of the import, and gives back whom to tell of each line. Raises InvalidInput,
        Rejected (code "import_running"), Unavailable: then the same command goes on later.
        """
        async with _opened(staff, photos) as given, self.store.only_one() as mine:
            if not mine:
                raise already_running()
            record = await self._registered(actor, given, dry_run=dry_run)
            progress = begun(record)

            @contextlib.asynccontextmanager
            async def files(_record: ImportRecord) -> AsyncIterator[Given]:
                yield given

            return await self.importing.carry_out(record, files, progress)

    async def _registered(self, actor: Actor, given: Given, *, dry_run: bool) -> ImportRecord:
        digest = await asyncio.to_thread(_digest, given)
        for other in await self.store.unfinished(BY_COMMAND):
            if (other.digest, other.dry_run) == (digest, dry_run):
                return other
            # Only one runs at a time, and that is us: whoever began this one is gone.
            await self.store.cancel(other.import_id)
        new = NewImport(
            import_id=str(uuid4()),
            created_by=actor.id,
            address=actor.address,
            gateway_id=BY_COMMAND,
            dry_run=dry_run,
            total=given.sheet.rows,
            notes=given.notes,
            digest=digest,
        )
        await self.acted(
            actor, "import.begin", target=new.import_id, after={"dry_run": dry_run, "lines": new.total}
        )
        return await self.store.register(new)


@contextlib.asynccontextmanager
async def _opened(staff: Path, photos: Path | None) -> AsyncIterator[Given]:
    files = from_disk(staff, photos)
    given = await asyncio.to_thread(files.__enter__)
    try:
        yield given
    finally:
        await asyncio.to_thread(files.__exit__, None, None, None)


def _digest(given: Given) -> bytes:
    """Of the lines and of which photographs there are; blocking."""
    found = hashlib.sha256()
    given.staff.seek(0)
    while block := given.staff.read(1 << 16):
        found.update(block)
    for name in given.pictures.names():
        found.update(b"\0" + name.encode("utf-8", "surrogateescape"))
    return found.digest()

"""Imports over the API: taken in sealed, carried out one after the other in the background."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import BinaryIO, Self
from uuid import uuid4

import structlog

from gateway.domain.accounts import Actor
from gateway.domain.errors import GatewayError, InvalidInput, Rejected
from gateway.domain.imports import (
    MOST_CSV_BYTES,
    REPORTS_KEPT,
    ImportRecord,
    LineResult,
    LineState,
    NewImport,
)
from gateway.ports import ImportStore, SealedFiles, SealedWriter
from gateway.services.imports.given import Given, examine
from gateway.services.imports.importing import Importing
from gateway.services.imports.zip_layout import MOST_BYTES, MOST_DIRECTORY
from gateway.services.witness import Acted

_log = structlog.get_logger(__name__)

_LOOK_S = 3.0
_TURN_S = 2.0
STAFF, PHOTOS = "staff", "photos"
_MOST = {STAFF: MOST_CSV_BYTES, PHOTOS: MOST_BYTES + MOST_DIRECTORY}
_TOO_LARGE = {STAFF: "csv_too_large", PHOTOS: "zip_too_large"}
_SUFFIX = {STAFF: "csv", PHOTOS: "zip"}


@dataclass(slots=True, kw_only=True)
class Imports:
    """The use cases behind the import routes; ``run`` is owned by the application's task group."""

    store: ImportStore
    files: SealedFiles
    importing: Importing
    gateway_id: str
    acted: Acted
    look_s: float = _LOOK_S
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _uploading: asyncio.Lock = field(default_factory=asyncio.Lock)
    _seen: dict[str, frozenset[str]] = field(default_factory=dict)

    def upload(self) -> "Upload":
        """An upload, to be used as an ``async with`` block. One at a time: the disk is the journal's too."""
        return Upload(self)

    async def get(self, import_id: str) -> ImportRecord:
        """One import. Raises InvalidInput (code "no_such_import")."""
        return await self.store.get(import_id)

    async def recent(self, limit: int, before: str | None) -> Sequence[ImportRecord]:
        """Newest first."""
        return await self.store.recent(limit, before)

    async def lines(
        self, import_id: str, after: int, limit: int, state: LineState | None
    ) -> Sequence[LineResult]:
        """Part of the report."""
        return await self.store.lines(import_id, after, limit, state)

    async def cancel(self, actor: Actor, import_id: str) -> ImportRecord:
        """Stop before the next line; what is done stays done."""
        found = await self.store.cancel(import_id)
        await self.acted(actor, "import.cancel", target=import_id, after={"done": found.done})
        self._wake.set()
        return found

    async def run(self) -> None:
        """Carry out what waits, until cancelled. An import that was under way goes on where it was."""
        swept = False
        while True:
            try:
                if not swept:
                    await self._sweep()
                    swept = True
                await self._turn()
            except GatewayError as error:  # the database is away, or a disk: later, then
                _log.warning("imports_wait", code=error.code)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.look_s):  # wait_for loses a cancel that comes with the news
                    await self._wake.wait()
            self._wake.clear()

    async def _turn(self) -> None:
        """One look at what there is to do, and the doing of it."""
        await self.store.forget(REPORTS_KEPT)
        todo = await self.store.unfinished(self.gateway_id)
        await self._forget(frozenset(r.import_id for r in todo))
        self._seen |= {r.import_id: frozenset(r.files) for r in todo}
        if not todo:
            return
        async with self.store.only_one() as mine:
            if mine:
                await self.importing.carry_out(
                    todo[0], lambda record: self.opened(record.import_id, record.files)
                )
                self._wake.set()

    async def _forget(self, unfinished: frozenset[str]) -> None:
        for import_id in [i for i in self._seen if i not in unfinished]:
            for name in self._seen.pop(import_id):
                await self.files.destroy(name)

    async def _sweep(self) -> None:
        """Files of uploads that a crash ended. Not while one arrives: its import is not registered yet."""
        async with self._uploading:
            todo = await self.store.unfinished(self.gateway_id)
            swept = await self.files.keep_only(frozenset(name for r in todo for name in r.files))
        if swept:
            _log.info("uploads_destroyed", count=swept)

    @contextlib.asynccontextmanager
    async def opened(self, import_id: str, keys: Mapping[str, bytes]) -> AsyncIterator[Given]:
        """Both files of an upload, checked. Raises InvalidInput, SealBroken, Unavailable."""
        async with contextlib.AsyncExitStack() as opened:

            async def file(kind: str) -> BinaryIO | None:
                name = _name(import_id, kind)
                if name not in keys:
                    return None
                found = await self.files.open(name, keys[name])
                opened.callback(found.close)
                return found

            yield await asyncio.to_thread(examine, await file(STAFF), await file(PHOTOS))


class Upload:
    """Files on their way in. Left without ``register``, nothing of them stays."""

    def __init__(self, imports: Imports) -> None:
        """An upload to one gateway."""
        self._imports = imports
        self._import_id = str(uuid4())
        self._writers: dict[str, SealedWriter] = {}
        self._keys: dict[str, bytes] = {}
        self._registered = False

    async def __aenter__(self) -> Self:
        try:
            async with asyncio.timeout(_TURN_S):
                await self._imports._uploading.acquire()  # noqa: SLF001  # one thing in two parts
        except TimeoutError:
            raise Rejected(
                "another upload is under way; try again when it is done", code="upload_running"
            ) from None
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if not self._registered:
                for writer in self._writers.values():
                    await writer.abandon()
        finally:
            self._imports._uploading.release()  # noqa: SLF001

    async def put(self, kind: str, chunks: AsyncIterator[bytes]) -> None:
        """Take a file in. Raises InvalidInput (too large, given twice), Unavailable (code "disk_full")."""
        name = _name(self._import_id, kind)
        if name in self._writers:
            raise InvalidInput(f"{kind}: given twice; give it once", code="bad_upload")
        writer = self._writers[name] = await self._imports.files.begin(name)
        size, start = 0, b""
        async for chunk in chunks:
            size += len(chunk)
            start = start if len(start) >= 4 else start + chunk[:4]
            if size > _MOST[kind]:
                raise InvalidInput(
                    f"{kind}: larger than {_MOST[kind] // 10**6} MB; divide it", code=_TOO_LARGE[kind]
                )
            if kind == PHOTOS and len(start) >= 4 and not start.startswith(b"PK"):
                raise InvalidInput("photos: not a ZIP file", code="zip_damaged")
            await writer.write(chunk)
        self._keys[name] = await writer.finish()

    async def register(self, actor: Actor, *, dry_run: bool) -> ImportRecord:
        """Check both as files; then the import waits for its turn. Raises InvalidInput, Rejected."""
        imports = self._imports
        given = await self._examined()
        new = NewImport(
            import_id=self._import_id,
            created_by=actor.id,
            address=actor.address,
            gateway_id=imports.gateway_id,
            dry_run=dry_run,
            total=given.sheet.rows,
            notes=given.notes,
            digest=b"",
            files=dict(self._keys),
        )
        await imports.acted(
            actor, "import.begin", target=self._import_id, after={"dry_run": dry_run, "lines": new.total}
        )
        record = await imports.store.register(new)
        self._registered = True
        imports._wake.set()  # noqa: SLF001
        return record

    async def _examined(self) -> Given:
        async with self._imports.opened(self._import_id, self._keys) as given:
            return given


def _name(import_id: str, kind: str) -> str:
    return f"{import_id}.{_SUFFIX[kind]}"

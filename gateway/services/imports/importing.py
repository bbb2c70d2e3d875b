"""An import carried out: line after line, at any time from where it was left."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TypeVar
from uuid import uuid4

import structlog

from gateway.domain.accounts import Actor
from gateway.domain.errors import GatewayError, Rejected, Unavailable
from gateway.domain.imports import ImportRecord, ImportState, LineResult, LineState, StaffLine
from gateway.ports import Clock, ImportStore
from gateway.services.imports import staff_lines
from gateway.services.imports.desks import Desks
from gateway.services.imports.given import Given
from gateway.services.imports.known_faces import KnownFaces
from gateway.services.imports.one_line import LineWork, PhotoCheck, Prepared
from gateway.services.witness import Acted

_log = structlog.get_logger(__name__)

T = TypeVar("T")
_BATCH = 100
_PAUSES_S = (0.2, 1.0, 3.0, 10.0, 30.0)
"""Before a line is tried again while the database or the journal is away; then the import is left to be
taken up later."""

Files = Callable[[ImportRecord], AbstractAsyncContextManager[Given]]
"""Opens what was given for an import. Raises InvalidInput, SealBroken, Unavailable."""
Progress = Callable[[LineResult], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Importing:
    """Carries imports out. Whoever calls holds ``ImportStore.only_one``."""

    store: ImportStore
    desks: Desks
    rehearsed: Desks
    """The same, of which nothing is put on record: for a dry run, which takes back what it did."""
    check: PhotoCheck
    faces: Callable[[], KnownFaces]
    clock: Clock
    acted: Acted
    pauses_s: tuple[float, ...] = _PAUSES_S

    async def carry_out(
        self, record: ImportRecord, files: Files, progress: Progress = lambda _result: None
    ) -> ImportRecord:
        """Do what is not done yet; returns the import as it is then: done, failed or cancelled.

        Raises Unavailable when the database stays away: the import can be taken up again then.
        """
        runner = str(uuid4())
        try:
            done = await self.store.start(record.import_id, runner)
            async with files(record) as given:
                notes = await self._lines(record, runner, given, done, progress)
            await self._told(record, "import.finish")
            await self.store.finish(record.import_id, runner, ImportState.DONE, notes=notes)
        except Unavailable:
            raise
        except GatewayError as error:
            if error.code != "import_over":
                _log.error("import_failed", import_id=record.import_id, code=error.code)
                await self.store.finish(
                    record.import_id, runner, ImportState.FAILED, code=error.code, why=str(error)
                )
        return await self.store.get(record.import_id)

    async def _lines(
        self, record: ImportRecord, runner: str, given: Given, done: frozenset[int], progress: Progress
    ) -> list[str]:
        """All lines but those done; returns what is worth noting in the end."""
        faces = self.faces()
        await self._patiently(faces.refresh)
        work = LineWork(
            import_id=record.import_id,
            runner=runner,
            actor=Actor(id=record.created_by, roles=frozenset(), address=record.address),
            rehearsal=record.dry_run,
            store=self.store,
            desks=self.rehearsed if record.dry_run else self.desks,
            check=self.check,
            faces=faces,
            book=await asyncio.to_thread(given.book),
            today=self.clock.now().date(),
        )
        lines = _Lines(given, work.photographs, done)
        async with contextlib.aclosing(self._prepared(work, lines)) as ready:
            async for prepared in ready:
                progress(await self._patiently(partial(work.do, prepared)))
        unused = len(work.book.paths) - lines.photographs
        return [f"{unused} photographs belong to nobody in the staff file"] if unused > 0 else []

    async def _prepared(self, work: LineWork, lines: "_Lines") -> AsyncGenerator[Prepared, None]:
        """Lines in order; while one is written the next one's photographs are judged."""
        waiting: asyncio.Task[Prepared] | None = None
        try:
            async for line in lines.undone():
                last = await waiting if waiting is not None else None
                waiting = asyncio.create_task(self._patiently(partial(work.prepare, line)))
                if last is not None:
                    yield last
            if waiting is not None:
                yield await waiting
        finally:
            if waiting is not None:
                waiting.cancel()
                await asyncio.gather(waiting, return_exceptions=True)

    async def _patiently(self, work: Callable[[], Awaitable[T]]) -> T:
        """Wait for a database or journal that is away."""
        for pause in self.pauses_s:
            try:
                return await work()
            except Unavailable as error:
                _log.warning("import_waits", code=error.code, seconds=pause)
                await asyncio.sleep(pause)
        return await work()

    async def _told(self, record: ImportRecord, action: str) -> None:
        now = await self.store.get(record.import_id)
        await self.acted(
            Actor(id=record.created_by, roles=frozenset(), address=record.address),
            action,
            target=record.import_id,
            after={
                "dry_run": record.dry_run,
                "lines": record.total,
                **{state.value: now.counts.get(state, 0) for state in LineState},
            },
        )


@dataclass(slots=True)
class _Lines:
    """The staff file's lines, read in a thread, some at a time."""

    given: Given
    of_line: Callable[[StaffLine], int]
    done: frozenset[int]
    photographs: int = 0
    """How many of those given have an owner, of the lines read so far."""

    async def undone(self) -> AsyncIterator[StaffLine]:
        """All lines but those done."""
        lines = staff_lines.read(self.given.staff, self.given.sheet)
        while batch := await asyncio.to_thread(lambda: list(islice(lines, _BATCH))):
            for line in batch:
                self.photographs += self.of_line(line)
                if line.line not in self.done:
                    yield line


def already_running() -> Rejected:
    """Another import has the lock."""
    return Rejected("another import is running; wait for it, or cancel it", code="import_running")

"""What an import of people needs from outside."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import BinaryIO, Protocol

from gateway.domain.ids import ModelId, PersonId
from gateway.domain.imports import (
    ImportRecord,
    ImportState,
    LineResult,
    LineState,
    NewImport,
)


class ImportStore(Protocol):
    """Imports and what became of their lines."""

    async def register(self, new: NewImport) -> ImportRecord:
        """A new import, waiting. Raises Rejected (code "too_many_imports")."""
        ...

    async def get(self, import_id: str) -> ImportRecord:
        """One import. Raises InvalidInput (code "no_such_import")."""
        ...

    async def recent(self, limit: int, before: str | None = None) -> Sequence[ImportRecord]:
        """Newest first; ``before`` is the id of the last one already seen."""
        ...

    async def unfinished(self, gateway_id: str) -> Sequence[ImportRecord]:
        """Waiting or running ones whose files this gateway holds, oldest first."""
        ...

    def only_one(self) -> AbstractAsyncContextManager[bool]:
        """Whether this is now the only import that runs, on any gateway; until the block ends."""
        ...

    async def start(self, import_id: str, runner: str) -> frozenset[int]:
        """``runner`` carries the import out from now on; whoever did before is stopped at their next line.

        Returns the lines that are done: none of a dry run, which starts anew. Raises Rejected
        (code "import_over").
        """
        ...

    def person(self, import_id: str, runner: str, *, keep: bool) -> AbstractAsyncContextManager[None]:
        """One transaction over all stores of this database, the roster locked from its start.

        Without ``keep`` it is taken back at its end: all checks were made, and nothing happened.
        Raises Rejected (code "import_over") when the import was cancelled or taken over.
        """
        ...

    async def note(self, import_id: str, runner: str, result: LineResult) -> None:
        """What became of a line; inside ``person``, of its transaction. Raises as ``person``."""
        ...

    async def lines(
        self, import_id: str, after: int, limit: int, state: LineState | None = None
    ) -> Sequence[LineResult]:
        """Part of the report, by line. Raises InvalidInput (code "no_such_import")."""
        ...

    async def finish(
        self,
        import_id: str,
        runner: str,
        state: ImportState,
        *,
        notes: Sequence[str] = (),
        code: str | None = None,
        why: str | None = None,
    ) -> None:
        """The end. An import that is over stays as it is."""
        ...

    async def forget(self, older_than: timedelta) -> int:
        """Delete imports that ended so long ago, with their reports; how many."""
        ...

    async def cancel(self, import_id: str) -> ImportRecord:
        """Stop before the next line. Raises InvalidInput ("no_such_import"), Rejected ("import_over")."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTemplate:
    """A template of anybody, still sealed."""

    template_id: int
    """Goes up: a later template has a higher one."""
    person_id: PersonId
    number: str
    wrapped_key: bytes
    sealed: bytes


class TemplateFeed(Protocol):
    """Templates as they come, for a copy in memory that is never read anew."""

    async def templates_after(self, model_id: ModelId, after: int, limit: int) -> Sequence[StoredTemplate]:
        """Those of one model with a higher id, in order."""
        ...

    async def has_template(self, template_id: int) -> bool:
        """Whether it is still there."""
        ...


class SealedWriter(Protocol):
    """A file being sealed while it arrives."""

    async def write(self, data: bytes) -> None:
        """More of it. Raises Unavailable (code "disk_full")."""
        ...

    async def finish(self) -> bytes:
        """On disk; returns its wrapped key."""
        ...

    async def abandon(self) -> None:
        """Away with it. Idempotent."""
        ...


class SealedFiles(Protocol):
    """Files on this gateway's disk that only the site's key opens."""

    async def begin(self, name: str) -> SealedWriter:
        """A new file. ``name``: letters, digits, hyphens, dots."""
        ...

    async def open(self, name: str, wrapped_key: bytes) -> BinaryIO:
        """For reading, at any place. Raises SealBroken, also while reading; InvalidInput ("file_gone")."""
        ...

    async def destroy(self, name: str) -> None:
        """Idempotent."""
        ...

    async def keep_only(self, names: frozenset[str]) -> int:
        """Destroy all others; returns how many there were."""
        ...

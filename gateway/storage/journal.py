"""The gateway's own durable, chained record: the asyncio side of ``JournalFile``.

One thread owns the file. Appends that wait together share one commit; each returns after it.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from gateway.domain.errors import JournalUnavailable, Rejected
from gateway.domain.events import Event, EventDraft
from gateway.domain.ids import GatewayId
from gateway.storage.journal_file import JournalFile
from gateway.storage.records import Row, checked

T = TypeVar("T")

_MOST_AT_ONCE = 256
"""Appends in one commit: bounds how long the first of them waits for the last."""


@dataclass(slots=True)
class _Waiting:
    drafts: tuple[EventDraft, ...]
    done: asyncio.Future[tuple[Event, ...]]


@dataclass(slots=True)
class SqliteJournal:
    """``ports.Journal``. Made by ``open``; one process at a time."""

    _file: JournalFile
    _thread: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="journal")
    )
    _waiting: list[_Waiting] = field(default_factory=list)
    _committer: asyncio.Task[None] | None = None
    _closed: bool = False

    @classmethod
    async def open(cls, path: Path, gateway_id: GatewayId, *, check_tail: bool = True) -> "SqliteJournal":
        """Open or create.

        ``check_tail=False`` is for an auditor, who walks the whole chain and tells what is wrong with it.
        Raises JournalUnavailable, Rejected (another owner or gateway id), InvariantBroken.
        """
        journal = cls(JournalFile(path, gateway_id, check_tail))
        try:
            await journal._call(journal._file.open)
        except BaseException:
            await journal.close()
            raise
        return journal

    async def close(self) -> None:
        """Wait for what is being written, then let go. Idempotent."""
        while self._committer is not None:
            await asyncio.wait([self._committer])
        if not self._closed:
            self._closed = True
            await asyncio.get_running_loop().run_in_executor(self._thread, self._file.close)
            self._thread.shutdown(wait=False)

    async def append(self, *drafts: EventDraft) -> tuple[Event, ...]:
        """Chain and store, all or none; returns after fsync.

        An unlock_outcome appended once more, because its commit seemed to fail, is the event it already is.
        Raises JournalUnavailable; InvalidInput for a draft that cannot be stored; Rejected (code
        "duplicate_event") for a second intent or another outcome of a grant.
        """
        waiting = _Waiting(
            tuple(checked(draft) for draft in drafts), asyncio.get_running_loop().create_future()
        )
        self._waiting.append(waiting)
        if self._committer is None:
            self._committer = asyncio.create_task(self._commit_all(), name="journal-commit")
        # Cancelling one caller must not take the commit from the others.
        return await asyncio.shield(waiting.done)

    async def open_grants(self) -> tuple[Event, ...]:
        """access_granted events without an unlock_outcome, oldest first."""
        return await self._call(self._file.open_grants)

    async def unforwarded(self, limit: int) -> tuple[tuple[Event, bytes], ...]:
        """Oldest events not yet marked as forwarded, with their canonical bytes, in order."""
        return await self._call(lambda: self._file.unforwarded(limit))

    async def mark_forwarded(self, seq: int) -> None:
        """Everything up to and including ``seq`` is in the event store; never moves back."""
        await self._call(lambda: self._file.mark_forwarded(seq))

    @property
    def forwarded(self) -> int:
        """Highest sequence number that is in the event store, as far as was noted here."""
        return self._file.forwarded

    async def backlog(self) -> int:
        """How many events are not yet marked as forwarded. Reads no disk."""
        return self._file.head[0] - self._file.forwarded

    async def head(self) -> tuple[int, bytes]:
        """Newest sequence number and hash; (0, GENESIS) when empty."""
        return self._file.head

    async def rows(self, after: int = 0, limit: int = 1000) -> tuple[Row, ...]:
        """The next rows after a sequence number, for verification."""
        return await self._call(lambda: self._file.rows(after, limit))

    async def _commit_all(self) -> None:
        """Commit whatever waits, in one transaction at a time, until nothing does."""
        batch: list[_Waiting] = []
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:_MOST_AT_ONCE], self._waiting[_MOST_AT_ONCE:]
                await self._commit(batch)
        finally:
            self._committer = None
            # Only a cancelled loop or a bug leaves any: nobody may wait for ever.
            for waiting in (*batch, *self._waiting):
                _fail(waiting, JournalUnavailable("the journal was stopped"))
            self._waiting = []

    async def _commit(self, batch: list[_Waiting]) -> None:
        try:
            written = await self._call(lambda: self._file.write([w.drafts for w in batch]))
        except Exception as error:  # noqa: BLE001  # handed to every caller, hidden from none
            for waiting in batch:
                _fail(waiting, error)
            return
        for waiting, result in zip(batch, written, strict=True):
            if isinstance(result, Rejected):
                _fail(waiting, result)
            elif not waiting.done.done():
                waiting.done.set_result(result)

    async def _call(self, work: Callable[[], T]) -> T:
        """Run on the journal's thread."""
        if self._closed:
            raise JournalUnavailable(f"journal {self._file.path} is closed")
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _fail(waiting: _Waiting, error: Exception) -> None:
    if not waiting.done.done():
        waiting.done.set_exception(error)
        waiting.done.exception()  # a caller that was cancelled meanwhile is no reason to warn

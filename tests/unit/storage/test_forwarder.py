"""The forwarder, on fakes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence

import pytest
import structlog

from gateway.domain.errors import ConfigError, DatabaseUnavailable, InvariantBroken
from gateway.domain.events import Event
from gateway.services import forwarder as module
from gateway.services.forwarder import BATCH, Forwarder
from tests.fakes.drafts import GATEWAY, chained, draft
from tests.fakes.event_store import FakeEventStore
from tests.fakes.journal import FakeJournal


class Counting(FakeEventStore):
    def __init__(self) -> None:
        super().__init__()
        self.calls: list[int] = []

    async def store(self, events: Sequence[tuple[Event, bytes]]) -> None:
        self.calls.append(len(events))
        await super().store(events)


@pytest.fixture
def journal() -> FakeJournal:
    return FakeJournal()


@pytest.fixture
def store() -> Counting:
    return Counting()


@pytest.fixture
async def forwarder(journal: FakeJournal, store: Counting) -> AsyncIterator[Forwarder]:
    """Running, with short waits."""
    forwarder = Forwarder(journal, store, first_wait_s=0.01, longest_wait_s=0.04)
    task = asyncio.create_task(forwarder.run(), name="forwarder")
    yield forwarder
    assert not task.done()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.005)


async def test_it_ends_when_told_so_even_as_news_comes(journal: FakeJournal, store: Counting) -> None:
    forwarder = Forwarder(journal, store)
    task = asyncio.create_task(forwarder.run())
    await asyncio.sleep(0.05)
    forwarder.poke()
    await asyncio.sleep(0)
    task.cancel()
    ended, _ = await asyncio.wait({task}, timeout=5)
    task.cancel()
    assert ended


async def test_forwards_what_is_there_in_order_and_in_batches(journal: FakeJournal, store: Counting) -> None:
    await journal.append(*(draft() for _ in range(2 * BATCH + 1)))
    forwarder = Forwarder(journal, store)
    assert await forwarder.lag() == 2 * BATCH + 1
    await forwarder.flush()
    assert store.calls == [BATCH, BATCH, 1]
    assert store.chains[GATEWAY] == journal.events
    assert await forwarder.lag() == 0
    await forwarder.flush()
    assert len(store.calls) == 3


async def test_a_poke_wakes_it_at_once(
    journal: FakeJournal, store: Counting, forwarder: Forwarder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LOOK_S", 60.0)
    forwarder.poke()
    await asyncio.sleep(0.05)  # from here on it rests for a minute
    await journal.append(draft())
    await asyncio.sleep(0.05)
    assert store.calls == []
    forwarder.poke()
    await until(lambda: forwarder.journal.forwarded == 1)  # type: ignore[attr-defined]


async def test_looks_by_itself_when_nobody_pokes(
    journal: FakeJournal, store: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LOOK_S", 0.02)
    task = asyncio.create_task(Forwarder(journal, store).run(), name="forwarder")
    await asyncio.sleep(0.03)
    await journal.append(draft())
    await until(lambda: journal.forwarded == 1)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_waits_while_the_database_is_away_and_says_so_once(
    journal: FakeJournal, store: Counting, forwarder: Forwarder
) -> None:
    store.away = True
    with structlog.testing.capture_logs() as said:
        await journal.append(draft())
        forwarder.poke()
        await until(lambda: len(store.calls) >= 4)
        assert forwarder.database_away
        assert isinstance(forwarder.trouble, DatabaseUnavailable)
        assert await forwarder.lag() == 1
        assert forwarder.behind_s > 0
        store.away = False
        await until(lambda: not forwarder.database_away)
    assert [s["event"] for s in said] == ["events_wait_in_the_journal", "events_forwarded_again"]
    assert store.chains[GATEWAY] == journal.events


async def test_waits_grow_to_a_cap_with_jitter(
    journal: FakeJournal, store: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.away = True
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 200:
            raise asyncio.CancelledError

    monkeypatch.setattr(module.asyncio, "sleep", sleep)
    await journal.append(draft())
    with pytest.raises(asyncio.CancelledError):
        await Forwarder(journal, store).run()
    assert max(waits) <= module.LONGEST_WAIT_S
    assert 0.5 * module.FIRST_WAIT_S <= waits[0] <= module.FIRST_WAIT_S
    late = waits[20:]
    assert min(late) >= module.LONGEST_WAIT_S / 2
    assert len(set(late)) > 100


async def test_a_ledger_that_disagrees_is_an_error_that_ends_nothing(
    journal: FakeJournal, store: Counting, forwarder: Forwarder
) -> None:
    store.chains[GATEWAY] = chained(1)
    with structlog.testing.capture_logs() as said:
        await journal.append(draft())
        forwarder.poke()
        await until(lambda: len(store.calls) >= 3)
    assert isinstance(forwarder.trouble, InvariantBroken)
    assert [(s["log_level"], s["code"]) for s in said] == [("error", "ledger_differs")]
    assert await forwarder.lag() == 1


async def test_a_database_that_cannot_be_used_any_more_ends_nothing(journal: FakeJournal) -> None:
    """The embedded server's folder was closed, or the file with the URL spoilt, while the gateway runs."""

    class Spoilt(FakeEventStore):
        async def store(self, events: Sequence[tuple[Event, bytes]]) -> None:
            if self.away:
                raise ConfigError("state_folder: closed")
            await super().store(events)

    store = Spoilt()
    store.away = True
    await journal.append(draft())
    forwarder = Forwarder(journal, store, first_wait_s=0.01, longest_wait_s=0.02)
    with structlog.testing.capture_logs() as said:
        task = asyncio.create_task(forwarder.run(), name="forwarder")
        await until(lambda: forwarder.trouble is not None)
        store.away = False
        await until(lambda: journal.forwarded == 1)
    assert not task.done()
    assert (said[0]["log_level"], said[0]["code"]) == ("error", "config_invalid")
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_a_batch_is_marked_only_after_it_is_stored(journal: FakeJournal, store: Counting) -> None:
    await journal.append(*(draft() for _ in range(3)))
    store.away = True
    with pytest.raises(DatabaseUnavailable):
        await Forwarder(journal, store).flush()
    assert journal.forwarded == 0

"""What every journal keeps to."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.domain.errors import InvalidInput, InvariantBroken, Rejected
from gateway.domain.events import GENESIS, EventDraft, EventKind, canonical, link, verify_chain
from gateway.domain.ids import GatewayId
from gateway.ports import Journal
from gateway.storage.journal import SqliteJournal
from tests.fakes.drafts import AT, draft, intent, new_grant, outcome
from tests.fakes.journal import FakeJournal

GATEWAY = GatewayId("gateway-1")


class JournalContract(ABC):
    """Subclass it and give the fixture; the tests are inherited."""

    @pytest.fixture
    @abstractmethod
    async def journal(self) -> Journal: ...

    async def test_starts_empty(self, journal: Journal) -> None:
        assert await journal.open_grants() == ()
        assert await journal.unforwarded(10) == ()
        assert await journal.backlog() == 0

    async def test_chains_events_from_the_first(self, journal: Journal) -> None:
        first, second = await journal.append(draft(), draft())
        (third,) = await journal.append(draft())
        assert [e.seq for e in (first, second, third)] == [1, 2, 3]
        assert first.prev_hash == GENESIS
        assert (second.prev_hash, third.prev_hash) == (first.hash, second.hash)
        kept = await journal.unforwarded(10)
        assert [e for e, _ in kept] == [first, second, third]
        for event, body in kept:
            assert body == canonical(GATEWAY, event.seq, event.event_id, event.draft)
            assert event.hash == link(event.prev_hash, body)
        assert verify_chain((e.seq, body, e.prev_hash, e.hash) for e, body in kept) is None

    async def test_gives_back_what_was_appended(self, journal: Journal) -> None:
        grant = new_grant()
        facts = intent(
            grant, data={"score": 0.71, "list": [1, None, True], "text": "Tür ✓", "deep": {"a": {}}}
        )
        (event,) = await journal.append(facts)
        ((kept, _),) = await journal.unforwarded(1)
        assert event.draft == facts == kept.draft

    async def test_a_later_change_to_the_data_changes_nothing(self, journal: Journal) -> None:
        data: dict = {"list": [1]}
        (event,) = await journal.append(draft(data=data))
        data["list"].append(2)
        assert event.draft.data == {"list": [1]}

    async def test_all_or_none(self, journal: Journal) -> None:
        grant = new_grant()
        await journal.append(intent(grant))
        with pytest.raises(Rejected):
            await journal.append(draft(), intent(grant))
        with pytest.raises(InvalidInput):
            await journal.append(draft(), draft(data={"x": float("nan")}))
        assert await journal.backlog() == 1
        (event,) = await journal.append(draft())
        assert event.seq == 2

    @pytest.mark.parametrize(
        "bad",
        [
            draft(data={"x": float("nan")}),
            draft(data={"x": float("inf")}),
            draft(data={"x": object()}),
            draft(data={"x": b"bytes"}),
            draft(data={1: "a key must be text"}),
            draft(data={"x": (1, 2)}),
            draft(data={"x": "y" * 70_000}),
            draft(at=datetime(2026, 3, 1)),  # noqa: DTZ001
            draft(EventKind.ACCESS_GRANTED),
            draft(EventKind.UNLOCK_OUTCOME),
        ],
        ids=lambda d: f"{d.kind.value}-{str(dict(d.data))[:24]}",
    )
    async def test_refuses_what_cannot_be_stored(self, journal: Journal, bad: EventDraft) -> None:
        with pytest.raises(InvalidInput) as refused:
            await journal.append(bad)
        assert refused.value.code == "bad_event"
        assert await journal.backlog() == 0

    async def test_text_that_utf8_cannot_hold_is_recorded_nevertheless(self, journal: Journal) -> None:
        (event,) = await journal.append(draft(data={"file": "a\udcff"}))
        assert event.draft.data == {"file": "a?"}

    async def test_open_grants_are_intents_without_outcome(self, journal: Journal) -> None:
        grants = [new_grant() for _ in range(4)]
        for grant in grants:
            await journal.append(intent(grant))
        await journal.append(outcome(grants[2]))
        await journal.append(outcome(grants[0]))
        assert [e.draft.grant_id for e in await journal.open_grants()] == [grants[1], grants[3]]

    async def test_one_intent_a_grant(self, journal: Journal) -> None:
        grant = new_grant()
        await journal.append(intent(grant))
        with pytest.raises(Rejected) as refused:
            await journal.append(intent(grant))
        assert refused.value.code == "duplicate_event"

    async def test_one_outcome_a_grant_and_repeating_it_is_no_news(self, journal: Journal) -> None:
        grant = new_grant()
        await journal.append(intent(grant))
        (first,) = await journal.append(outcome(grant))
        assert await journal.append(outcome(grant)) == (first,)
        with pytest.raises(Rejected):
            await journal.append(outcome(grant, data={"outcome": "refused"}))
        assert await journal.backlog() == 2

    async def test_alarms_about_a_grant_may_be_many(self, journal: Journal) -> None:
        grant = new_grant()
        await journal.append(draft(EventKind.ALARM, grant_id=grant), draft(EventKind.ALARM, grant_id=grant))
        assert await journal.backlog() == 2

    async def test_forwarding_goes_on_where_it_was(self, journal: Journal) -> None:
        await journal.append(*(draft() for _ in range(5)))
        assert [e.seq for e, _ in await journal.unforwarded(2)] == [1, 2]
        await journal.mark_forwarded(2)
        assert [e.seq for e, _ in await journal.unforwarded(10)] == [3, 4, 5]
        await journal.mark_forwarded(1)  # never back
        assert await journal.backlog() == 3
        await journal.mark_forwarded(5)
        assert await journal.unforwarded(10) == ()
        assert await journal.backlog() == 0

    async def test_what_is_not_there_cannot_be_forwarded(self, journal: Journal) -> None:
        await journal.append(draft())
        with pytest.raises(InvariantBroken):
            await journal.mark_forwarded(2)
        assert await journal.backlog() == 1

    async def test_a_wall_clock_that_jumps_does_not_change_the_order(self, journal: Journal) -> None:
        hour = timedelta(hours=1)
        times = [AT, AT + hour, AT, AT - hour, datetime(1999, 1, 1, tzinfo=UTC)]
        for at in times:
            await journal.append(draft(at=at))
        kept = [e for e, _ in await journal.unforwarded(10)]
        assert [e.draft.at for e in kept] == times
        assert [e.seq for e in kept] == [1, 2, 3, 4, 5]
        assert len({e.event_id for e in kept}) == 5


class TestFakeJournal(JournalContract):
    @pytest.fixture
    async def journal(self) -> Journal:
        return FakeJournal(GATEWAY)


class TestSqliteJournal(JournalContract):
    @pytest.fixture
    async def journal(self, tmp_path: Path) -> AsyncIterator[Journal]:
        journal = await SqliteJournal.open(tmp_path / "journal.db", GATEWAY)
        yield journal
        await journal.close()

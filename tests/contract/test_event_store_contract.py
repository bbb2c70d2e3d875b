"""What every event store keeps to. Its run on Postgres is in tests/integration/test_storage_contracts.py."""

from abc import ABC, abstractmethod
from dataclasses import replace

import pytest

from gateway.domain.errors import InvariantBroken
from gateway.domain.ids import GatewayId
from gateway.ports import EventStore
from tests.fakes.drafts import chained
from tests.fakes.event_store import FakeEventStore

ONE, TWO = GatewayId("gateway-1"), GatewayId("gateway-2")


class EventStoreContract(ABC):
    """Subclass it and give the fixture; the tests are inherited."""

    @pytest.fixture
    @abstractmethod
    async def store(self) -> EventStore: ...

    async def test_starts_empty(self, store: EventStore) -> None:
        assert await store.last_seq(ONE) == 0
        await store.store([])
        assert await store.last_seq(ONE) == 0

    async def test_keeps_each_gateways_chain_apart(self, store: EventStore) -> None:
        await store.store(chained(3, gateway=ONE))
        await store.store(chained(2, gateway=TWO))
        assert (await store.last_seq(ONE), await store.last_seq(TWO)) == (3, 2)

    async def test_what_is_there_is_skipped(self, store: EventStore) -> None:
        events = chained(6)
        await store.store(events[:4])
        await store.store(events[:4])
        await store.store(events[1:3])
        assert await store.last_seq(ONE) == 4
        await store.store(events[2:])
        assert await store.last_seq(ONE) == 6

    async def test_another_event_under_the_same_number_is_refused(self, store: EventStore) -> None:
        await store.store(chained(3))
        with pytest.raises(InvariantBroken) as refused:
            await store.store(chained(3))  # other ids, so other content
        assert refused.value.code == "ledger_differs"
        assert await store.last_seq(ONE) == 3

    async def test_a_gap_is_refused_and_nothing_of_the_batch_stored(self, store: EventStore) -> None:
        events = chained(5)
        await store.store(events[:2])
        with pytest.raises(InvariantBroken) as refused:
            await store.store([events[2], events[4]])
        assert refused.value.code == "ledger_gap"
        assert await store.last_seq(ONE) == 2
        with pytest.raises(InvariantBroken):
            await store.store(events[3:])
        assert await store.last_seq(ONE) == 2

    async def test_a_first_event_that_is_not_the_first_is_refused(self, store: EventStore) -> None:
        with pytest.raises(InvariantBroken):
            await store.store(chained(2)[1:])

    async def test_a_chain_that_does_not_link_up_is_refused(self, store: EventStore) -> None:
        mine, other = chained(2), chained(3)
        await store.store(mine)
        with pytest.raises(InvariantBroken) as refused:
            await store.store(other[2:])
        assert refused.value.code == "ledger_differs"
        with pytest.raises(InvariantBroken):
            await store.store(chained(1, gateway=TWO, prev=bytes([1] * 32)))

    async def test_order_within_a_batch_is_kept(self, store: EventStore) -> None:
        with pytest.raises(InvariantBroken):
            await store.store(chained(3)[::-1])
        assert await store.last_seq(ONE) == 0

    async def test_one_gateway_a_batch(self, store: EventStore) -> None:
        with pytest.raises(InvariantBroken) as refused:
            await store.store([*chained(1, gateway=ONE), *chained(1, gateway=TWO)])
        assert refused.value.code == "ledger_mixed"
        assert await store.last_seq(ONE) == await store.last_seq(TWO) == 0

    async def test_a_stored_event_with_other_bytes_is_refused(self, store: EventStore) -> None:
        ((event, body),) = chained(1)
        await store.store([(event, body)])
        with pytest.raises(InvariantBroken):
            await store.store([(event, body + b" ")])
        with pytest.raises(InvariantBroken):
            await store.store([(replace(event, hash=bytes(32)), body)])


class TestFakeEventStore(EventStoreContract):
    @pytest.fixture
    async def store(self) -> EventStore:
        return FakeEventStore()

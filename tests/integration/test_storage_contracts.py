"""The stores' contracts on real Postgres."""

import pytest

from gateway.ports import EventStore, PeopleStore
from gateway.storage.events import PostgresEvents
from gateway.storage.people import PostgresPeople
from gateway.storage.pool import Database
from tests.contract.test_event_store_contract import EventStoreContract
from tests.contract.test_people_store_contract import PeopleStoreContract


class TestPostgresEvents(EventStoreContract):
    @pytest.fixture
    async def store(self, database: Database) -> EventStore:
        return PostgresEvents(database)


class TestPostgresPeople(PeopleStoreContract):
    @pytest.fixture
    async def store(self, database: Database) -> PeopleStore:
        return PostgresPeople(database)

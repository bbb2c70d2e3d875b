"""The stores' contracts on real Postgres."""

import pytest

from gateway.ports import EventStore, PeopleStore
from gateway.storage.events import PostgresEvents
from gateway.storage.people import PostgresPeople
from gateway.storage.photographs import PostgresPhotographs
from gateway.storage.pool import Database
from gateway.storage.templates import PostgresTemplates
from tests.contract.test_event_store_contract import EventStoreContract
from tests.contract.test_people_store_contract import PeopleStoreContract
from tests.contract.test_template_store_contract import Shelf, TemplateStoreContract


class TestPostgresEvents(EventStoreContract):
    @pytest.fixture
    async def store(self, database: Database) -> EventStore:
        return PostgresEvents(database)


class TestPostgresPeople(PeopleStoreContract):
    @pytest.fixture
    async def store(self, database: Database) -> PeopleStore:
        return PostgresPeople(database)


class TestPostgresTemplates(TemplateStoreContract):
    @pytest.fixture
    async def shelf(self, database: Database) -> Shelf:
        templates = PostgresTemplates(database)
        return Shelf(
            people=PostgresPeople(database),
            templates=templates,
            photographs=PostgresPhotographs(database),
            migration=templates,
        )

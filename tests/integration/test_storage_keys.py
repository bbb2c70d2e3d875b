"""Master keys' names and the site's keys on real Postgres."""

import asyncio

import pytest

from gateway.domain.errors import SealBroken
from gateway.ports.keys import MasterKeyStore
from gateway.security.master_key import MasterKey
from gateway.security.site_keys import WrappedSiteKeys
from gateway.security.wrapping import wrap
from gateway.storage.master_keys import PostgresMasterKeys
from gateway.storage.pool import Database
from gateway.storage.site_keys import PostgresSiteKeys
from tests.contract.test_key_store_contract import A, B, KeyStoreContract
from tests.fakes.keys import no_witness

PERSON = "INSERT INTO people (person_id, number, name, wrapped_key) VALUES ($1::text::uuid, $1, 'x', $2)"


class TestPostgresMasterKeys(KeyStoreContract):
    @pytest.fixture
    async def store(self, database: Database) -> MasterKeyStore:
        return PostgresMasterKeys(database)

    async def put(self, store: MasterKeyStore, kind: str, name: str, wrapped: bytes) -> None:
        assert isinstance(store, PostgresMasterKeys)
        if kind == "person":
            async with store.database.transaction() as db:
                await db.execute(PERSON, name, wrapped)
        else:
            await PostgresSiteKeys(store.database).put(name, wrapped)


async def test_a_retirement_waits_for_who_is_wrapping_by_the_key_and_then_counts_them(database: Database):
    store = PostgresMasterKeys(database)
    await store.register_first(A.key_id)
    await store.register_next(B.key_id, no_witness)
    await store.promote(B.key_id, no_witness)
    async with database.transaction() as db:
        await db.execute(
            "INSERT INTO site_keys (name, wrapped) VALUES ('late', $1)", wrap(A, "site", "late", b"x" * 32)
        )
        retiring = asyncio.create_task(store.retire(no_witness))
        await asyncio.sleep(0.2)
        assert not retiring.done()
    assert list(await retiring) == []


async def test_a_key_of_the_site_is_made_once_however_many_ask(database: Database):
    gateways = [WrappedSiteKeys(PostgresSiteKeys(database), A) for _ in range(6)]
    found = await asyncio.gather(*(gateway.key("cards") for gateway in gateways * 3))
    assert len(set(found)) == 1
    assert len(found[0]) == 32
    assert await gateways[0].key("pins") != found[0]
    again = WrappedSiteKeys(PostgresSiteKeys(database), A)
    assert await again.key("cards") == found[0]
    async with database.connection() as db:
        stored = await db.fetch("SELECT * FROM site_keys")
    assert len(stored) == 2
    assert not any(found[0] in row["wrapped"] for row in stored)
    assert found[0].hex() not in repr(again)


async def test_a_key_of_the_site_opens_under_its_own_name_and_master_only(database: Database):
    await WrappedSiteKeys(PostgresSiteKeys(database), A).key("cards")
    with pytest.raises(SealBroken):
        await WrappedSiteKeys(PostgresSiteKeys(database), MasterKey(b"z" * 32)).key("cards")
    async with database.connection() as db:
        await db.execute("UPDATE site_keys SET name = 'pins'")
    with pytest.raises(SealBroken):
        await WrappedSiteKeys(PostgresSiteKeys(database), A).key("pins")

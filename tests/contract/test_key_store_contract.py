"""What every store of master keys' names keeps to; on Postgres in tests/integration/test_storage_keys.py."""

from abc import ABC, abstractmethod
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.domain.errors import DatabaseUnavailable, Rejected
from gateway.domain.keys import UNNAMED, KeyId, KeyState, KeyUse, WrappedKey
from gateway.ports.keys import MasterKeyStore
from gateway.security import boxes
from gateway.security.master_key import MasterKey
from gateway.security.wrapping import (
    NAMELESS,
    KeyWrapping,
    binding,
    master_of,
    wrap,
)
from tests.fakes.keys import FakeKeyStore, no_witness

A, B, C = (MasterKey(bytes([i] * 32)) for i in range(3))


def nameless(key: MasterKey, kind: str, name: str) -> bytes:
    """As keys were wrapped before master keys had names."""
    return boxes.seal(NAMELESS, AESGCM(key.reveal()), b"k" * 32, binding(NAMELESS, kind, name))


class KeyStoreContract(ABC):
    """Subclass it and give the fixture and how a wrapped key comes in; the tests are inherited."""

    @pytest.fixture
    @abstractmethod
    async def store(self) -> MasterKeyStore: ...

    @abstractmethod
    async def put(self, store: MasterKeyStore, kind: str, name: str, wrapped: bytes) -> None: ...

    async def person(self, store: MasterKeyStore, key: MasterKey) -> str:
        name = str(uuid4())
        await self.put(store, "person", name, wrap(key, "person", name, b"p" * 32))
        return name

    async def test_the_first_key_is_named_once(self, store: MasterKeyStore) -> None:
        assert await store.states() == {}
        await store.register_first(A.key_id)
        await store.register_first(B.key_id)
        assert await store.states() == {A.key_id: KeyState.CURRENT}

    async def test_counts_what_is_under_each(self, store: MasterKeyStore) -> None:
        assert await store.usage() == {}
        for key in (A, A, B):
            await self.person(store, key)
        old = str(uuid4())
        await self.put(store, "person", old, nameless(A, "person", old))
        await self.put(store, "site", "cards", wrap(B, "site", "cards", b"s" * 32))
        assert await store.usage() == {
            A.key_id: KeyUse(people=2),
            B.key_id: KeyUse(people=1, site=1),
            UNNAMED: KeyUse(people=1),
        }
        found = await store.sample(UNNAMED)
        assert found is not None
        assert (found.kind, found.name) == ("person", old)
        assert await store.sample(C.key_id) is None

    async def test_goes_through_all_of_them_once(self, store: MasterKeyStore) -> None:
        people = {await self.person(store, A) for _ in range(5)}
        for name in ("cards", "pins", "api"):
            await self.put(store, "site", name, wrap(A, "site", name, b"s" * 32))
        seen: list[WrappedKey] = []
        while page := await store.page(seen[-1] if seen else None, 2):
            assert len(page) <= 2
            seen += page
        assert len(seen) == 8
        assert {k.name for k in seen if k.kind == "person"} == people
        assert {k.name for k in seen if k.kind == "site"} == {"cards", "pins", "api"}
        for key in seen:
            KeyWrapping(A).check(key)

    async def test_a_change_goes_its_way_and_no_other(self, store: MasterKeyStore) -> None:
        told: list[str] = []

        async def witness() -> None:
            told.append("x")

        await store.register_first(A.key_id)
        with pytest.raises(Rejected):
            await store.promote(B.key_id, witness)
        await store.register_next(B.key_id, witness)
        await store.register_next(B.key_id, witness)
        with pytest.raises(Rejected) as busy:
            await store.register_next(C.key_id, witness)
        assert busy.value.code == "rotation_under_way"
        await store.promote(B.key_id, witness)
        await store.promote(B.key_id, witness)
        assert await store.states() == {A.key_id: KeyState.OLD, B.key_id: KeyState.CURRENT}
        with pytest.raises(Rejected):
            await store.register_next(C.key_id, witness)
        assert list(await store.retire(witness)) == [A.key_id]
        assert list(await store.retire(witness)) == []
        assert await store.states() == {A.key_id: KeyState.RETIRED, B.key_id: KeyState.CURRENT}
        assert len(told) == 3
        with pytest.raises(Rejected):  # never again
            await store.register_next(A.key_id, witness)

    async def test_what_cannot_be_recorded_does_not_happen(self, store: MasterKeyStore) -> None:
        async def witness() -> None:
            raise DatabaseUnavailable("no record")

        await store.register_first(A.key_id)
        with pytest.raises(DatabaseUnavailable):
            await store.register_next(B.key_id, witness)
        assert B.key_id not in await store.states()
        await store.register_next(B.key_id, no_witness)
        with pytest.raises(DatabaseUnavailable):
            await store.promote(B.key_id, witness)
        assert (await store.states())[B.key_id] is KeyState.NEXT
        await store.promote(B.key_id, no_witness)
        with pytest.raises(DatabaseUnavailable):
            await store.retire(witness)
        assert (await store.states())[A.key_id] is KeyState.OLD

    async def test_wraps_anew_in_parts_whatever_is_not_under_the_key(self, store: MasterKeyStore) -> None:
        people = [await self.person(store, A) for _ in range(5)]
        await self.put(store, "site", "cards", wrap(A, "site", "cards", b"s" * 32))
        await self.person(store, B)

        def rewrap(key: WrappedKey) -> bytes:
            assert master_of(key.wrapped) == A.key_id
            return wrap(B, key.kind, key.name, b"n" * 32)

        counts = []
        while count := await store.rewrap(B.key_id, 2, rewrap):
            counts.append(count)
        assert max(counts) <= 2
        assert sum(counts) == 6
        assert await store.usage() == {B.key_id: KeyUse(people=6, site=1)}
        assert len(people) == 5

    async def test_a_part_that_fails_changes_nothing(self, store: MasterKeyStore) -> None:
        for _ in range(3):
            await self.person(store, A)
        seen = []

        def rewrap(key: WrappedKey) -> bytes:
            seen.append(key)
            if len(seen) == 3:
                raise DatabaseUnavailable("cut")
            return wrap(B, key.kind, key.name, b"n" * 32)

        with pytest.raises(DatabaseUnavailable):
            await store.rewrap(B.key_id, 10, rewrap)
        assert await store.usage() == {A.key_id: KeyUse(people=3)}

    @pytest.mark.parametrize("last", [A, None])
    async def test_no_key_is_retired_while_something_may_be_under_it(
        self, store: MasterKeyStore, last: MasterKey | None
    ) -> None:
        await store.register_first(A.key_id)
        await store.register_next(B.key_id, no_witness)
        await store.promote(B.key_id, no_witness)
        name = str(uuid4())
        await self.put(
            store, "person", name, wrap(A, "person", name, b"p" * 32) if last else nameless(A, "person", name)
        )
        assert list(await store.retire(no_witness)) == []
        await store.rewrap(B.key_id, 9, lambda key: wrap(B, key.kind, key.name, b"n" * 32))
        assert list(await store.retire(no_witness)) == [A.key_id]

    @pytest.mark.parametrize("kind", ["person", "site"])
    async def test_nothing_is_wrapped_by_a_retired_key(self, store: MasterKeyStore, kind: str) -> None:
        """Or a gateway that is behind would lose somebody with the key that is about to be destroyed."""
        await store.register_first(A.key_id)
        await store.register_next(B.key_id, no_witness)
        await store.promote(B.key_id, no_witness)
        await store.retire(no_witness)
        name = str(uuid4())
        with pytest.raises(DatabaseUnavailable):
            await self.put(store, kind, name, wrap(A, kind, name, b"p" * 32))
        await self.put(store, kind, name, wrap(B, kind, name, b"p" * 32))
        with pytest.raises(DatabaseUnavailable):
            await store.rewrap(KeyId("f" * 16), 1, lambda key: wrap(A, key.kind, key.name, b"p" * 32))

    async def test_nothing_is_wrapped_by_a_key_that_the_database_does_not_know(
        self, store: MasterKeyStore
    ) -> None:
        """As by a gateway that started with another site's key while the database was away."""
        await store.register_first(A.key_id)
        name = str(uuid4())
        with pytest.raises(DatabaseUnavailable) as told:
            await self.put(store, "person", name, wrap(C, "person", name, b"p" * 32))
        assert told.value.code == "master_key_not_in_use"
        assert await store.usage() == {}
        await self.person(store, A)
        assert await store.usage() == {A.key_id: KeyUse(people=1)}

    async def test_a_next_key_can_be_given_up_while_nothing_is_under_it(self, store: MasterKeyStore) -> None:
        await store.register_first(A.key_id)
        with pytest.raises(Rejected) as told:
            await store.give_up(A.key_id, no_witness)
        assert told.value.code == "no_such_key"
        await store.register_next(B.key_id, no_witness)
        name = await self.person(store, B)
        with pytest.raises(Rejected) as told:
            await store.give_up(B.key_id, no_witness)
        assert told.value.code == "key_in_use"
        await store.rewrap(A.key_id, 9, lambda key: wrap(A, key.kind, key.name, b"n" * 32))
        await store.give_up(B.key_id, no_witness)
        await store.give_up(B.key_id, no_witness)
        assert await store.states() == {A.key_id: KeyState.CURRENT, B.key_id: KeyState.RETIRED}
        with pytest.raises(DatabaseUnavailable):
            await self.put(store, "person", name, wrap(B, "person", name, b"p" * 32))
        await store.register_next(C.key_id, no_witness)

    async def test_knows_which_gateway_has_which(self, store: MasterKeyStore) -> None:
        await store.hold("gateway-1", frozenset({A.key_id}))
        await store.hold("gateway-2", frozenset({A.key_id}))
        await store.hold("gateway-1", frozenset({A.key_id, B.key_id}))
        found = await store.holders()
        assert [(h.gateway_id, h.key_ids) for h in found] == [
            ("gateway-1", {A.key_id, B.key_id}),
            ("gateway-2", {A.key_id}),
        ]
        assert found[0].seen_at >= found[1].seen_at


class TestFakeKeyStore(KeyStoreContract):
    @pytest.fixture
    async def store(self) -> MasterKeyStore:
        return FakeKeyStore()

    async def put(self, store: MasterKeyStore, kind: str, name: str, wrapped: bytes) -> None:
        assert isinstance(store, FakeKeyStore)
        store.put(kind, name, wrapped)

"""A gateway says at its start that its key is lost, follows a change, and says what is wrong meanwhile."""

import asyncio
import contextlib

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.domain.errors import ConfigError, DatabaseUnavailable
from gateway.domain.keys import KeyId, KeyState
from gateway.security import boxes
from gateway.security.key_text import Contents
from gateway.security.master_key import MasterKey
from gateway.security.wrapping import NAMELESS, KeyWrapping, binding, wrap
from gateway.services import keys as service
from gateway.services.keys import KeyWatch, admit
from tests.fakes.clock import FakeClock
from tests.fakes.keys import FakeKeyFile, FakeKeyStore, KeyDisk, no_witness

A, B, C = (MasterKey(bytes([i] * 32)) for i in range(3))


def file_of(current: MasterKey, following: MasterKey | None = None, *old: MasterKey) -> FakeKeyFile:
    return FakeKeyFile(KeyDisk(Contents(current, following, old)))


def enrolled(store: FakeKeyStore, key: MasterKey, name: str = "p1") -> None:
    store.put("person", name, wrap(key, "person", name, b"k" * 32))


async def entered(store: FakeKeyStore, file: FakeKeyFile) -> None:
    await admit(store, file, KeyWrapping(file))


async def test_a_new_database_learns_the_key_and_keeps_it() -> None:
    store = FakeKeyStore()
    await entered(store, file_of(A))
    await entered(store, file_of(A))
    assert store.known == {A.key_id: KeyState.CURRENT}


@pytest.mark.parametrize("people", [0, 1])
async def test_another_key_is_told_with_the_file_and_what_to_do(people: int) -> None:
    store = FakeKeyStore()
    await entered(store, file_of(A))
    if people:
        enrolled(store, A)
    with pytest.raises(ConfigError, match=r"the fake key file.*backup") as told:
        await entered(store, file_of(B))
    assert told.value.code == "master_key_wrong"
    assert A.key_id in str(told.value)
    assert store.known == {A.key_id: KeyState.CURRENT}
    await entered(store, file_of(A))


async def test_a_wrong_key_does_not_become_the_key_of_a_database_that_names_none() -> None:
    """Or the right one, put back, would be the wrong one from then on."""
    store = FakeKeyStore()
    enrolled(store, A)
    with pytest.raises(ConfigError):
        await entered(store, file_of(B))
    assert store.known == {}
    await entered(store, file_of(A))
    assert store.known == {A.key_id: KeyState.CURRENT}


async def test_people_from_before_keys_had_names_are_tried() -> None:
    store = FakeKeyStore()
    box = boxes.seal(NAMELESS, AESGCM(A.reveal()), b"k" * 32, binding(NAMELESS, "person", "p"))
    store.put("person", "p", box)
    with pytest.raises(ConfigError, match="does not open") as told:
        await entered(store, file_of(B))
    assert told.value.code == "master_key_wrong"
    assert store.known == {}
    await entered(store, file_of(A))


async def test_people_under_several_keys_need_them_all() -> None:
    store = FakeKeyStore({A.key_id: KeyState.OLD, B.key_id: KeyState.CURRENT})
    enrolled(store, A, "p1")
    enrolled(store, B, "p2")
    for lone, lost in ((A, B), (B, A)):
        with pytest.raises(ConfigError, match=lost.key_id):
            await entered(store, file_of(lone))
    both = file_of(A, B)
    await entered(store, both)
    assert both.current() == B.key_id, "what the database calls current wraps, whatever the file says"


async def test_a_gateway_away_during_a_change_says_at_start_which_key_it_lacks() -> None:
    store = FakeKeyStore({A.key_id: KeyState.RETIRED, B.key_id: KeyState.CURRENT})
    with pytest.raises(ConfigError, match=f"{B.key_id} is its current one"):
        await entered(store, file_of(A))


async def test_two_first_starts_with_two_keys_let_one_in() -> None:
    class Racing(FakeKeyStore):
        async def register_first(self, key_id: KeyId) -> None:
            await super().register_first(B.key_id)  # the other one comes first
            await super().register_first(key_id)

    with pytest.raises(ConfigError):
        await entered(Racing(), file_of(A))
    await entered(Racing(), file_of(B))


# While it runs.


def watching(store: FakeKeyStore, file: FakeKeyFile) -> tuple[KeyWatch, FakeClock]:
    clock = FakeClock()
    watch = KeyWatch(store=store, keys=file, wrapping=KeyWrapping(file), gateway_id="g", clock=clock)
    return watch, clock


async def test_it_tells_the_database_which_keys_it_has_and_follows() -> None:
    store, file = FakeKeyStore(), file_of(A)
    watch, _ = watching(store, file)
    assert watch.health() == "not checked yet"
    await watch.look()
    assert watch.health() == "right"
    assert store.running["g"].key_ids == {A.key_id}
    file.disk.contents = Contents(A, B)
    await store.register_next(B.key_id, no_witness)
    await watch.look()
    assert store.running["g"].key_ids == {A.key_id, B.key_id}
    assert file.current() == A.key_id
    await store.promote(B.key_id, no_witness)
    await watch.look()
    assert file.current() == B.key_id
    file.disk.contents = Contents(B)
    await watch.look()
    assert store.running["g"].key_ids == {B.key_id}
    assert watch.health() == "right"


async def test_it_says_when_keys_change_without_it_and_when_that_is_mended() -> None:
    store, file = FakeKeyStore(), file_of(A)
    watch, clock = watching(store, file)
    await watch.look()
    store.known = {A.key_id: KeyState.OLD, B.key_id: KeyState.CURRENT}
    enrolled(store, B)
    clock.advance(61)
    await watch.look()
    assert B.key_id in watch.health()
    file.disk.contents = Contents(B)
    await watch.look()
    assert watch.health() == "right"


async def ran(watch: KeyWatch, rounds: int) -> None:
    """As its task does."""
    task = asyncio.create_task(watch.run())
    for _ in range(rounds * 20):
        await asyncio.sleep(0.002)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_a_spoilt_file_is_told_and_forgotten_once_it_is_mended(monkeypatch) -> None:
    monkeypatch.setattr(service, "LOOK_S", 0.001)
    store, file = FakeKeyStore(), file_of(A)
    watch, _ = watching(store, file)
    await ran(watch, 1)
    assert watch.health() == "right"
    file.disk.fault = ConfigError("master.key: others may read it", code="master_key_exposed")
    await ran(watch, 1)
    assert watch.health() == "master.key: others may read it"
    assert file.current() == A.key_id
    file.disk.fault = None
    await ran(watch, 1)
    assert watch.health() == "right"


async def test_a_database_that_comes_late_is_checked_then(monkeypatch) -> None:
    monkeypatch.setattr(service, "LOOK_S", 0.001)

    class Away(FakeKeyStore):
        away = True

        async def states(self):
            if self.away:
                raise DatabaseUnavailable("away")
            return await super().states()

    store = Away({A.key_id: KeyState.CURRENT})
    for file, health in ((file_of(B), "is its current one, and is not here"), (file_of(A), "right")):
        store.away = True
        watch, _ = watching(store, file)
        await ran(watch, 1)
        assert watch.health() == "not checked yet"
        store.away = False
        await ran(watch, 1)
        assert health in watch.health()

"""A change of keys can stop anywhere and go on; nothing is ever under a key that nobody has."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.errors import ConfigError, DatabaseUnavailable, InvariantBroken, Rejected, Unavailable
from gateway.domain.keys import KeyHolder, KeyId, KeyState
from gateway.ports.keys import KeyWitness
from gateway.security.key_text import Contents
from gateway.security.master_key import MasterKey
from gateway.security.wrapping import KeyWrapping, master_of, wrap
from gateway.services.key_rotation import Progress, Rotated, Rotation, closed
from gateway.services.keys import admit, follow
from gateway.telemetry.clock import SystemClock
from tests.fakes.keys import FakeKeyFile, FakeKeyStore, KeyDisk, no_witness
from tests.fakes.power_cuts import Breaking, Cuts, PowerCutError

A, B, C = (MasterKey(bytes([i] * 32)) for i in range(3))
PEOPLE = 7


@dataclass
class SitePlace:
    """A database, a key file, and people."""

    store: FakeKeyStore = field(default_factory=FakeKeyStore)
    disk: KeyDisk = field(default_factory=lambda: KeyDisk(Contents(A)))
    told: list[str] = field(default_factory=list)

    async def open_doors(self, people: int = PEOPLE) -> None:
        await self.admitted()
        for i in range(people):
            self.enrol(f"p{i}", FakeKeyFile(self.disk))
        self.store.put("site", "cards", wrap(self.disk.contents.current, "site", "cards", b"s" * 32))

    async def admitted(self) -> FakeKeyFile:
        file = FakeKeyFile(self.disk)
        await admit(self.store, file, KeyWrapping(file))
        return file

    def enrol(self, name: str, file: FakeKeyFile) -> None:
        self.store.put("person", name, KeyWrapping(file).new("person", name))

    def rotation(self, cuts: Cuts | None = None, **how: Any) -> Rotation:
        file = FakeKeyFile(self.disk)
        store: Any = Breaking(self.store, cuts) if cuts else self.store
        keys: Any = Breaking(file, cuts) if cuts else file
        how = {"wait_s": 0.0, "settle_s": 0.0} | how
        return Rotation(
            store=store,
            file=keys,
            wrapping=KeyWrapping(file),
            clock=SystemClock(),
            witness=self.witness,
            **how,
        )

    def witness(self, step: str, key_id: KeyId) -> KeyWitness:
        async def told() -> None:
            self.told.append(f"{step} {key_id}")

        return told

    async def all_opens(self) -> None:
        file = await self.admitted()
        count, broken = await closed(self.store, KeyWrapping(file))
        assert broken == []
        assert count == len(self.store.boxes)

    def finished(self, found: Rotated) -> None:
        assert {master_of(box) for box in self.store.boxes.values()} <= {found.key_id}
        assert [key.key_id for key in self.disk.contents.every()] == [found.key_id]
        states = dict(self.store.known)
        assert states.pop(found.key_id) is KeyState.CURRENT
        assert set(states.values()) == {KeyState.RETIRED}


async def test_everything_is_under_the_new_key_and_the_old_one_is_gone() -> None:
    place = SitePlace()
    await place.open_doors()
    found = await place.rotation().run()
    assert (found.done, found.fresh) == (PEOPLE + 1, True)
    new = found.key_id
    assert place.told == [f"{step} {new}" for step in ("begun", "current", "finished", "destroyed")]
    await place.all_opens()
    place.finished(found)


async def test_a_database_without_anybody_changes_keys_too() -> None:
    place = SitePlace()
    await place.admitted()
    found = await place.rotation().run()
    assert found.done == 0
    place.finished(found)


def cuts() -> Iterator[tuple[int, bool]]:
    for at in range(1, 60):
        for late in (False, True):
            yield at, late


async def test_stopped_at_any_step_it_goes_on() -> None:
    stopped = 0
    for at, late in cuts():
        place = SitePlace()
        await place.open_doors()
        cut = Cuts(at, late)
        try:
            found = await place.rotation(cut).run()
        except PowerCutError:
            stopped += 1
            await place.all_opens()
            file = await place.admitted()
            place.enrol("in between", file)
            await place.all_opens()
            found = await place.rotation().run()
            assert found.key_id != A.key_id
        await place.all_opens()
        place.finished(found)
    assert stopped > 20, "the cuts did not reach its end"


@settings(max_examples=150, deadline=None)
@given(plan=st.lists(st.tuples(st.integers(1, 40), st.booleans()), max_size=6))
def test_stopped_again_and_again_it_goes_on(plan: list[tuple[int, bool]]) -> None:
    async def play() -> None:
        place = SitePlace()
        await place.open_doors()
        for number, (at, late) in enumerate(plan):
            try:
                await place.rotation(Cuts(at, late)).run()
            except PowerCutError:
                await place.all_opens()
            place.enrol(f"late {number}", await place.admitted())
        found = await place.rotation().run()
        await place.all_opens()
        place.finished(found)

    asyncio.run(play())


async def test_who_finishes_anothers_change_says_so() -> None:
    """An operator who wants another key must not take the end of an old change for it."""
    last = 0
    for at, late in cuts():
        place = SitePlace()
        await place.open_doors()
        try:
            await place.rotation(Cuts(at, late)).run()
        except PowerCutError:
            if KeyState.OLD in place.store.known.values():
                assert not (await place.rotation().run()).fresh
                last += 1
    assert last > 5


# Gateways.


def holder(name: str, keys: set[KeyId], ago: timedelta = timedelta(0)) -> KeyHolder:
    return KeyHolder(gateway_id=name, key_ids=frozenset(keys), seen_at=datetime.now(UTC) - ago)


async def test_nothing_changes_before_every_gateway_has_the_key() -> None:
    place = SitePlace()
    await place.open_doors()
    place.store.running["north"] = holder("north", {A.key_id})
    said: list[Progress] = []
    with pytest.raises(Unavailable, match=r"north.*Copy the key file") as told:
        await place.rotation(say=said.append).run()
    assert told.value.code == "gateways_lack_the_key"
    assert "north" in said[0].step
    assert A.key_id in place.store.known
    assert place.store.known[A.key_id] is KeyState.CURRENT
    assert await place.store.usage() == {A.key_id: (await place.store.usage())[A.key_id]}
    following = place.disk.contents.next
    assert following is not None
    place.store.running["north"] = holder("north", {A.key_id, following.key_id})
    found = await place.rotation().run()
    assert found.key_id == following.key_id, "the key that was handed out, and no other"
    place.finished(found)


async def test_a_gateway_that_is_no_more_is_not_waited_for() -> None:
    for how in ({"skip": frozenset({"gone"})}, {}):
        place = SitePlace()
        await place.open_doors()
        place.store.running["gone"] = holder("gone", {A.key_id}, timedelta(hours=0 if how else 25))
        place.finished(await place.rotation(**how).run())


async def test_someone_enrolled_by_a_gateway_that_is_behind_is_wrapped_anew_too() -> None:
    place = SitePlace()
    await place.open_doors()
    behind = FakeKeyFile(place.disk)  # never looks at the database
    late = 0

    def enrol(progress: Progress) -> None:
        nonlocal late
        if progress.step == "wrapping keys anew" and late < 3:
            late += 1
            place.enrol(f"late {late}", behind)

    found = await place.rotation(say=enrol).run()
    assert late >= 2
    await place.all_opens()
    place.finished(found)
    with pytest.raises(DatabaseUnavailable):
        place.enrol("too late", behind)
    behind.reload()
    await follow(place.store, behind)
    place.enrol("in time", behind)
    await place.all_opens()


async def test_two_changes_at_once_on_one_file_are_one() -> None:
    together = asyncio.Barrier(2)

    class Meeting(FakeKeyStore):
        async def register_next(self, key_id: KeyId, witness: KeyWitness) -> None:
            await together.wait()
            await super().register_next(key_id, witness)

    place = SitePlace(Meeting())
    await place.open_doors()
    one, two = await asyncio.gather(place.rotation().run(), place.rotation().run())
    await place.all_opens()
    assert one.key_id == two.key_id
    place.finished(one)


async def test_a_second_machine_does_not_begin_another() -> None:
    place = SitePlace()
    await place.open_doors()
    place.store.running["north"] = holder("north", {A.key_id})
    with pytest.raises(Unavailable):
        await place.rotation().run()
    there = SitePlace(place.store, KeyDisk(Contents(A)))
    with pytest.raises(Rejected, match=r"run this where it was begun.*--give-up") as told:
        await there.rotation().run()
    assert told.value.code == "rotation_under_way"
    assert there.disk.contents == Contents(A), "not even its file changes"


async def test_a_lost_next_key_can_be_given_up() -> None:
    place = SitePlace()
    await place.open_doors()
    place.store.running["north"] = holder("north", {A.key_id})
    with pytest.raises(Unavailable):
        await place.rotation().run()
    lost = place.disk.contents.next
    assert lost is not None
    place.store.running.clear()
    place.disk.contents = Contents(A)  # from the backup
    with pytest.raises(Rejected):
        await place.rotation().run()
    found = await place.rotation(give_up=True).run()
    assert found.key_id != lost.key_id
    assert f"given_up {lost.key_id}" in place.told
    assert place.store.known[lost.key_id] is KeyState.RETIRED
    await place.all_opens()
    place.finished(found)


async def test_a_given_up_key_in_a_file_is_not_taken_up_again() -> None:
    place = SitePlace(disk=KeyDisk(Contents(A, B)))
    await place.open_doors()
    await place.store.register_next(B.key_id, no_witness)
    await place.store.give_up(B.key_id, no_witness)
    found = await place.rotation().run()
    assert found.key_id != B.key_id
    place.finished(found)


async def test_the_machine_with_a_copy_of_the_file_clears_it_in_its_turn() -> None:
    place = SitePlace()
    await place.open_doors()
    place.store.running["north"] = holder("north", {A.key_id})
    with pytest.raises(Unavailable):
        await place.rotation().run()
    there = SitePlace(place.store, KeyDisk(place.disk.contents))
    place.store.running.clear()
    found = await place.rotation().run()
    again = await there.rotation().run()
    assert (again.key_id, again.done, again.fresh) == (found.key_id, 0, False)
    assert there.disk.contents.every() == place.disk.contents.every()


# What must not be lost.


async def test_a_key_file_exchanged_meanwhile_stops_it_before_the_new_key_counts() -> None:
    place = SitePlace()
    await place.open_doors()

    class Exchanging(FakeKeyStore):
        async def holders(self):
            place.disk.contents = Contents(A)
            return []

    place.store.__class__ = Exchanging
    with pytest.raises(Rejected, match="was changed meanwhile"):
        await place.rotation().run()
    assert place.store.known[A.key_id] is KeyState.CURRENT
    await place.all_opens()


async def test_a_restored_database_from_before_the_change_is_taken_up_from_there() -> None:
    """The file is at B, the database knows of A alone."""
    place = SitePlace()
    await place.open_doors()
    place.disk.contents = Contents(B, None, (A,))
    await place.all_opens()
    found = await place.rotation().run()
    assert found.fresh
    await place.all_opens()
    place.finished(found)


async def test_a_file_whose_current_key_is_the_next_one_of_a_restored_database() -> None:
    place = SitePlace()
    await place.open_doors()
    await place.store.register_next(B.key_id, no_witness)
    place.disk.contents = Contents(B, None, (A,))
    found = await place.rotation().run()
    assert found.key_id == B.key_id
    await place.all_opens()
    place.finished(found)


async def test_a_key_that_does_not_open_stops_it_and_the_old_key_stays() -> None:
    place = SitePlace()
    await place.open_doors()
    place.store.boxes["person", "spoilt"] = wrap(A, "person", "other", b"k" * 32)
    with pytest.raises(InvariantBroken, match="spoilt") as told:
        await place.rotation().run()
    assert told.value.code == "key_does_not_open"
    assert place.disk.contents.find(A.key_id) is not None
    del place.store.boxes["person", "spoilt"]
    place.finished(await place.rotation().run())


@pytest.mark.parametrize("step", ["begun", "current", "finished", "destroyed"])
async def test_what_cannot_be_recorded_does_not_happen(step: str) -> None:
    place = SitePlace()
    await place.open_doors()
    record = place.witness

    def witness(told: str, key_id: KeyId) -> Callable[[], Any]:
        async def refuse() -> None:
            raise DatabaseUnavailable("no record")

        return refuse if told == step else record(told, key_id)

    place.witness = witness  # type: ignore[method-assign]
    with pytest.raises(DatabaseUnavailable):
        await place.rotation().run()
    assert place.disk.contents.find(A.key_id) is not None
    await place.all_opens()
    place.witness = record  # type: ignore[method-assign]
    place.finished(await place.rotation().run())


async def test_a_file_that_cannot_be_changed_stops_it_before_anything() -> None:
    place = SitePlace()
    await place.open_doors()
    place.disk.fault = ConfigError("read-only", code="master_key_lent")
    with pytest.raises(ConfigError):
        await place.rotation().run()
    assert place.store.known == {A.key_id: KeyState.CURRENT}
    assert place.told == []


async def test_gateways_get_a_moment_to_follow(monkeypatch) -> None:
    place = SitePlace()
    await place.open_doors()
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr("gateway.services.key_rotation.asyncio.sleep", sleep)
    await place.rotation(settle_s=3.0).run()
    assert slept == [], "with no gateway there is nobody to wait for"
    place.store.running["north"] = holder("north", {*place.store.known})
    with pytest.raises(Unavailable):
        await place.rotation(settle_s=3.0).run()
    place.store.running["north"] = holder("north", {*place.store.known})
    await place.rotation(settle_s=3.0).run()
    assert slept == [3.0, 3.0]

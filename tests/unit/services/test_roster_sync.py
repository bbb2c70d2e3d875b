"""The roster in memory: it follows the database at once, one load at a time, and says whose word it is."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from gateway.domain.access import Rules, Situation, decide
from gateway.domain.decisions import Deny, DenyReason, Grant
from gateway.domain.enrolment import SealedTemplate
from gateway.domain.errors import DatabaseUnavailable, SealBroken
from gateway.domain.identity import Recognised
from gateway.domain.ids import GrantId, ModelId, PersonId
from gateway.domain.people import PersonStatus
from gateway.services.roster import RosterSync, Source, SourceChange
from gateway.services.roster_keeper import RosterKeeper
from gateway.services.roster_opening import open_after, to_bytes
from tests.fakes.clock import FakeClock
from tests.fakes.faces import DOOR, MODEL, axis
from tests.fakes.people_store import FakePeopleStore
from tests.fakes.roster_copy import FakeRosterCopy
from tests.fakes.sealer import FakeSealer

HOUR = 3600
RULES = Rules(
    access_point_id=DOOR,
    liveness_required=False,
    evidence_max_age_ns=10**9,
    roster_max_age_ns=24 * HOUR * 10**9,
    grant_ttl_ns=10**9,
)


@dataclass
class CountingStore(FakePeopleStore):
    """Says how often it was loaded, and how many loads ran at once."""

    loads: int = 0
    looks: int = 0
    running: int = 0
    most: int = 0
    hold: asyncio.Event | None = None

    async def roster_version(self) -> int:
        self.looks += 1
        return await super().roster_version()

    async def load(self, model_id, known=None):
        self.loads += 1
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            found = await super().load(model_id, known)
            if self.hold is not None:
                await self.hold.wait()
            return found
        finally:
            self.running -= 1


@dataclass
class FakeNews:
    """Tells on request."""

    tell: Callable[[], None] = lambda: None

    async def follow(self, on_news: Callable[[], None]) -> None:
        self.tell = on_news
        await asyncio.Event().wait()


@dataclass
class CountingSealer(FakeSealer):
    opened: int = 0

    def __post_init__(self) -> None:
        FakeSealer.__init__(self)

    def open(self, *given) -> bytes:
        self.opened += 1
        return super().open(*given)


@dataclass
class Rig:
    store: CountingStore = field(default_factory=CountingStore)
    sealer: CountingSealer = field(default_factory=CountingSealer)
    clock: FakeClock = field(default_factory=FakeClock)
    copy: FakeRosterCopy = field(default_factory=FakeRosterCopy)
    news: FakeNews = field(default_factory=FakeNews)
    told: list[SourceChange] = field(default_factory=list)
    hours: float = 24

    def __post_init__(self) -> None:
        self.sync = self.another()

    def another(self) -> RosterSync:
        """A process that starts: nothing is known but what is on disk."""
        return RosterSync(
            self.store,
            self.sealer,
            MODEL,
            self.clock,
            news=self.news,
            keeper=RosterKeeper(
                copy=self.copy,
                clock=self.clock,
                model_id=MODEL,
                max_age=timedelta(hours=self.hours),
                gap_s=0.001,
            ),
            on_source=self.told.append,
            poll_s=0.01,
            patience_s=0.05,
        )

    async def somebody(self, i: int) -> PersonId:
        who = PersonId(f"p{i}")
        key = self.sealer.new_key(who)
        sealed = self.sealer.seal(key, who, MODEL, to_bytes(axis(i)))
        self.store.profiles["staff"] |= {DOOR}
        await self.store.enrol(
            number=str(i),
            name=f"Person {i}",
            profile="staff",
            consent="text",
            person_id=who,
            wrapped_key=key,
            templates=[SealedTemplate(model_id=MODEL, sealed=sealed, quality=0.5)],
            expected_version=self.store.version,
        )
        return who

    def change(self, who: PersonId, **values) -> None:
        self.store.people[who] = replace(self.store.people[who], **values)
        self.store.version += 1

    def verdict(self, who: PersonId, sync: RosterSync | None = None) -> Grant | Deny:
        now = self.clock.monotonic_ns()
        found = decide(
            Recognised(person_id=who, score=0.9, margin=0.5, live=None),
            RULES,
            Situation(
                now_ns=now,
                now=self.clock.now(),
                evidence_ns=now,
                roster=(sync or self.sync).current(),
                liveness_available=True,
                door_ready=True,
                door_busy=False,
            ),
            GrantId("g"),
        )
        assert found is not None
        return found

    def reason(self, who: PersonId, sync: RosterSync | None = None) -> DenyReason | None:
        return getattr(self.verdict(who, sync), "reason", None)


@contextlib.asynccontextmanager
async def running(sync: RosterSync):
    task = asyncio.create_task(sync.run())
    try:
        yield
        assert not task.done(), task.exception()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not true():
            await asyncio.sleep(0.001)


@pytest.fixture
async def rig() -> Rig:
    rig = Rig()
    for i in range(3):
        await rig.somebody(i)
    return rig


WHO = PersonId("p0")


async def test_news_wakes_the_roster_though_the_poll_would_sleep(rig: Rig) -> None:
    rig.sync.poll_s = 3600
    async with running(rig.sync):
        await until(rig.sync.current)
        assert rig.reason(WHO) is None
        rig.change(WHO, status=PersonStatus.SUSPENDED)
        await asyncio.sleep(0.05)
        assert rig.reason(WHO) is None, "nothing but the poll could have told"
        rig.news.tell()
        await until(lambda: rig.reason(WHO) is DenyReason.PERSON_NOT_ACTIVE)


async def test_without_news_the_poll_follows(rig: Rig) -> None:
    async with running(rig.sync):
        await until(rig.sync.current)
        rig.change(WHO, status=PersonStatus.SUSPENDED)
        await until(lambda: rig.reason(WHO) is DenyReason.PERSON_NOT_ACTIVE)


async def test_a_burst_of_news_is_one_load_at_a_time_and_one_after(rig: Rig) -> None:
    rig.sync.poll_s = 3600
    async with running(rig.sync):
        await until(rig.sync.current)
        rig.store.hold = asyncio.Event()
        before = rig.store.loads
        rig.change(WHO, status=PersonStatus.SUSPENDED)
        rig.news.tell()
        await until(lambda: rig.store.loads == before + 1)
        for i in range(2000):  # while the load is under way
            rig.change(WHO, name=f"{i}")
            rig.news.tell()
            if i % 100 == 0:
                await asyncio.sleep(0)
        rig.store.hold.set()
        await until(lambda: rig.sync.current().people[WHO].name == "1999")
        looks = rig.store.looks
        await asyncio.sleep(0.05)
        assert rig.store.loads == before + 2
        assert rig.store.looks <= looks + 1, "and then quiet"
        assert rig.store.most == 1


async def test_two_who_ask_at_once_do_not_load_twice_and_see_what_was_there_when_they_asked(rig: Rig) -> None:
    first, second = await asyncio.gather(rig.sync.refresh(), rig.sync.refresh())
    assert rig.store.loads == 1
    assert rig.store.most == 1
    assert first.version == second.version == rig.store.version


async def test_only_changed_templates_are_opened_again(rig: Rig) -> None:
    await rig.sync.refresh()
    assert rig.sealer.opened == 3
    matrix = rig.sync.current().gallery.matrix
    rig.change(WHO, status=PersonStatus.SUSPENDED)
    await rig.sync.refresh()
    assert rig.sealer.opened == 3
    assert rig.sync.current().gallery.matrix is matrix
    key = rig.store.people[WHO].wrapped_key
    sealed = rig.sealer.seal(key, WHO, MODEL, to_bytes(axis(9)))
    rig.change(WHO, templates=[SealedTemplate(model_id=MODEL, sealed=sealed, quality=0.5)])
    roster = await rig.sync.refresh()
    assert rig.sealer.opened == 4
    assert roster.gallery.search(axis(9)).person_id == WHO
    assert roster.gallery.search(axis(0)).score < 0.5
    assert roster.gallery.search(axis(1)).person_id == PersonId("p1")


async def test_a_template_is_opened_again_when_only_its_wrapped_key_changed(rig: Rig) -> None:
    await rig.sync.refresh()
    rig.change(WHO, wrapped_key=rig.sealer.new_key(WHO))  # a key that does not open it
    roster = await rig.sync.refresh()
    assert WHO not in roster.gallery.people


async def test_templates_swapped_between_two_people_open_for_neither(rig: Rig) -> None:
    await rig.sync.refresh()
    mine, theirs = rig.store.people[WHO].templates, rig.store.people[PersonId("p1")].templates
    rig.change(WHO, templates=theirs)
    rig.change(PersonId("p1"), templates=mine)
    roster = await rig.sync.refresh()
    assert roster.gallery.people == (PersonId("p2"),)


async def test_somebody_erased_is_in_no_matrix(rig: Rig) -> None:
    await rig.sync.refresh()
    del rig.store.people[WHO]
    rig.store.version += 1
    roster = await rig.sync.refresh()
    assert WHO not in roster.people
    assert roster.gallery.search(axis(0)).score < 0.5


async def test_what_is_open_of_one_model_is_not_taken_over_for_another(rig: Rig) -> None:
    opened = open_after(None, *await rig.store.load(MODEL), rig.sealer, MODEL, 0)
    with_other = open_after(opened, *await rig.store.load(MODEL), rig.sealer, ModelId("other:1"), 0)
    assert len(with_other.roster.gallery) == 0


async def test_a_consent_that_ends_between_two_changes_ends_at_the_door(rig: Rig) -> None:
    rig.change(WHO, consent_until=rig.clock.now() + timedelta(seconds=30))
    await rig.sync.refresh()
    rig.clock.advance(29)
    assert rig.reason(WHO) is None
    rig.clock.advance(1)
    assert rig.reason(WHO) is DenyReason.NO_CONSENT


async def test_the_copy_is_written_soon_after_a_load_and_confirmed_about_once_a_minute(rig: Rig) -> None:
    async with running(rig.sync):
        await until(lambda: rig.copy.writes == 1)
        assert rig.copy.kept.version == rig.store.version
        looks = rig.store.looks
        await until(lambda: rig.store.looks > looks + 5)
        assert (rig.copy.writes, rig.copy.confirms) == (1, 0), "nothing changed, and no minute has passed"
        rig.clock.advance(61)
        await until(lambda: rig.copy.confirms == 1)
        assert rig.copy.kept.confirmed_at == rig.clock.now()


async def test_who_was_erased_is_out_of_the_copy(rig: Rig) -> None:
    async with running(rig.sync):
        await until(lambda: rig.copy.writes)
        del rig.store.people[WHO]
        rig.store.version += 1
        await until(lambda: rig.copy.kept and WHO not in {p.person_id for p in rig.copy.kept.people})


async def test_a_changed_master_key_has_the_copy_written_anew(rig: Rig) -> None:
    async with running(rig.sync):
        await until(lambda: rig.copy.writes)
        rig.copy.old_key = True
        await until(lambda: rig.copy.writes == 2)
        assert not rig.copy.old_key


async def test_a_copy_that_cannot_be_brought_up_to_date_is_taken_away(rig: Rig) -> None:
    async with running(rig.sync):
        await until(lambda: rig.copy.writes)
        rig.copy.full = True
        rig.change(WHO, status=PersonStatus.SUSPENDED)
        await until(lambda: rig.copy.kept is None)
        assert rig.reason(WHO) is DenyReason.PERSON_NOT_ACTIVE


async def restarted_without_database(rig: Rig) -> RosterSync:
    async with running(rig.sync):
        await until(lambda: rig.copy.writes)
    rig.store.away = True
    rig.told.clear()
    return rig.another()


async def test_a_start_without_the_database_decides_by_the_copy_and_says_so(rig: Rig) -> None:
    rig.change(PersonId("p1"), status=PersonStatus.SUSPENDED)
    sync = await restarted_without_database(rig)
    rig.clock.advance(2 * HOUR)
    async with running(sync):
        await until(sync.current)
        assert rig.reason(WHO, sync) is None
        assert rig.reason(PersonId("p1"), sync) is DenyReason.PERSON_NOT_ACTIVE
        assert sync.source is Source.COPY
        assert rig.clock.monotonic_ns() - sync.current().checked_ns == 2 * HOUR * 10**9
        assert [c.source for c in rig.told] == [Source.COPY]
        assert rig.told[0].confirmed_at == rig.clock.now() - timedelta(hours=2)
        rig.store.away = False
        await until(lambda: sync.source is Source.DATABASE)
        assert sync.current().checked_ns == rig.clock.monotonic_ns()


async def test_the_database_is_believed_over_the_copy_even_at_the_same_version(rig: Rig) -> None:
    sync = await restarted_without_database(rig)
    async with running(sync):
        await until(sync.current)
        version = rig.store.version
        rig.change(WHO, status=PersonStatus.SUSPENDED)
        rig.store.version = version  # restored from a backup, and changed since
        rig.store.away = False
        await until(lambda: rig.reason(WHO, sync) is DenyReason.PERSON_NOT_ACTIVE)


async def test_after_an_absence_the_same_version_is_read_again(rig: Rig) -> None:
    async with running(rig.sync):
        await until(rig.sync.current)
        rig.store.away = True
        await until(lambda: rig.sync.source is Source.MEMORY)
        version = rig.store.version
        rig.change(WHO, status=PersonStatus.SUSPENDED)
        rig.store.version = version
        assert rig.reason(WHO) is None, "the last one known stands"
        rig.store.away = False
        await until(lambda: rig.reason(WHO) is DenyReason.PERSON_NOT_ACTIVE)
        assert [c.source for c in rig.told] == [Source.DATABASE, Source.MEMORY, Source.DATABASE]


async def test_the_copy_never_replaces_what_the_database_said_meanwhile(rig: Rig) -> None:
    sync = await restarted_without_database(rig)
    rig.change(WHO, status=PersonStatus.SUSPENDED)
    rig.store.away = False
    rig.store.hold = asyncio.Event()  # the database is slower than the patience with it …
    read, loop = rig.copy.read, asyncio.get_running_loop()

    def slower_still() -> object:  # … and the disk is slower than the database
        found = read()
        loop.call_soon_threadsafe(rig.store.hold.set)
        until_ = time.monotonic() + 5
        while sync.current() is None and time.monotonic() < until_:
            time.sleep(0.001)
        return found

    rig.copy.read = slower_still
    async with running(sync):
        await until(lambda: sync.source is Source.DATABASE)
        await asyncio.sleep(0.1)
        assert sync.source is Source.DATABASE
        assert rig.reason(WHO, sync) is DenyReason.PERSON_NOT_ACTIVE
    assert [c.source for c in rig.told] == [Source.DATABASE]


@pytest.mark.parametrize(
    ("hours", "code"), [(24.001, "too_old"), (-1, "from_the_future"), (-0.04, "from_the_future")]
)
async def test_a_copy_too_old_or_from_the_future_opens_no_door(rig: Rig, hours: float, code: str) -> None:
    sync = await restarted_without_database(rig)
    rig.clock.move_wall(hours * HOUR)
    async with running(sync):
        await until(lambda: rig.told)
        assert rig.told == [SourceChange(source=Source.NONE, version=None, refused=code)]
        assert rig.reason(WHO, sync) is DenyReason.ROSTER_STALE


async def test_a_copy_that_does_not_open_is_told_and_opens_no_door(rig: Rig) -> None:
    sync = await restarted_without_database(rig)
    rig.copy.broken = SealBroken("altered")
    async with running(sync):
        await until(lambda: rig.told)
        assert rig.told[0].refused == "seal_broken"
        assert sync.current() is None
        rig.store.away = False
        await until(lambda: sync.source is Source.DATABASE)


async def test_a_copy_ages_while_the_gateway_runs_and_then_counts_no_more(rig: Rig) -> None:
    sync = await restarted_without_database(rig)
    rig.clock.advance(23 * HOUR)
    async with running(sync):
        await until(sync.current)
        assert rig.reason(WHO, sync) is None
        rig.clock.advance(1.1 * HOUR)
        assert rig.reason(WHO, sync) is DenyReason.ROSTER_STALE, "at once, without waiting for a look"
        await until(lambda: sync.current() is None)
        assert rig.told[-1].refused == "too_old"


async def test_a_clock_set_right_after_the_start_tells_the_copys_true_age(rig: Rig) -> None:
    sync = await restarted_without_database(rig)  # the machine woke with the time it went to sleep at
    async with running(sync):
        await until(sync.current)
        rig.clock.move_wall(10 * 24 * HOUR)
        await until(lambda: sync.current() is None)
        assert rig.reason(WHO, sync) is DenyReason.ROSTER_STALE


async def test_zero_hours_keep_no_copy_and_take_away_the_one_there_is(rig: Rig) -> None:
    await restarted_without_database(rig)
    assert rig.copy.kept is not None
    rig.hours = 0
    sync = rig.another()
    async with running(sync):
        await until(lambda: rig.copy.kept is None)
        assert sync.current() is None


async def test_without_a_copy_a_start_without_the_database_waits_for_it(rig: Rig) -> None:
    rig.store.away = True
    async with running(rig.sync):
        await asyncio.sleep(0.05)
        assert rig.sync.current() is None
        assert rig.told == []
        rig.store.away = False
        await until(rig.sync.current)
    rig.store.away = True
    with pytest.raises(DatabaseUnavailable):
        await rig.sync.refresh()

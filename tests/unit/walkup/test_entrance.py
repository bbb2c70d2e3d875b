"""One access point's road with fakes at its ends: what is decided, recorded, told, and never done twice."""

import asyncio
import contextlib
from dataclasses import replace
from uuid import UUID

import pytest

from gateway.domain.access import Rules
from gateway.domain.decisions import DenyReason
from gateway.domain.doors import Actuation, DoorHealth, Link, Outcome
from gateway.domain.errors import JournalUnavailable
from gateway.domain.events import EventKind
from gateway.domain.people import PersonStatus
from gateway.domain.readings import Direction
from gateway.domain.sightings import Settled
from gateway.walkup.decided import Decided
from gateway.walkup.door_actor import DoorActor, settle_open_grants
from gateway.walkup.entrance import Entrance
from tests.fakes.clock import FakeClock
from tests.fakes.faces import DOOR, MODEL, POLICY, axis, like, person, roster, sample, sighting
from tests.fakes.journal import FakeJournal
from tests.fakes.portal import FakePortal


class Lock:
    """A door that notes what it is asked, and looks at the journal while it is."""

    access_point_id = DOOR

    def __init__(self, journal: FakeJournal, clock: FakeClock) -> None:
        self.journal, self.clock = journal, clock
        self.link, self.outcome, self.grants = Link.UP, Outcome.CONFIRMED, []
        self.recorded_first: list[bool] = []
        self.hold: asyncio.Event | None = None

    async def unlock(self, grant):
        self.grants.append(grant)
        kinds = [(e.draft.kind, e.draft.grant_id) for e, _ in self.journal.events]
        self.recorded_first.append((EventKind.ACCESS_GRANTED, grant.grant_id) in kinds)
        if self.hold is not None:
            await self.hold.wait()
        now = self.clock.monotonic_ns()
        return Actuation(outcome=self.outcome, sent_ns=now, done_ns=now, evidence="test", frames_sent=1)

    def health(self):
        return DoorHealth(
            door_id=DOOR, link=self.link, detail="", last_ok_ns=None, rtt_p99_ms=None, failures=0
        )


class Site:
    def __init__(self) -> None:
        self.clock, self.journal = FakeClock(), FakeJournal()
        self.lock = Lock(self.journal, self.clock)
        self.portal = FakePortal()
        self.roster = roster()
        self.liveness = True
        self.told: list[Decided] = []
        self.settled: list[Settled] = []
        self.actor = DoorActor(
            door=self.lock,
            portal=self.portal,
            journal=self.journal,
            clock=self.clock,
            on_passage=lambda passage: self.entrance.passed(passage),  # noqa: PLW0108  # made below
        )
        self.entrance = Entrance(
            rules=Rules(
                access_point_id=DOOR,
                liveness_required=True,
                evidence_max_age_ns=10**9,
                roster_max_age_ns=3600 * 10**9,
                grant_ttl_ns=10**9,
            ),
            direction=Direction.IN,
            policy=lambda _templates: POLICY,
            model_id=MODEL,
            roster=lambda: self.roster,
            liveness_available=lambda: self.liveness,
            actor=self.actor,
            journal=self.journal,
            clock=self.clock,
            on_decided=self.told.append,
            settle=lambda _sighting, how: self.settled.append(how),
            pulse_ns=3 * 10**9,
        )

    async def see(self, *samples, track=1, **changes):
        now = self.clock.monotonic_ns()
        seen = [replace(s, frame_mono_ns=now) for s in samples]
        self.entrance.offer(sighting(*seen, track=track, at_ns=now, **changes))
        async with asyncio.timeout(5):
            while not self.entrance.idle:
                await asyncio.sleep(0.001)

    def kinds(self):
        return self.journal.kinds()


@pytest.fixture
async def site():
    made = Site()
    tasks = [asyncio.create_task(made.entrance.run()), asyncio.create_task(made.actor.run())]
    yield made
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


KNOWN = [sample(like(0, 0.9))] * 3
STRANGER = [sample(like(0, 0.1))] * 5


async def test_an_employee_is_let_in_and_recorded_before_the_frame(site: Site):
    await site.see(*KNOWN)
    assert [d.kind for d in site.told] == ["granted"]
    assert site.lock.recorded_first == [True]
    assert site.kinds() == ["access_granted", "unlock_outcome"]
    assert site.settled == [Settled.GRANTED]
    UUID(site.lock.grants[0].grant_id)


async def test_one_decision_a_track(site: Site):
    for _ in range(5):
        await site.see(*KNOWN)
    assert len(site.lock.grants) == 1
    for _ in range(5):
        await site.see(*STRANGER, track=2)
    assert [d.kind for d in site.told] == ["granted", "denied"]


async def test_the_same_person_on_a_new_track_gets_no_second_pulse_while_the_door_is_open(site: Site):
    await site.see(*KNOWN)
    await site.see(*KNOWN, track=2)
    assert len(site.lock.grants) == 1
    site.clock.advance(3.1)
    await site.see(*KNOWN, track=3)
    assert len(site.lock.grants) == 2


async def test_a_denied_track_is_looked_at_again_only_for_clearly_better_evidence(site: Site):
    await site.see(*STRANGER)
    await site.see(*[sample(like(0, 0.9), score=0.85)] * 3)
    assert [d.kind for d in site.told] == ["denied"], "a little better is not enough"
    await site.see(*[sample(like(0, 0.9), score=0.95)] * 3)
    assert [d.kind for d in site.told] == ["denied", "granted"]


async def test_fault_24_a_full_journal_keeps_the_door_shut_and_says_so(site: Site):
    site.journal.full = True
    await site.see(*KNOWN)
    assert site.lock.grants == []
    assert [(d.kind, d.reason) for d in site.told] == [("denied", DenyReason.JOURNAL_UNAVAILABLE)]
    assert site.settled[-1] is Settled.AGAIN
    site.journal.full = False
    site.clock.advance(1.1)
    await site.see(*KNOWN)
    assert len(site.lock.grants) == 1


async def test_an_outcome_that_cannot_be_written_is_written_later(site: Site):
    site.lock.hold = asyncio.Event()
    site.entrance.offer(sighting(*[replace(s, frame_mono_ns=site.clock.mono_ns) for s in KNOWN]))
    while not site.lock.grants:
        await asyncio.sleep(0.001)
    site.journal.full = True
    site.lock.hold.set()
    while not site.told:
        await asyncio.sleep(0.001)
    assert site.kinds() == ["access_granted"]
    site.journal.full = False
    async with asyncio.timeout(5):
        while len(site.kinds()) < 2:
            await asyncio.sleep(0.05)
    assert site.kinds() == ["access_granted", "unlock_outcome"]


@pytest.mark.parametrize("shift", [3600, -3600])
async def test_fault_25_the_wall_clock_moved_by_an_hour_changes_no_decision(site: Site, shift: int):
    site.clock.move_wall(shift)
    await site.see(*KNOWN)
    site.clock.move_wall(-2 * shift)
    await site.see(*KNOWN, track=2)
    assert len(site.lock.grants) == 1, "the door is still released: deadlines are monotonic"
    site.clock.advance(4)
    await site.see(*KNOWN, track=3)
    assert len(site.lock.grants) == 2
    ids = [e.event_id for e, _ in site.journal.events]
    assert [e.seq for e, _ in site.journal.events] == list(range(1, len(ids) + 1))


async def test_old_evidence_opens_nothing_but_may_be_renewed(site: Site):
    old = [replace(s, frame_mono_ns=site.clock.mono_ns - 2 * 10**9) for s in KNOWN]
    site.entrance.offer(sighting(*old))
    while not site.told:
        await asyncio.sleep(0.001)
    assert site.told[0].reason is DenyReason.EVIDENCE_STALE
    assert site.settled == [Settled.AGAIN]
    site.clock.advance(1.1)
    await site.see(*KNOWN)
    assert len(site.lock.grants) == 1


async def test_a_door_out_of_reach_denies_and_the_person_may_try_again(site: Site):
    site.lock.link = Link.DOWN
    await site.see(*KNOWN)
    assert site.told[0].reason is DenyReason.DOOR_NOT_READY
    site.lock.link = Link.UP
    site.clock.advance(1.1)
    await site.see(*KNOWN)
    assert len(site.lock.grants) == 1


async def test_a_pulse_that_did_not_leave_may_be_tried_again(site: Site):
    site.lock.outcome = Outcome.NOT_SENT
    await site.see(*KNOWN)
    assert site.told[0].kind == "denied"
    site.lock.outcome = Outcome.CONFIRMED
    site.clock.advance(1.1)
    await site.see(*KNOWN)
    assert [d.kind for d in site.told] == ["denied", "granted"]


async def test_fault_23_suspended_while_standing_there(site: Site):
    site.roster = roster(person(0, PersonStatus.SUSPENDED))
    await site.see(*KNOWN)
    assert site.told[0].reason is DenyReason.PERSON_NOT_ACTIVE
    assert site.told[0].person_id == "p0"


async def test_without_roster_or_liveness_model_the_door_stays_shut(site: Site):
    site.liveness = False
    await site.see(*KNOWN)
    assert site.told[0].reason is DenyReason.LIVENESS_UNAVAILABLE
    site.liveness, site.roster = True, None
    await site.see(*STRANGER, track=2)
    await site.see(*[sample(axis(0))] * 5, track=3)
    assert site.lock.grants == []


async def test_who_is_not_nearest_is_not_decided_on(site: Site):
    site.entrance.offer(sighting(*KNOWN, nearest=False))
    await asyncio.sleep(0.05)
    assert site.told == []


async def test_what_is_recorded_names_no_one_and_holds_no_biometrics(site: Site):
    await site.see(*KNOWN)
    await site.see(*STRANGER, track=2)
    for _, body in site.journal.events:
        assert b"Person 0" not in body
        assert b"embedding" not in body


async def test_a_third_grant_at_once_is_told_busy(site: Site):
    site.lock.hold = asyncio.Event()
    for i in range(5):
        site.clock.advance(3.1)
        now = site.clock.mono_ns
        site.roster = replace(site.roster, checked_ns=now)
        who = [replace(sample(like(i % 3, 0.9)), frame_mono_ns=now)] * 3
        site.entrance.offer(sighting(*who, track=10 + i, at_ns=now))
        for _ in range(50):
            await asyncio.sleep(0.001)
    assert any(d.reason is DenyReason.BUSY for d in site.told)
    site.lock.hold.set()
    async with asyncio.timeout(5):
        while not site.entrance.idle:
            await asyncio.sleep(0.001)


async def test_open_grants_are_settled_once_and_never_run_again():
    site = Site()
    task = asyncio.create_task(site.actor.run())
    site.lock.hold = asyncio.Event()
    entrance = asyncio.create_task(site.entrance.run())
    site.entrance.offer(sighting(*[replace(s, frame_mono_ns=site.clock.mono_ns) for s in KNOWN]))
    while not site.lock.grants:
        await asyncio.sleep(0.001)
    # The process dies here: no handler of its own writes anything any more.
    open_before = await site.journal.open_grants()
    assert len(open_before) == 1
    copy = FakeJournal()
    copy.events = list(site.journal.events)
    assert await settle_open_grants(copy, site.clock) == 1
    assert await settle_open_grants(copy, site.clock) == 0
    assert copy.events[-1][0].draft.data["outcome"] == "ambiguous"
    assert len(site.lock.grants) == 1
    for running in (task, entrance):
        running.cancel()
    await asyncio.gather(task, entrance, return_exceptions=True)
    last = site.journal.events[-1][0].draft
    assert (last.kind, last.data["outcome"]) == (EventKind.UNLOCK_OUTCOME, "ambiguous"), "cancelled: recorded"


async def test_a_journal_that_fails_for_a_denial_still_tells(site: Site):
    site.journal.full = True
    await site.see(*STRANGER)
    assert site.told[0].reason is DenyReason.UNKNOWN_PERSON
    with contextlib.suppress(JournalUnavailable):
        await site.journal.append()


async def test_what_stands_in_the_way_is_a_denial_and_no_grant(site: Site):
    site.portal.against = DenyReason.INTERLOCK
    await site.see(*KNOWN)
    assert site.told[-1].reason is DenyReason.INTERLOCK
    assert EventKind.ACCESS_GRANTED not in site.kinds()
    assert site.lock.grants == []


async def test_what_comes_up_after_the_decision_is_a_denial_on_record_too(site: Site):
    site.portal.surprise = DenyReason.BUSY
    await site.see(*KNOWN)
    assert site.told[-1].reason is DenyReason.BUSY
    assert site.kinds() == [EventKind.ACCESS_DENIED]
    assert site.lock.grants == []
    assert site.settled[-1] is Settled.AGAIN


async def test_the_portal_hears_of_a_grant_before_and_after_its_frame(site: Site):
    await site.see(*KNOWN)
    grant = site.lock.grants[0].grant_id
    assert site.portal.told == [("reserve", grant), ("released", grant), ("settled", grant)]


async def test_the_portal_is_told_when_nothing_could_be_recorded(site: Site):
    site.journal.full = True
    await site.see(*KNOWN)
    assert [what for what, _ in site.portal.told] == ["reserve", "unsent"]

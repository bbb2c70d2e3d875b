"""Which rules run when, and that trouble stops none of them for good."""

import asyncio
from dataclasses import dataclass, field

import pytest

from gateway.domain.consent import Destroyed, Ended, Erased
from gateway.domain.errors import DatabaseUnavailable, InvalidInput
from gateway.domain.ids import PersonId
from gateway.domain.receipts import taken_apart
from gateway.security.receipts import Ed25519Receipts
from gateway.services.privacy.erasure import Erasure
from gateway.services.privacy.retention import Retention
from gateway.services.witness import Record
from gateway.settings import Privacy
from tests.fakes.clock import FakeClock
from tests.fakes.journal import FakeJournal
from tests.fakes.sealer import FakeSealer
from tests.fakes.site_keys import FakeSiteKeys

WHO = PersonId("0b3c7f8e-45a2-4f0e-9a52-3f6f1c1f7f11")
OTHER = PersonId("11111111-45a2-4f0e-9a52-3f6f1c1f7f11")
ENDED = Ended(person_id=WHO, destroyed=Destroyed(templates=2, photographs=1))


@dataclass
class FakeRetentionStore:
    """What is due is what the test puts here; each is done once."""

    expired: list[Ended] = field(default_factory=list)
    unused: list[Ended] = field(default_factory=list)
    old: list[Ended] = field(default_factory=list)
    left: list[PersonId] = field(default_factory=list)
    away: bool = False
    asked: list[str] = field(default_factory=list)

    def _ask(self, what):
        self.asked.append(what)
        if self.away:
            raise DatabaseUnavailable("away")

    async def due(self, valid_days):
        self._ask("due")
        return bool(self.expired)

    async def forget_answers(self):
        self._ask("answers")

    async def limit_consents(self, valid_days, told):
        self._ask(f"limit {valid_days}")
        await told(4)
        return 4

    async def _some(self, what, those, told):
        self._ask(what)
        done = [those.pop(0)] if those else []
        for one in done:
            await told(one)
        return done

    async def end_expired(self, valid_days, told):
        return await self._some("expired", self.expired, told)

    async def drop_unused(self, days, told):
        return await self._some(f"unused {days}", self.unused, told)

    async def drop_photographs(self, days, told):
        return await self._some(f"photographs {days}", self.old, told)

    async def gone(self, days):
        self._ask(f"gone {days}")
        return self.left[:1]

    async def drop_receipts(self, days, told):
        self._ask(f"receipts {days}")
        await told(1)
        return 1


@dataclass
class FakeErasureStore:
    left: list[PersonId]
    kept: list[bytes] = field(default_factory=list)

    async def erase(self, person_id, receipt, *, left_days=None):
        if person_id not in self.left:
            raise InvalidInput("nobody", code="no_such_person")
        body = await receipt(Erased(person_id=person_id, counts={"keys": 1, "people": 1}))
        self.left.remove(person_id)
        self.kept.append(body)
        return body

    async def receipt(self, person_id):
        raise NotImplementedError


class Rig:
    def __init__(self, **rules) -> None:
        self.store, self.clock, self.journal = FakeRetentionStore(), FakeClock(), FakeJournal()
        record = Record(self.journal, self.clock, FakeSealer())
        self.erased = FakeErasureStore(self.store.left)
        self.retention = Retention(
            store=self.store,
            erasure=Erasure(store=self.erased, signer=Ed25519Receipts(FakeSiteKeys()), noted=record.noted),
            acted=record.acted,
            clock=self.clock,
            policy=Privacy(**rules),
            look_s=0,
        )

    @property
    def said(self):
        return [(e.draft.data["action"], e.draft.person_id) for e, _ in self.journal.events]


async def test_without_rules_only_expired_consents_are_looked_for():
    rig = Rig()
    await rig.retention.tidy()
    assert rig.store.asked == ["answers", "expired"]
    assert rig.said == []


async def test_every_rule_runs_with_its_days_until_nothing_is_left():
    rig = Rig(
        consent_valid_days=1, unused_template_days=2, photographs_days=3, erase_left_after_days=4,
        receipts_days=5,
    )  # fmt: skip
    rig.store.expired = [ENDED, ENDED]
    rig.store.unused, rig.store.old, rig.store.left[:] = [ENDED], [ENDED], [WHO, OTHER]
    await rig.retention.tidy()
    assert rig.store.asked == [
        "answers", *["expired"] * 3, "limit 1", *["unused 2"] * 2, *["photographs 3"] * 2,
        *["gone 4"] * 3, "receipts 5",
    ]  # fmt: skip
    assert rig.said == [
        ("consent.expire", WHO), ("consent.expire", WHO), ("consent.limit", None), ("templates.unused", WHO),
        ("photographs.expire", WHO), ("person.erase", WHO), ("person.erase", OTHER),
        ("receipts.expire", None),
    ]  # fmt: skip
    assert {e.draft.data["actor"] for e, _ in rig.journal.events} == {"retention"}


async def test_who_is_erased_by_rule_gets_a_receipt_that_names_the_event():
    rig = Rig(erase_left_after_days=30)
    rig.store.left[:] = [WHO]
    await rig.retention.tidy()
    _, _, said = taken_apart(rig.erased.kept[0])
    (event,) = [e for e, _ in rig.journal.events]
    assert (said["by"], said["event"], said["gateway"]) == ("retention", event.event_id, event.gateway_id)
    assert said["destroyed"] == event.draft.data["before"] == {"keys": 1, "people": 1}


async def test_a_whole_round_comes_at_start_and_every_hour():
    rig = Rig(photographs_days=3)
    rounds = []
    for _ in range(3):
        await rig.retention.look()
        rounds.append(rig.store.asked.count("photographs 3"))
        rig.clock.advance(1801)
    assert rounds == [1, 1, 2]


async def test_an_expired_consent_does_not_wait_for_the_hour():
    rig = Rig()
    await rig.retention.look()
    rig.store.expired = [ENDED]
    rig.clock.advance(1)
    await rig.retention.look()
    assert rig.said == [("consent.expire", WHO)]


async def test_a_round_that_failed_is_tried_again_within_a_minute():
    rig = Rig(photographs_days=3)
    rig.store.away = True
    with pytest.raises(DatabaseUnavailable):
        await rig.retention.look()
    rig.store.away = False
    rig.clock.advance(5)
    await rig.retention.look()
    assert "photographs 3" not in rig.store.asked
    rig.clock.advance(60)
    await rig.retention.look()
    assert "photographs 3" in rig.store.asked


async def test_the_task_outlives_an_absent_database_and_a_full_disk():
    rig = Rig()
    rig.store.away = True
    task = asyncio.create_task(rig.retention.run())
    try:
        async with asyncio.timeout(10):
            while len(rig.store.asked) < 3:
                rig.clock.advance(61)
                await asyncio.sleep(0)
            rig.store.away, rig.journal.full, rig.store.expired = False, True, [ENDED, ENDED]
            while len(rig.store.expired) > 1:  # taken, and refused by the journal
                await asyncio.sleep(0)
            rig.journal.full = False
            while not rig.said:
                await asyncio.sleep(0)
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_who_came_back_at_the_last_moment_stays():
    rig = Rig(erase_left_after_days=30)
    looks = iter([[WHO], []])

    async def gone(days):
        return next(looks)

    rig.store.gone = gone
    await rig.retention.tidy()
    assert rig.said == []
    assert rig.erased.kept == []

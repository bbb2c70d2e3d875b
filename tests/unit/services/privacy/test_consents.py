"""When a consent ends, and what is said of it in the record."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.accounts import Actor, Role
from gateway.domain.consent import Destroyed, How
from gateway.domain.errors import InvalidInput, JournalUnavailable
from gateway.domain.ids import PersonId
from gateway.services.privacy.consents import ConsentDesk
from gateway.services.witness import Record
from tests.fakes.clock import FakeClock
from tests.fakes.consent_store import FakeConsentStore
from tests.fakes.journal import FakeJournal
from tests.fakes.sealer import FakeSealer

HR = Actor(id="account:hr", roles=frozenset({Role.HR}), address="192.0.2.7")
WHO = PersonId("0b3c7f8e-45a2-4f0e-9a52-3f6f1c1f7f11")
TEXT = "2026-01-en"
NOW = FakeClock().now()


class Desk:
    def __init__(self, valid_days: int | None = None) -> None:
        self.clock, self.journal = FakeClock(), FakeJournal()
        self.store = FakeConsentStore(self.clock, {WHO: "active"}, {WHO: Destroyed(templates=2)})
        self.use = ConsentDesk(
            store=self.store,
            acted=Record(self.journal, self.clock, FakeSealer()).acted,
            clock=self.clock,
            valid_days=valid_days,
        )

    async def give(self, **more):
        if not self.store.known:
            await self.use.add_text(HR, version=TEXT, language="en", body="I agree")
        return await self.use.give(HR, WHO, **{"text_version": TEXT, "how": How.PAPER} | more)

    @property
    def said(self):
        return [dict(e.draft.data) for e, _ in self.journal.events]


async def test_without_a_rule_a_consent_lasts_until_it_is_withdrawn():
    desk = Desk()
    given_ = await desk.give()
    assert (given_.given_at, given_.expires_at, given_.recorded_by) == (NOW, None, HR.id)
    assert given_.in_force(NOW + timedelta(days=36_500))


async def test_with_a_rule_it_ends_by_itself():
    given_ = await Desk(365).give(given_at=NOW - timedelta(days=5))
    assert given_.expires_at == NOW + timedelta(days=360)


@pytest.mark.parametrize(
    "more",
    [
        {"given_at": NOW + timedelta(hours=1)},
        {"given_at": NOW - timedelta(days=365)},
        {"given_at": NOW - timedelta(days=364), "expires_at": NOW + timedelta(days=2)},
        {"expires_at": NOW},
        {"expires_at": NOW - timedelta(days=1)},
    ],
    ids=["future", "too old", "too long", "ends now", "over"],
)
async def test_a_consent_that_could_not_be_in_force_is_refused(more):
    desk = Desk(365)
    with pytest.raises(InvalidInput) as refused:
        await desk.give(**more)
    assert refused.value.code == "bad_consent"
    assert WHO not in desk.store.consents


@given(
    valid=st.none() | st.integers(1, 5000),
    given_at=st.none() | st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)),  # noqa: DTZ001
    expires_at=st.none() | st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1)),  # noqa: DTZ001
)
async def test_what_is_taken_is_in_force_and_within_the_rule(valid, given_at, expires_at):
    desk = Desk(valid)
    zone = NOW.tzinfo
    try:
        taken = await desk.give(
            given_at=given_at and given_at.replace(tzinfo=zone),
            expires_at=expires_at and expires_at.replace(tzinfo=zone),
        )
    except InvalidInput:
        return
    assert taken.in_force(NOW)
    if valid is not None:
        assert taken.expires_at is not None
        assert taken.expires_at <= taken.given_at + timedelta(days=valid)


async def test_texts_consents_renewals_and_withdrawals_are_on_record_without_words():
    desk = Desk()
    await desk.give(note="in Ada Lovelace's folder")
    await desk.give()
    await desk.use.withdraw(HR, WHO)
    actions = [(one["action"], one["actor"]) for one in desk.said]
    assert actions == [
        (name, HR.id) for name in ("consent_text.add", "consent.give", "consent.renew", "consent.withdraw")
    ]
    assert desk.said[-1]["before"] == {"templates": 2, "photographs": 0}
    assert "Ada" not in str(desk.said)
    assert "I agree" not in str(desk.said)


async def test_what_cannot_be_recorded_is_not_done():
    desk = Desk()
    await desk.give()
    desk.journal.full = True
    with pytest.raises(JournalUnavailable):
        await desk.use.withdraw(HR, WHO)
    assert desk.store.held
    with pytest.raises(JournalUnavailable):
        await desk.give()
    assert len(desk.store.consents[WHO]) == 1

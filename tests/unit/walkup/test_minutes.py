"""What a machine says goes on record with its names, and what it wants is done in turn and in time."""

import asyncio

from gateway.domain.door_state import Notice, RelockNow, Renew
from gateway.domain.events import EventKind
from gateway.domain.ids import GrantId
from gateway.walkup.minutes import Wishes
from tests.fakes.clock import FakeClock
from tests.fakes.portal_stage import PERSON, Stage, turn


def notice(kind: EventKind, grant: str | None = "g") -> Notice:
    return Notice(kind=kind, grant_id=None if grant is None else GrantId(grant), data={"passage": "opened"})


async def test_a_notice_of_a_grant_bears_its_names() -> None:
    stage = Stage()
    minutes = stage.minutes("main")
    minutes.granted(stage.grant())
    minutes.write(notice(EventKind.ACCESS_TAKEN))
    (draft,) = await stage.recorded()
    assert (draft.person_id, draft.access_point_id, draft.grant_id) == (PERSON, "main-in", "g")
    assert draft.data == {"door": "main", "passage": "opened"}


async def test_a_passage_ends_its_grant_and_nothing_else_does() -> None:
    stage = Stage()
    minutes = stage.minutes("main")
    minutes.granted(stage.grant())
    for kind in (EventKind.DOOR_MODE, EventKind.ACCESS_NOT_TAKEN, EventKind.ACCESS_TAKEN):
        minutes.write(notice(kind))
    named = [(d.kind, d.person_id) for d in await stage.recorded()]
    assert named == [
        (EventKind.DOOR_MODE, PERSON),
        (EventKind.ACCESS_NOT_TAKEN, PERSON),
        (EventKind.ACCESS_TAKEN, None),
    ]


async def test_a_notice_of_nobodys_grant_names_nobody() -> None:
    stage = Stage()
    minutes = stage.minutes("main")
    minutes.granted(stage.grant())
    minutes.write(notice(EventKind.DOOR_ALARM, None))
    minutes.forget(GrantId("g"))
    minutes.write(notice(EventKind.ACCESS_TAKEN))
    assert [d.person_id for d in await stage.recorded()] == [None, None]


async def test_notices_wait_in_order_while_nothing_can_be_written() -> None:
    stage = Stage()
    minutes = stage.minutes("main")
    stage.journal.full = True
    minutes.write(notice(EventKind.DOOR_MODE, None))
    minutes.write(notice(EventKind.DOOR_ALARM, None))
    assert not await stage.recorder.flush()
    assert stage.journal.kinds() == []
    stage.journal.full = False
    assert [d.kind for d in await stage.recorded()] == [EventKind.DOOR_MODE, EventKind.DOOR_ALARM]


async def test_wishes_are_carried_out_in_turn() -> None:
    wishes = Wishes(FakeClock())
    wishes.add(Renew("one"))
    wishes.add(RelockNow())
    assert [await wishes.next(None), await wishes.next(None)] == [Renew("one"), RelockNow()]


async def test_a_time_that_has_come_ends_the_wait() -> None:
    clock = FakeClock()
    assert await Wishes(clock).next(clock.mono_ns - 1) is None


async def test_without_a_time_it_waits_for_news() -> None:
    wishes = Wishes(FakeClock())
    waiting = asyncio.ensure_future(wishes.next(None))
    await turn()
    assert not waiting.done()
    wishes.wake()
    assert await waiting is None


async def test_a_wish_made_while_it_waits_is_the_answer() -> None:
    clock = FakeClock()
    wishes = Wishes(clock)
    waiting = asyncio.ensure_future(wishes.next(clock.mono_ns + 60 * 10**9))
    await turn()
    wishes.add(RelockNow())
    assert await waiting == RelockNow()


async def test_a_wait_that_is_cancelled_takes_no_wish_with_it() -> None:
    wishes = Wishes(FakeClock())
    waiting = asyncio.ensure_future(wishes.next(None))
    await turn()
    wishes.add(RelockNow())
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert waiting.cancelled()
    assert await wishes.next(None) == RelockNow()

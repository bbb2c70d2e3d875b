"""What every lock keeps to, whatever moves it."""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from gateway.domain.decisions import Grant
from gateway.domain.doors import Lease, Link, Outcome
from gateway.domain.errors import InvariantBroken
from gateway.domain.ids import AccessPointId, GrantId, PersonId
from gateway.ports import Door
from gateway.telemetry.clock import SystemClock
from tests.fakes.door import FakeDoor
from tests.fakes.held_board import HeldBoard, held_profile
from tests.fakes.modbus_rig import Rig, rig, until


def grant(number: int = 1, *, ttl_s: float = 1.5) -> Grant:
    return Grant(
        grant_id=GrantId(f"grant-{number}"),
        access_point_id=AccessPointId("door-1"),
        person_id=PersonId("person"),
        expires_ns=time.monotonic_ns() + int(ttl_s * 1e9),
    )


class Lock(ABC):
    """How to see and to disturb the lock under test."""

    @pytest.fixture
    @abstractmethod
    def door(self) -> AsyncIterator[Door]:
        """Access point "door-1", not started."""

    @abstractmethod
    def pulses(self) -> int:
        """How often the lock has been released so far."""

    @abstractmethod
    def released(self) -> bool:
        """Whether it is released now."""

    @abstractmethod
    async def break_link(self) -> None:
        """The lock cannot be reached from now on."""

    async def ready(self, door: Door) -> None:
        await door.start()
        await until(lambda: door.health().ready)


class DoorOnTheWire(Lock):
    """What each device must show for itself."""

    async def test_nothing_is_sent_before_start(self, door: Door) -> None:
        actuation = await door.unlock(grant())
        assert (actuation.outcome, actuation.frames_sent, actuation.sent_ns) == (Outcome.NOT_SENT, 0, None)
        assert self.pulses() == 0

    async def test_a_grant_releases_once_and_the_outcome_is_proven(self, door: Door) -> None:
        await self.ready(door)
        before = time.monotonic_ns()
        actuation = await door.unlock(grant())
        assert actuation.outcome is Outcome.CONFIRMED
        assert actuation.frames_sent == 1
        assert actuation.sent_ns is not None
        assert before <= actuation.sent_ns <= actuation.done_ns <= time.monotonic_ns()
        assert actuation.evidence
        assert self.pulses() == 1
        assert self.released()

    async def test_the_same_grant_again_sends_nothing_and_says_the_same(self, door: Door) -> None:
        await self.ready(door)
        first = await door.unlock(grant())
        assert await door.lock()
        assert await door.unlock(grant()) == first
        assert self.pulses() == 1

    async def test_lock_ends_the_release(self, door: Door) -> None:
        await self.ready(door)
        await door.unlock(grant())
        assert await door.lock() is True
        assert not self.released()

    async def test_without_a_link_nothing_is_sent_and_health_says_so(self, door: Door) -> None:
        await self.ready(door)
        await self.break_link()
        await until(lambda: not door.health().ready)
        assert (await door.unlock(grant())).outcome is Outcome.NOT_SENT
        assert await door.lock() is False
        assert self.pulses() == 0

    async def test_health_is_known_before_the_start(self, door: Door) -> None:
        health = door.health()
        assert health.door_id == door.door_id == "door-1"
        assert health.link is Link.DOWN
        assert not health.ready

    async def test_start_and_aclose_may_be_called_twice(self, door: Door) -> None:
        await self.ready(door)
        await door.start()
        assert (await door.unlock(grant())).outcome is Outcome.CONFIRMED
        await door.aclose()
        await door.aclose()
        assert not self.released()
        assert (await door.unlock(grant(2))).outcome is Outcome.NOT_SENT
        assert self.pulses() == 1

    async def test_aclose_before_start_does_nothing(self, door: Door) -> None:
        await door.aclose()
        assert self.pulses() == 0


class DoorRules(Lock):
    """What decides before anything is sent: the same for every device of a kind."""

    async def test_the_same_grant_twice_at_once_releases_once(self, door: Door) -> None:
        await self.ready(door)
        one, other = await asyncio.gather(door.unlock(grant()), door.unlock(grant()))
        assert one == other
        assert self.pulses() == 1

    async def test_an_expired_grant_sends_nothing(self, door: Door) -> None:
        await self.ready(door)
        actuation = await door.unlock(grant(ttl_s=-0.001))
        assert (actuation.outcome, actuation.frames_sent) == (Outcome.NOT_SENT, 0)
        assert self.pulses() == 0

    async def test_an_expired_grant_stays_unsent_even_if_asked_again_with_more_time(self, door: Door) -> None:
        await self.ready(door)
        await door.unlock(grant(ttl_s=-0.001))
        assert (await door.unlock(grant(ttl_s=5))).outcome is Outcome.NOT_SENT
        assert self.pulses() == 0

    async def test_a_grant_for_another_access_point_is_a_bug(self, door: Door) -> None:
        await self.ready(door)
        with pytest.raises(InvariantBroken, match="door-2"):
            await door.unlock(replace(grant(), access_point_id=AccessPointId("door-2")))
        assert self.pulses() == 0

    async def test_a_lease_is_an_order_of_nobody_in_particular(self, door: Door) -> None:
        await self.ready(door)
        lease = Lease(grant_id=GrantId("lease-1"), expires_ns=time.monotonic_ns() + 10**9)
        assert (await door.unlock(lease)).outcome is Outcome.CONFIRMED
        assert self.pulses() == 1

    async def test_a_cancelled_grant_is_never_carried_out_again(self, door: Door) -> None:
        await self.ready(door)
        task = asyncio.create_task(door.unlock(grant()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        pulses = self.pulses()
        again = await door.unlock(grant())
        assert again.outcome in {Outcome.NOT_SENT, Outcome.AMBIGUOUS}
        assert self.pulses() <= max(1, pulses)
        if again.outcome is Outcome.NOT_SENT:
            assert self.pulses() == 0


class DoorContract(DoorOnTheWire, DoorRules):
    """Subclass it and say how to see and to disturb the lock; the tests are inherited."""


class TestFakeDoor(DoorContract):
    fake: FakeDoor

    @pytest.fixture
    async def door(self) -> AsyncIterator[Door]:
        self.fake = FakeDoor(SystemClock())
        yield self.fake
        await self.fake.aclose()

    def pulses(self) -> int:
        return len(self.fake.pulses)

    def released(self) -> bool:
        return self.fake.on

    async def break_link(self) -> None:
        self.fake.set_link(Link.DOWN)


class TestRelayDoor(DoorContract):
    rig: Rig

    @pytest.fixture
    async def door(self) -> AsyncIterator[Door]:
        async with rig(start=False) as self.rig:
            yield self.rig.door

    def pulses(self) -> int:
        return self.rig.board.pulses(1)

    def released(self) -> bool:
        return self.rig.board.is_on(1)

    async def break_link(self) -> None:
        await self.rig.board.refuse()


class TestHeldDoor(TestRelayDoor):
    """Class B: the driver ends the pulse."""

    @pytest.fixture
    async def door(self) -> AsyncIterator[Door]:
        async with rig(board=HeldBoard(), known=held_profile(), start=False) as self.rig:
            yield self.rig.door

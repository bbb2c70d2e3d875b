"""What a portal stands on, in memory: a clock, a journal that can be slow, and a lock that looks at it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from gateway.domain.decisions import Grant
from gateway.domain.door_state import HoldOpen, Phase
from gateway.domain.doors import Actuation, Outcome, Release
from gateway.domain.events import Event, EventDraft
from gateway.domain.ids import AccessPointId, DoorId, GrantId, PersonId
from gateway.domain.readings import Direction, Readings
from gateway.walkup.door_portal import DoorPortal
from gateway.walkup.minutes import Minutes
from gateway.walkup.recorder import Recorder
from tests.fakes.clock import FakeClock
from tests.fakes.door import FakeDoor
from tests.fakes.door_story import S, acted, config
from tests.fakes.journal import FakeJournal

PERSON = PersonId("p0")


class SlowJournal(FakeJournal):
    """Appends wait while ``gate`` is shut."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked = 0

    async def append(self, *drafts: EventDraft) -> tuple[Event, ...]:
        self.asked += 1
        await self.gate.wait()
        return await super().append(*drafts)


class WatchedLock(FakeDoor):
    """Notes what was on record whenever it was asked to do something."""

    def __init__(self, clock: FakeClock, journal: FakeJournal, door_id: str) -> None:
        super().__init__(clock, door_id)
        self.journal = journal
        self.recorded: list[list[str]] = []
        self.relocks = 0

    async def unlock(self, order: Release) -> Actuation:
        self.recorded.append(self.journal.kinds())
        return await super().unlock(order)

    async def lock(self) -> bool:
        self.relocks += 1
        self.recorded.append(self.journal.kinds())
        return await super().lock()


class Stage:
    """Nothing is written by itself: a portal that needs the record must see to it."""

    def __init__(self) -> None:
        self.clock, self.journal = FakeClock(), SlowJournal()
        self.recorder = Recorder(self.journal, self.clock)
        self.seq = 0

    def minutes(self, door: str) -> Minutes:
        return Minutes(door_id=DoorId(door), recorder=self.recorder, clock=self.clock)

    def lock(self, door: str) -> WatchedLock:
        return WatchedLock(self.clock, self.journal, door)

    def readings(self, **more: object) -> Readings:
        self.seq += 1
        told = {"output_on": False, **more}
        return Readings(at_ns=self.clock.mono_ns, seq=self.seq, **told)

    def grant(self, name: str = "g", door: str = "main") -> Grant:
        return Grant(
            grant_id=GrantId(name),
            access_point_id=AccessPointId(f"{door}-in"),
            person_id=PERSON,
            expires_ns=self.clock.mono_ns + 10**9,
        )

    async def recorded(self) -> list[EventDraft]:
        """Everything on record, with what still waited."""
        assert await self.recorder.flush()
        return [event.draft for event, _ in self.journal.events]


class House(Stage):
    """One door at work."""

    def __init__(self, **changes: object) -> None:
        super().__init__()
        self.door = self.lock("main")
        self.states: list[Phase] = []
        self.portal = DoorPortal(
            door_id=DoorId("main"),
            config=config(**changes),
            lock=self.door,
            journal=self.journal,
            minutes=self.minutes("main"),
            clock=self.clock,
            on_state=lambda _door, state: self.states.append(state.phase),
        )
        self.look()

    def look(self, **on: bool | None) -> None:
        says = {s: on.get(s.value, False) for s in sorted(self.portal.config.fitted)}
        self.portal.look(self.readings(on=says))

    def watch(self, seconds: float, **on: bool | None) -> None:
        for _ in range(round(seconds * 10)):
            self.look(**on)
            self.clock.advance(0.1)

    def hold(self, seconds: float = 60) -> HoldOpen:
        return HoldOpen(order_id="order", until_ns=self.clock.mono_ns + int(seconds * S))

    def pass_grant(self, name: str = "g", outcome: Outcome | None = Outcome.CONFIRMED) -> None:
        grant = self.grant(name)
        assert self.portal.reserve(grant, Direction.IN) is None
        self.portal.released(grant, Direction.IN)
        self.portal.settled(grant, None if outcome is None else acted(outcome))


async def turn() -> None:
    """Every task that can go on does."""
    for _ in range(30):
        await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def running(run: Callable[[], object]) -> AsyncIterator[asyncio.Task[None]]:
    """A part at work; cancelled in the end, and never broken."""
    task = asyncio.ensure_future(run())
    await turn()
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

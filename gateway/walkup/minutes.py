"""What a door's or a turnstile's state machine says, on record and in turn."""

import asyncio
import contextlib
from collections import deque
from dataclasses import dataclass, field

from gateway.domain.decisions import Grant
from gateway.domain.door_state import Effect, Notice
from gateway.domain.events import EventDraft, EventKind
from gateway.domain.ids import DoorId, GrantId
from gateway.ports import Clock
from gateway.walkup.recorder import Recorder

_PASSAGES = frozenset({EventKind.ACCESS_TAKEN, EventKind.ACCESS_NOT_TAKEN})


@dataclass(slots=True, kw_only=True)
class Minutes:
    """Writes notices, with the names that belong to their grants."""

    door_id: DoorId
    recorder: Recorder
    clock: Clock
    _grants: dict[GrantId, Grant] = field(default_factory=dict)

    def granted(self, grant: Grant) -> None:
        """Remember whose grant it is until its passage is known."""
        self._grants[grant.grant_id] = grant

    def forget(self, grant_id: GrantId) -> None:
        """It moved nothing: there will be no passage."""
        self._grants.pop(grant_id, None)

    def write(self, notice: Notice) -> None:
        """Record it soon, in order; a passage ends its grant."""
        grant = self._grants.get(notice.grant_id) if notice.grant_id is not None else None
        if grant is not None and notice.kind in _PASSAGES:
            del self._grants[grant.grant_id]
        self.recorder.take(
            EventDraft(
                kind=notice.kind,
                at=self.clock.now(),
                mono_ns=self.clock.monotonic_ns(),
                access_point_id=grant.access_point_id if grant else None,
                person_id=grant.person_id if grant else None,
                grant_id=notice.grant_id,
                data={"door": self.door_id, **notice.data},
            )
        )


@dataclass(slots=True)
class Wishes:
    """What a machine wants done, for the one task that does it."""

    clock: Clock
    _waiting: deque[Effect] = field(default_factory=deque)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, wish: Effect) -> None:
        """To be done soon, in order."""
        self._waiting.append(wish)
        self._news.set()

    def wake(self) -> None:
        """The machine's next time may have changed."""
        self._news.set()

    async def next(self, due_ns: int | None) -> Effect | None:
        """The next wish; None when ``due_ns`` has come, or may have changed."""
        if self._waiting:
            return self._waiting.popleft()
        self._news.clear()
        left = None if due_ns is None else max(0.0, (due_ns - self.clock.monotonic_ns()) / 1e9)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(left):
                await self._news.wait()
        return self._waiting.popleft() if self._waiting else None

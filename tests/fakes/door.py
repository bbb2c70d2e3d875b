"""A lock in memory that keeps to ``ports.Door``; outcomes and troubles on request."""

import asyncio
from collections.abc import Callable

from gateway.domain.doors import Actuation, DoorHealth, Link, Outcome, Release
from gateway.domain.errors import InvariantBroken
from gateway.domain.ids import AccessPointId, DoorId, GrantId
from gateway.ports import Clock


class FakeDoor:
    def __init__(
        self,
        clock: Clock,
        door_id: str = "door-1",
        on_health: Callable[[DoorHealth], None] = lambda _: None,
    ) -> None:
        self.door_id = DoorId(door_id)
        self.serves = frozenset({AccessPointId(door_id)})
        self.outcome = Outcome.CONFIRMED
        self.takes_s = 0.0
        self.pulses: list[GrantId] = []
        self.on = False
        self.alarms: frozenset[str] = frozenset()
        self._clock, self._on_health = clock, on_health
        self._link = Link.DOWN
        self._known: dict[GrantId, asyncio.Future[Actuation]] = {}
        self._closed = False

    def set_link(self, link: Link) -> None:
        self._link = link
        self._on_health(self.health())

    async def start(self) -> None:
        if self._link is Link.DOWN and not self._closed:
            self.on = False
            self.set_link(Link.UP)

    async def unlock(self, order: Release) -> Actuation:
        point = getattr(order, "access_point_id", None)
        if point is not None and point not in self.serves:
            raise InvariantBroken(f"grant for {point} was given to door {self.door_id}")
        if order.grant_id in self._known:
            return await asyncio.shield(self._known[order.grant_id])
        result = self._known[order.grant_id] = asyncio.get_running_loop().create_future()
        sent_ns = self._clock.monotonic_ns()
        if self._link is not Link.UP or self._closed:
            result.set_result(self._end(Outcome.NOT_SENT, None, "door not ready"))
        elif sent_ns >= order.expires_ns:
            result.set_result(self._end(Outcome.NOT_SENT, None, "expired"))
        elif self.outcome is Outcome.NOT_SENT:
            result.set_result(self._end(Outcome.NOT_SENT, None, "told so"))
        else:
            await self._pulse(order, sent_ns, result)
        return result.result()

    async def _pulse(self, order: Release, sent_ns: int, result: asyncio.Future[Actuation]) -> None:
        if self.outcome is not Outcome.REFUSED:
            self.pulses.append(order.grant_id)
            self.on = True
        try:
            await asyncio.sleep(self.takes_s)
        except asyncio.CancelledError:
            result.set_result(self._end(Outcome.AMBIGUOUS, sent_ns, "cancelled"))
            raise
        result.set_result(self._end(self.outcome, sent_ns, "told so"))

    async def lock(self) -> bool:
        if self._link is Link.DOWN:
            return False
        self.on = False
        return True

    def health(self) -> DoorHealth:
        return DoorHealth(
            door_id=self.door_id,
            link=self._link,
            detail="fake",
            last_ok_ns=None,
            rtt_p99_ms=None,
            failures=0,
            alarms=self.alarms,
        )

    async def aclose(self) -> None:
        self.on, self._closed = False, True
        self._link = Link.DOWN

    def _end(self, outcome: Outcome, sent_ns: int | None, evidence: str) -> Actuation:
        return Actuation(
            outcome=outcome,
            sent_ns=sent_ns,
            done_ns=self._clock.monotonic_ns(),
            evidence=evidence,
            frames_sent=int(sent_ns is not None),
        )

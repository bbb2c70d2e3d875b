"""A lock in memory that keeps to ``ports.Door``; outcomes and troubles on request."""

import asyncio
from collections.abc import Callable

from gateway.domain.decisions import Grant
from gateway.domain.doors import Actuation, DoorHealth, Link, Outcome
from gateway.domain.errors import InvariantBroken
from gateway.domain.ids import AccessPointId, GrantId
from gateway.ports import Clock


class FakeDoor:
    def __init__(
        self,
        clock: Clock,
        access_point_id: str = "door-1",
        on_health: Callable[[DoorHealth], None] = lambda _: None,
    ) -> None:
        self.access_point_id = AccessPointId(access_point_id)
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

    async def unlock(self, grant: Grant) -> Actuation:
        if grant.access_point_id != self.access_point_id:
            raise InvariantBroken(f"grant for {grant.access_point_id} was given to {self.access_point_id}")
        if grant.grant_id in self._known:
            return await asyncio.shield(self._known[grant.grant_id])
        result = self._known[grant.grant_id] = asyncio.get_running_loop().create_future()
        sent_ns = self._clock.monotonic_ns()
        if self._link is not Link.UP or self._closed:
            result.set_result(self._end(Outcome.NOT_SENT, None, "door not ready"))
        elif sent_ns >= grant.expires_ns:
            result.set_result(self._end(Outcome.NOT_SENT, None, "expired"))
        elif self.outcome is Outcome.NOT_SENT:
            result.set_result(self._end(Outcome.NOT_SENT, None, "told so"))
        else:
            await self._pulse(grant, sent_ns, result)
        return result.result()

    async def _pulse(self, grant: Grant, sent_ns: int, result: asyncio.Future[Actuation]) -> None:
        if self.outcome is not Outcome.REFUSED:
            self.pulses.append(grant.grant_id)
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
            access_point_id=self.access_point_id,
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

"""One access point's road: sighting → identity → decision → grant, and the record of each."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from gateway.domain.access import Rules, Situation, decide
from gateway.domain.decisions import Deny, DenyReason, Grant
from gateway.domain.doors import Outcome
from gateway.domain.errors import JournalUnavailable
from gateway.domain.events import EventDraft, EventKind
from gateway.domain.gallery import Gallery
from gateway.domain.identity import Policy, Undecided, identify, strength
from gateway.domain.ids import GrantId, ModelId, uuid7
from gateway.domain.people import Roster
from gateway.domain.readings import Direction
from gateway.domain.sightings import Settled, Sighting
from gateway.ports import Clock, Journal
from gateway.walkup.attempts import PASSING, Attempts, TrackKey, key
from gateway.walkup.decided import Decided, Look, describe, evidence_ns, facts
from gateway.walkup.door_actor import DoorActor, GrantOrder, Passage

_log = structlog.get_logger(__name__)

_MOVED = frozenset({Outcome.CONFIRMED, Outcome.SENT, Outcome.AMBIGUOUS})


@dataclass(slots=True, kw_only=True)
class Entrance:
    """Decides on the sightings of one access point. ``run`` is owned by the application's task group."""

    rules: Rules
    direction: Direction
    policy: Callable[[int], Policy]
    """Thresholds for a gallery of so many templates."""
    model_id: ModelId
    roster: Callable[[], Roster | None]
    liveness_available: Callable[[], bool]
    actor: DoorActor
    journal: Journal
    clock: Clock
    on_decided: Callable[[Decided], None]
    settle: Callable[[Sighting, Settled], None]
    """Tells the vision worker that a track has its decision."""
    pulse_ns: int
    _attempts: Attempts = field(default_factory=Attempts)
    _waiting: dict[TrackKey, Sighting] = field(default_factory=dict)
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _open: dict[GrantId, Look] = field(default_factory=dict)
    _considering: bool = False

    def offer(self, sighting: Sighting) -> None:
        """Take a sighting; the newest of a track replaces the one that still waits."""
        self._waiting[key(sighting)] = sighting
        self._news.set()

    @property
    def idle(self) -> bool:
        """Nothing waits to be decided and no grant is under way."""
        return not (self._waiting or self._open or self._considering)

    async def run(self) -> None:
        """Decide on what is offered, until cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            while self._waiting:
                self._considering = True
                try:
                    await self._consider(self._waiting.pop(next(iter(self._waiting))))
                finally:
                    self._considering = False

    async def _consider(self, sighting: Sighting) -> None:
        if not sighting.nearest:
            return
        liveness = self.rules.liveness_required
        roster = self.roster()
        gallery = roster.gallery if roster else Gallery.of(self.model_id, {})
        policy = self.policy(len(gallery.owner))
        evidence = strength(sighting, policy, liveness=liveness)
        if not self._attempts.wants(sighting, evidence, self.clock.monotonic_ns()):
            return
        identity = await asyncio.to_thread(identify, sighting, gallery, policy, liveness=liveness)
        if isinstance(identity, Undecided):
            return
        now = self.clock.monotonic_ns()
        person = getattr(identity, "person_id", None)
        if person is not None and self._attempts.released_for(person, now):
            return
        look = Look(sighting=sighting, identity=identity, gallery=gallery, decided_ns=now)
        # The rules are read from the newest roster: someone may have been suspended since the search began.
        verdict = decide(identity, self.rules, self._situation(sighting, now), self._new_grant())
        if isinstance(verdict, Grant):
            self._grant(look, verdict)
        elif isinstance(verdict, Deny):
            await self._deny(look, verdict, evidence)

    def _situation(self, sighting: Sighting, now_ns: int) -> Situation:
        return Situation(
            now_ns=now_ns,
            now=self.clock.now(),
            evidence_ns=evidence_ns(sighting),
            roster=self.roster(),
            liveness_available=self.liveness_available(),
            door_ready=self.actor.door.health().ready,
            door_busy=self.actor.busy,
            obstacle=self.actor.portal.obstacle(self.direction),
        )

    def _new_grant(self) -> GrantId:
        return GrantId(uuid7(int(self.clock.now().timestamp() * 1000)))

    def _grant(self, look: Look, grant: Grant) -> None:
        self._open[grant.grant_id] = look
        order = GrantOrder(
            grant=grant,
            direction=self.direction,
            facts=facts(look.sighting, look.identity),
            frame_ns=evidence_ns(look.sighting),
        )
        self.actor.offer(order)  # never full: decide() saw a place, and nothing was awaited since
        self._attempts.granted(look.sighting, grant.person_id, look.decided_ns + self.pulse_ns)
        self.settle(look.sighting, Settled.GRANTED)

    async def _deny(self, look: Look, deny: Deny, evidence: float) -> None:
        news = self._attempts.denied(look.sighting, deny.reason, evidence, look.decided_ns)
        self.settle(look.sighting, Settled.AGAIN if deny.reason in PASSING else Settled.DENIED)
        if not news:
            return
        draft = EventDraft(
            kind=EventKind.ACCESS_DENIED,
            at=self.clock.now(),
            mono_ns=self.clock.monotonic_ns(),
            access_point_id=deny.access_point_id,
            person_id=deny.person_id,
            data={"reason": deny.reason.value, **facts(look.sighting, look.identity)},
        )
        try:
            await self.journal.append(draft)
        except JournalUnavailable as error:
            _log.error("denial_not_recorded", access_point=deny.access_point_id, why=str(error))
        self.on_decided(describe(look, deny.access_point_id, person=deny.person_id, reason=deny.reason))

    def passed(self, passage: Passage) -> None:
        """Take the end of a grant from the door's actor, and tell those who watch."""
        grant, act = passage.order.grant, passage.actuation
        look = self._open.pop(grant.grant_id)
        reason = None
        if act is None or act.outcome not in _MOVED:
            reason = passage.refused or DenyReason.DOOR_NOT_READY
            self._attempts.failed(look.sighting, self.clock.monotonic_ns())
            self.settle(look.sighting, Settled.AGAIN)
        self.on_decided(
            describe(
                look,
                grant.access_point_id,
                person=grant.person_id,
                reason=reason,
                grant_id=grant.grant_id,
                actuation=act,
            )
        )

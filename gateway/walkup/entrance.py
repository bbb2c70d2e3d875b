"""One access point's road: sighting → identity → decision → grant, and the record of each."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import structlog

from gateway.domain.access import Rules, Situation, decide
from gateway.domain.decisions import Deny, DenyReason, Grant
from gateway.domain.doors import Outcome
from gateway.domain.errors import JournalUnavailable
from gateway.domain.events import EventDraft, EventKind, Json
from gateway.domain.gallery import Gallery
from gateway.domain.identity import (
    Identity,
    LivenessUnclear,
    Policy,
    PoorImage,
    Undecided,
    identify,
    strength,
)
from gateway.domain.ids import GrantId, ModelId, PersonId, uuid7
from gateway.domain.people import Roster
from gateway.domain.sightings import Sighting
from gateway.ports import Clock, Journal
from gateway.walkup.attempts import Attempts
from gateway.walkup.door_actor import DoorActor, GrantOrder, Passage

_log = structlog.get_logger(__name__)

_MOVED = frozenset({Outcome.CONFIRMED, Outcome.SENT, Outcome.AMBIGUOUS})


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """One decision for those who watch: the console, the demo, a trial."""

    kind: Literal["granted", "denied"]
    access_point_id: str
    person_id: PersonId | None
    reason: DenyReason | None
    outcome: Outcome | None
    score: float | None
    live: float | None
    captured_at: str
    media_time_s: float | None
    latency_ms: float
    """From the deciding frame's arrival to the relay's echo, or to the denial."""
    first_usable_ms: float | None
    """The same end, from the first frame in which the face was usable."""
    stages_ms: dict[str, float]
    grant_id: GrantId | None
    frame_ns: int


Settle = Callable[[Sighting, bool], None]
"""Tells the vision worker that a track has its decision; the flag says whether it was a grant."""


@dataclass(slots=True)
class Entrance:
    """Decides on the sightings of one access point. ``run`` is owned by the application's task group."""

    rules: Rules
    policy: Callable[[int], Policy]
    """Thresholds for a gallery of so many templates."""
    model_id: ModelId
    roster: Callable[[], Roster | None]
    liveness_available: Callable[[], bool]
    door: DoorActor
    journal: Journal
    clock: Clock
    on_decided: Callable[[Decided], None]
    settle: Settle
    pulse_ns: int
    _attempts: Attempts = field(default_factory=Attempts)
    _waiting: dict[tuple[int, int], Sighting] = field(default_factory=dict)
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _identities: dict[GrantId, tuple[Sighting, Identity]] = field(default_factory=dict)

    def offer(self, sighting: Sighting) -> None:
        """Take a sighting; the newest of a track replaces the one that still waits."""
        self._waiting[(sighting.worker_epoch, sighting.track_id)] = sighting
        self._news.set()

    async def run(self) -> None:
        """Decide on what is offered, until cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            while self._waiting:
                await self._consider(self._waiting.pop(next(iter(self._waiting))))

    async def _consider(self, sighting: Sighting) -> None:
        if not sighting.nearest:
            return
        liveness = self.rules.liveness_required
        roster = self.roster()
        gallery = roster.gallery if roster else Gallery.of(self.model_id, {})
        policy = self.policy(len(gallery.owner))
        evidence = strength(sighting, policy, liveness=liveness)
        if not self._attempts.wants(sighting, evidence):
            return
        identity = await asyncio.to_thread(identify, sighting, gallery, policy, liveness=liveness)
        if isinstance(identity, Undecided):
            return
        person = getattr(identity, "person_id", None)
        now = self.clock.monotonic_ns()
        if person is not None and self._attempts.released_for(person, now):
            return
        # The rules are read from the newest roster: someone may have been suspended since the search began.
        situation = self._situation(sighting, self.roster(), now)
        verdict = decide(identity, self.rules, situation, self._new_grant())
        if isinstance(verdict, Grant):
            self._grant(sighting, identity, verdict)
        elif isinstance(verdict, Deny):
            await self._deny(sighting, identity, verdict, evidence)

    def _situation(self, sighting: Sighting, roster: Roster | None, now_ns: int) -> Situation:
        return Situation(
            now_ns=now_ns,
            evidence_ns=sighting.frame_ns,
            roster=roster,
            liveness_available=self.liveness_available(),
            door_ready=self.door.door.health().ready,
            door_busy=self.door.busy,
        )

    def _new_grant(self) -> GrantId:
        return GrantId(uuid7(int(self.clock.now().timestamp() * 1000)))

    def _grant(self, sighting: Sighting, identity: Identity, grant: Grant) -> None:
        order = GrantOrder(grant=grant, facts=_facts(sighting, identity), frame_ns=sighting.frame_ns)
        self._identities[grant.grant_id] = (sighting, identity)
        self.door.offer(order)  # cannot be full: decide() saw that it was not, and nothing awaited since
        self._attempts.granted(sighting, grant.person_id, self.clock.monotonic_ns() + self.pulse_ns)
        self.settle(sighting, True)  # noqa: FBT003  # a callback's only flag

    async def _deny(self, sighting: Sighting, identity: Identity, deny: Deny, evidence: float) -> None:
        news = self._attempts.denied(sighting, deny.reason, evidence)
        self.settle(sighting, False)  # noqa: FBT003
        if not news:
            return
        draft = EventDraft(
            kind=EventKind.ACCESS_DENIED,
            at=self.clock.now(),
            mono_ns=self.clock.monotonic_ns(),
            access_point_id=deny.access_point_id,
            person_id=deny.person_id,
            data={"reason": deny.reason.value, **_facts(sighting, identity)},
        )
        try:
            await self.journal.append(draft)
        except JournalUnavailable as error:
            _log.error("denial_not_recorded", access_point=deny.access_point_id, why=str(error))
        self.on_decided(self._decided(sighting, identity, deny.reason, deny.person_id))

    def passed(self, passage: Passage) -> None:
        """Take the end of a grant from the door's actor, and tell those who watch."""
        grant = passage.order.grant
        sighting, identity = self._identities.pop(grant.grant_id)
        act = passage.actuation
        if act is None or act.outcome not in _MOVED:
            self._attempts.not_opened()
            reason = DenyReason.JOURNAL_UNAVAILABLE if act is None else DenyReason.DOOR_NOT_READY
            self.on_decided(self._decided(sighting, identity, reason, grant.person_id, passage))
            return
        self.on_decided(self._decided(sighting, identity, None, grant.person_id, passage))

    def _decided(
        self,
        sighting: Sighting,
        identity: Identity,
        reason: DenyReason | None,
        person: PersonId | None,
        passage: Passage | None = None,
    ) -> Decided:
        act = passage.actuation if passage else None
        end = act.done_ns if act else self.clock.monotonic_ns()
        stages = sighting.stages
        usable = sighting.first_usable_ns
        return Decided(
            kind="granted" if reason is None else "denied",
            access_point_id=self.rules.access_point_id,
            person_id=person,
            reason=reason,
            outcome=act.outcome if act else None,
            score=getattr(identity, "score", None),
            live=getattr(identity, "live", None),
            captured_at=sighting.captured_at.isoformat(timespec="milliseconds"),
            media_time_s=sighting.media_time_s,
            latency_ms=(end - sighting.frame_ns) / 1e6,
            first_usable_ms=(end - usable) / 1e6 if usable is not None else None,
            stages_ms={name: getattr(stages, name) for name in stages.__slots__},
            grant_id=passage.order.grant.grant_id if passage else None,
            frame_ns=sighting.frame_ns,
        )


def _facts(sighting: Sighting, identity: Identity) -> dict[str, Json]:
    """What the ledger keeps of the evidence: scores and counts, nothing biometric."""
    facts: dict[str, Json] = {
        "camera": sighting.camera_id,
        "track": f"{sighting.worker_epoch}.{sighting.track_id}",
        "samples": len(sighting.samples),
        "frame_at": sighting.captured_at.isoformat(timespec="milliseconds"),
    }
    for name in ("score", "margin", "live"):
        value = getattr(identity, name, None)
        if value is not None:
            facts[name] = round(float(value), 4)
    if isinstance(identity, PoorImage):
        facts["issue"] = identity.issue.value
    if isinstance(identity, LivenessUnclear):
        facts["judged"] = identity.judged
    if sighting.media_time_s is not None:
        facts["media_time_s"] = round(sighting.media_time_s, 3)
    return facts

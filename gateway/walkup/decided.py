"""A decision as those who watch see it, and the facts the ledger keeps of it."""

from dataclasses import dataclass
from typing import Literal

from gateway.domain.decisions import DenyReason
from gateway.domain.doors import Actuation, Outcome
from gateway.domain.events import Json
from gateway.domain.gallery import Gallery
from gateway.domain.identity import Identity, LivenessUnclear, PoorImage
from gateway.domain.ids import AccessPointId, GrantId, PersonId
from gateway.domain.sightings import Sighting


@dataclass(frozen=True, slots=True)
class Evidence:
    """One sample of a decision, in numbers."""

    media_time_s: float | None
    score: float | None
    """Cosine to the nearest enrolled person."""
    live: float | None
    quality: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """One decision. Latencies end with the relay's echo for a grant, with the decision for a denial."""

    kind: Literal["granted", "denied"]
    access_point_id: AccessPointId
    person_id: PersonId | None
    reason: DenyReason | None
    grant_id: GrantId | None
    outcome: Outcome | None
    score: float | None
    live: float | None
    captured_at: str
    media_time_s: float | None
    frame_ns: int
    """Monotonic arrival of the frame that completed the evidence."""
    decided_ns: int
    sent_ns: int | None
    end_ns: int
    first_usable_ns: int | None
    stages_ms: dict[str, float]
    """What the vision worker spent on the deciding frame, by stage."""
    samples: tuple[Evidence, ...]

    @property
    def latency_ms(self) -> float:
        """From the deciding frame's arrival."""
        return (self.end_ns - self.frame_ns) / 1e6

    @property
    def first_usable_ms(self) -> float | None:
        """From the arrival of the first frame in which the face was usable."""
        return None if self.first_usable_ns is None else (self.end_ns - self.first_usable_ns) / 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What was known when a decision was made."""

    sighting: Sighting
    identity: Identity
    gallery: Gallery
    decided_ns: int


def evidence_ns(sighting: Sighting) -> int:
    """Arrival of the newest frame that gave evidence."""
    return max((s.frame_mono_ns for s in sighting.samples), default=sighting.frame_ns)


def describe(
    look: Look,
    access_point_id: AccessPointId,
    *,
    person: PersonId | None,
    reason: DenyReason | None,
    grant_id: GrantId | None = None,
    actuation: Actuation | None = None,
) -> Decided:
    """Put a decision into one record."""
    sighting, stages = look.sighting, look.sighting.stages
    newest = max(sighting.samples, key=lambda s: s.frame_mono_ns, default=None)
    return Decided(
        kind="granted" if reason is None else "denied",
        access_point_id=access_point_id,
        person_id=person,
        reason=reason,
        grant_id=grant_id,
        outcome=actuation.outcome if actuation else None,
        score=getattr(look.identity, "score", None),
        live=getattr(look.identity, "live", None),
        captured_at=sighting.captured_at.isoformat(timespec="milliseconds"),
        media_time_s=newest.media_time_s if newest else sighting.media_time_s,
        frame_ns=evidence_ns(sighting),
        decided_ns=look.decided_ns,
        sent_ns=actuation.sent_ns if actuation else None,
        end_ns=actuation.done_ns if actuation else look.decided_ns,
        first_usable_ns=sighting.first_usable_ns,
        stages_ms={name: float(getattr(stages, name)) for name in stages.__slots__},
        samples=tuple(
            Evidence(
                s.media_time_s,
                look.gallery.search(s.embedding).score if look.gallery.people else None,
                s.live,
                s.quality.score,
            )
            for s in sighting.samples
        ),
    )


def facts(sighting: Sighting, identity: Identity) -> dict[str, Json]:
    """What the ledger keeps of the evidence: scores and counts, nothing biometric."""
    found: dict[str, Json] = {
        "camera": sighting.camera_id,
        "track": f"{sighting.worker_epoch}.{sighting.track_id}",
        "samples": len(sighting.samples),
        "frame_at": sighting.captured_at.isoformat(timespec="milliseconds"),
    }
    for name in ("score", "margin", "live"):
        value = getattr(identity, name, None)
        if value is not None:
            found[name] = round(float(value), 4)
    if isinstance(identity, PoorImage):
        found["issue"] = identity.issue.value
    if isinstance(identity, LivenessUnclear):
        found["judged"] = identity.judged
    if sighting.media_time_s is not None:
        found["media_time_s"] = round(sighting.media_time_s, 3)
    return found

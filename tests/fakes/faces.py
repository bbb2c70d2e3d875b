"""Made-up evidence for tests that need no pictures."""

from datetime import UTC, datetime

import numpy as np

from gateway.domain.faces import Embedding, FaceSample, Quality, QualityIssue, freeze
from gateway.domain.gallery import Gallery
from gateway.domain.identity import Policy
from gateway.domain.ids import AccessPointId, CameraId, ModelId, PersonId
from gateway.domain.people import Person, PersonStatus, Roster
from gateway.domain.sightings import Sighting, StageTimes

MODEL = ModelId("test:0")
DOOR = AccessPointId("door-1")
DIM = 16
NOW_NS = 1_000_000_000_000
POLICY = Policy(threshold=0.5, margin=0.1, agree=3, of=5, live_threshold=0.6)
NO_TIMES = StageTimes(wait=0, motion=0, detect=0, quality=0, liveness=0, embed=0)


def axis(i: int) -> Embedding:
    """A person's ideal embedding: people are orthogonal."""
    return freeze(np.eye(DIM, dtype=np.float32)[i])


def like(i: int, cosine: float, noise: int = DIM - 1) -> Embedding:
    """An embedding at a chosen cosine to person ``i``; the rest points along ``noise``."""
    return freeze(cosine * axis(i) + np.sqrt(1 - cosine**2) * axis(noise))


def quality(score: float = 0.8, *issues: QualityIssue) -> Quality:
    return Quality(
        eye_distance_px=60, sharpness=200, luma=120, yaw=0, pitch=0.5, roll_deg=0, score=score, issues=issues
    )


def sample(
    embedding: Embedding,
    live: float | None = 0.95,
    score: float = 0.8,
    at_ns: int = NOW_NS,
    model: ModelId = MODEL,
) -> FaceSample:
    return FaceSample(
        embedding=embedding,
        model_id=model,
        quality=quality(score),
        live=live,
        frame_seq=1,
        frame_mono_ns=at_ns,
        captured_at=datetime(2026, 3, 1, 8, 0, tzinfo=UTC),
        media_time_s=None,
    )


def sighting(
    *samples: FaceSample,
    track: int = 1,
    epoch: int = 1,
    nearest: bool = True,
    ended: bool = False,
    at_ns: int = NOW_NS,
    first_seen_ns: int = NOW_NS - 500_000_000,
    poor: QualityIssue | None = None,
) -> Sighting:
    return Sighting(
        camera_id=CameraId("cam-1"),
        worker_epoch=epoch,
        track_id=track,
        nearest=nearest,
        samples=samples,
        frames_seen=max(1, len(samples)),
        poor=poor,
        first_seen_ns=first_seen_ns,
        first_usable_ns=first_seen_ns if samples else None,
        frame_ns=at_ns,
        captured_at=datetime(2026, 3, 1, 8, 0, tzinfo=UTC),
        media_time_s=None,
        ended=ended,
        stages=NO_TIMES,
    )


def gallery(people: int = 3) -> Gallery:
    return Gallery.of(MODEL, {PersonId(f"p{i}"): [axis(i)] for i in range(people)})


def person(
    i: int = 0,
    status: PersonStatus = PersonStatus.ACTIVE,
    consented: bool = True,
    access_points: frozenset[AccessPointId] = frozenset({DOOR}),
    consent_until: datetime | None = None,
) -> Person:
    return Person(
        person_id=PersonId(f"p{i}"),
        number=str(i),
        name=f"Person {i}",
        status=status,
        consented=consented,
        access_points=access_points,
        consent_until=consent_until,
    )


def roster(*people: Person, checked_ns: int = NOW_NS, version: int = 1) -> Roster:
    found = people or tuple(person(i) for i in range(3))
    return Roster(
        version=version,
        checked_ns=checked_ns,
        people={p.person_id: p for p in found},
        gallery=Gallery.of(MODEL, {p.person_id: [axis(int(p.number))] for p in found}),
    )

"""Who a track shows: open-set identification over several samples of one track.

The rule after ISO/IEC 19795-1's open-set model: k of the track's n samples must name the same person,
each above the threshold and ahead of the second person by the margin. Where liveness is required only
samples that were themselves judged live or not take part, so that identity and liveness are verdicts
on the same pixels.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median

from gateway.domain.faces import FaceSample, QualityIssue
from gateway.domain.gallery import Gallery, Match
from gateway.domain.ids import PersonId
from gateway.domain.sightings import Sighting


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How much evidence identifies someone."""

    threshold: float
    """Cosine similarity from which two faces count as one person's."""
    margin: float
    agree: int
    """k, at least 2."""
    of: int
    """n, at least k."""
    live_threshold: float
    """Mean liveness over the judged samples from which a track counts as live."""
    patience_ns: int = 2_000_000_000
    """A face that stays unusable for so long is told so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognised:
    """An enrolled person, live where that is required."""

    person_id: PersonId
    score: float
    margin: float
    live: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stranger:
    """Enough good samples, and nobody enrolled."""

    score: float | None
    live: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ambiguous:
    """Two enrolled people fit too evenly, or the samples name different ones."""

    score: float
    margin: float
    live: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoofSuspected:
    """The samples look like a presentation attack; whom they show is of no account."""

    score: float | None
    live: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LivenessUnclear:
    """Enough samples, but on too few of them liveness could be judged."""

    score: float | None
    judged: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PoorImage:
    """A face has been there for a while and gives no usable sample."""

    issue: QualityIssue


@dataclass(frozen=True, slots=True)
class Undecided:
    """More evidence is needed."""


Identity = Recognised | Stranger | Ambiguous | SpoofSuspected | LivenessUnclear | PoorImage | Undecided


def identify(sighting: Sighting, gallery: Gallery, policy: Policy, *, liveness: bool) -> Identity:
    """Identify the person of a track. ``liveness``: only judged samples count, and they must be live.

    Samples of another model than the gallery's are ignored: their embeddings do not compare.
    """
    samples = [s for s in sighting.samples if s.model_id == gallery.model_id and s.quality.usable]
    judged = [s for s in samples if s.live is not None] if liveness else samples
    matches = [gallery.search(s.embedding) for s in judged]
    best = median(m.score for m in matches) if gallery.people and matches else None
    if len(judged) < policy.agree:
        return _too_little(sighting, samples, judged, policy, best)
    live = _mean_live(judged)
    if liveness and not (live is not None and live >= policy.live_threshold):  # NaN is no yes
        # Wait for the full evidence: a verdict that flips with one more sample is no verdict.
        if len(judged) < policy.of and not sighting.ended:
            return Undecided()
        return SpoofSuspected(score=best, live=0.0 if live is None else live)
    return _vote(sighting, matches, policy, best, live)


def _vote(
    sighting: Sighting, matches: Sequence[Match], policy: Policy, best: float | None, live: float | None
) -> Identity:
    over = [m for m in matches if m.person_id is not None and m.score >= policy.threshold]
    clear = [m for m in over if m.margin >= policy.margin]
    votes = Counter(m.person_id for m in over)
    if len(votes) > 1:
        return _ambiguous(over, live)
    if len(clear) >= policy.agree:
        mine = [m for m in clear if m.person_id is not None]
        person = mine[0].person_id
        if person is not None:
            return Recognised(
                person_id=person,
                score=fmean(m.score for m in mine),
                margin=min(m.margin for m in mine),
                live=live,
            )
    if len(matches) < policy.of and not sighting.ended:
        return Undecided()
    if len(over) >= policy.agree:
        return _ambiguous(over, live)
    return Stranger(score=best, live=live)


def _ambiguous(over: Sequence[Match], live: float | None) -> Ambiguous:
    return Ambiguous(score=max(m.score for m in over), margin=min(m.margin for m in over), live=live)


def _too_little(
    sighting: Sighting,
    samples: Sequence[FaceSample],
    judged: Sequence[FaceSample],
    policy: Policy,
    best: float | None,
) -> Identity:
    """What can be said of a track with fewer than k samples that count."""
    if len(samples) >= policy.of or (sighting.ended and len(samples) >= policy.agree):
        return LivenessUnclear(score=best, judged=len(judged))
    waited = sighting.frame_ns - sighting.first_seen_ns
    if waited >= policy.patience_ns and sighting.poor is not None and len(samples) < policy.agree:
        return PoorImage(issue=sighting.poor)
    return Undecided()


def _mean_live(judged: Sequence[FaceSample]) -> float | None:
    scores = [s.live for s in judged if s.live is not None]
    return fmean(scores) if scores else None


def strength(sighting: Sighting, policy: Policy, *, liveness: bool) -> float:
    """How good a track's evidence is: mean quality of its k best samples that count, 0 for too few."""
    counted = sorted(
        (s.quality.score for s in sighting.samples if s.quality.usable and not (liveness and s.live is None)),
        reverse=True,
    )
    return fmean(counted[: policy.agree]) if len(counted) >= policy.agree else 0.0

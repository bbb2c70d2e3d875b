"""Which frames of a track become evidence: the first good ones at once, later only clearly better ones."""

from dataclasses import dataclass, field
from datetime import datetime

from gateway.domain.faces import FaceSample, Quality, QualityIssue
from gateway.domain.sightings import Settled

SPACING_NS = 55_000_000
"""Two pictures nearer in time are the same evidence."""
BETTER = 0.1
_REPLACE_EVERY_NS = 500_000_000
_AGAIN_AFTER_NS = 1_000_000_000
_POOR_AFTER_NS = 2_000_000_000
_POOR_EVERY_NS = 1_000_000_000
_UNJUDGED_AFTER_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Stamp:
    """When a frame arrived, and its place in a recording."""

    mono_ns: int
    captured_at: datetime
    media_time_s: float | None


@dataclass(slots=True)
class Evidence:
    """What one track has given so far."""

    first_seen_ns: int
    newest: Stamp
    """Of the newest frame the face was seen in."""
    samples: list[FaceSample] = field(default_factory=list)
    poor: QualityIssue | None = None
    first_usable_ns: int | None = None
    settled: Settled | None = None
    again_ns: int = 0
    poor_told_ns: int = 0
    last_ns: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampler:
    """The policy. ``of``: samples a track may hold; ``liveness``: unjudged ones are worth little."""

    of: int
    liveness: bool

    def wants(self, evidence: Evidence, now_ns: int) -> bool:
        """Whether this frame is worth judging at all, before anything is known of it."""
        if evidence.settled is Settled.GRANTED or now_ns - evidence.last_ns < SPACING_NS:
            return False
        if evidence.settled is Settled.AGAIN:
            if now_ns < evidence.again_ns:
                return False
            evidence.settled = None
        if evidence.settled is Settled.DENIED or self._full(evidence):
            return now_ns - evidence.last_ns >= _REPLACE_EVERY_NS
        return True

    def worth_embedding(self, evidence: Evidence, quality: Quality, live: float | None, now_ns: int) -> bool:
        """Whether the sample would add to the evidence, now that quality and liveness are known."""
        if self.liveness and live is None and not self._unjudged_allowed(evidence, now_ns):
            return False
        if len(evidence.samples) < self.of:
            return True
        worst = self._worst(evidence)
        return self._rank(quality.score, live) >= self._rank(worst.quality.score, worst.live) + BETTER

    def add(self, evidence: Evidence, sample: FaceSample) -> None:
        """Take a sample that is worth it, in place of the worst when there is no room."""
        if len(evidence.samples) >= self.of:
            evidence.samples.remove(self._worst(evidence))
        evidence.samples.append(sample)
        evidence.last_ns = sample.frame_mono_ns

    def settle(self, evidence: Evidence, settled: Settled, now_ns: int) -> None:
        """Control has decided."""
        evidence.settled = settled
        evidence.again_ns = now_ns + _AGAIN_AFTER_NS
        if settled is Settled.AGAIN:  # at once: what was decided on must not be decided on again
            evidence.samples.clear()
            evidence.first_usable_ns = evidence.poor = None

    def tell_poor(self, evidence: Evidence, now_ns: int) -> bool:
        """True when control should hear that this face stays unusable: at most once a second."""
        if evidence.samples or evidence.poor is None or now_ns - evidence.first_seen_ns < _POOR_AFTER_NS:
            return False
        if now_ns - evidence.poor_told_ns < _POOR_EVERY_NS:
            return False
        evidence.poor_told_ns = now_ns
        return True

    def _full(self, evidence: Evidence) -> bool:
        counted = [s for s in evidence.samples if s.live is not None or not self.liveness]
        return len(counted) >= self.of

    def _unjudged_allowed(self, evidence: Evidence, now_ns: int) -> bool:
        """Without liveness a sample only tells control why the door stays shut; that can wait a second."""
        if evidence.first_usable_ns is None:
            return False
        judged = (s.frame_mono_ns for s in evidence.samples if s.live is not None)
        return now_ns - max(judged, default=evidence.first_usable_ns) >= _UNJUDGED_AFTER_NS

    def _worst(self, evidence: Evidence) -> FaceSample:
        return min(evidence.samples, key=lambda s: self._rank(s.quality.score, s.live))

    def _rank(self, quality: float, live: float | None) -> float:
        return quality - (1.0 if self.liveness and live is None else 0.0)

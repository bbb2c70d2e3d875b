"""Which frames of a track become evidence: the first good ones at once, later only clearly better ones."""

from dataclasses import dataclass, field

from gateway.domain.faces import Embedding, FaceSample, Quality, QualityIssue
from gateway.domain.sightings import Settled
from gateway.vision.timing import Stamp

SPACING_NS = 55_000_000
"""Two pictures nearer in time are the same evidence."""
BETTER = 0.1
SOMEBODY_ELSE = 0.3
"""Cosine to every sample of a track under which a face is somebody else's. Measured with SFace on the AT&T
faces: 97 % of pairs of two people lie under it and 0.4 % of one person's; within one walk-up the least was
0.63."""
_DOUBTS = 2
"""Disagreeing samples in a row that end a track: one may be a blink or a hand."""
_REPLACE_EVERY_NS = 500_000_000
_CHECK_EVERY_NS = 2_000_000_000
_AGAIN_AFTER_NS = 1_000_000_000
_POOR_AFTER_NS = 2_000_000_000
_POOR_EVERY_NS = 1_000_000_000
_UNJUDGED_AFTER_NS = 1_000_000_000
_PICTURES = 64


@dataclass(slots=True)
class Evidence:
    """What one track has given so far."""

    first_seen_ns: int
    newest: Stamp
    """Of the newest frame the face was seen in."""
    sure: Stamp | None = None
    """Of the newest frame that was surely of the samples' person."""
    samples: list[FaceSample] = field(default_factory=list)
    poor: QualityIssue | None = None
    first_usable_ns: int | None = None
    settled: Settled | None = None
    again_ns: int = 0
    poor_told_ns: int = 0
    last_ns: int = 0
    """When a frame was judged last."""
    judged_ns: int = 0
    """When a sample was taken whose liveness could be judged."""
    checked_ns: int = 0
    """When its face was last compared with the samples."""
    doubts: int = 0
    _pictures: list[int] = field(default_factory=list)

    def repeats(self, picture: int) -> bool:
        """True when these very pixels (by their checksum) were offered before: a picture counts once."""
        if picture in self._pictures:
            return True
        self._pictures = [*self._pictures[1 - _PICTURES :], picture]
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampler:
    """The policy. ``of``: samples a track may hold; ``liveness``: unjudged ones are worth little."""

    of: int
    liveness: bool

    def wants(self, evidence: Evidence, now_ns: int) -> bool:
        """Whether a sample of this frame could help, before anything is known of it."""
        if evidence.settled is Settled.GRANTED or now_ns - evidence.last_ns < SPACING_NS:
            return False
        if evidence.settled is Settled.AGAIN:
            if now_ns < evidence.again_ns:
                return False
            evidence.settled = None
        if evidence.settled is Settled.DENIED or self._full(evidence):
            return now_ns - evidence.last_ns >= _REPLACE_EVERY_NS
        return True

    def doubts(self, evidence: Evidence, now_ns: int) -> bool:
        """Whether to look if the face is still the same person's.

        Where two people change places the track's number stays. Without a look now and then, whoever takes
        the place of a settled track would stand before a door that ignores them.
        """
        if not evidence.samples:
            return False
        return now_ns - evidence.checked_ns >= (SPACING_NS if evidence.doubts else _CHECK_EVERY_NS)

    def worth_embedding(self, evidence: Evidence, quality: Quality, live: float | None, now_ns: int) -> bool:
        """Whether the sample would add to the evidence, now that quality and liveness are known."""
        if self.liveness and live is None and not self._unjudged_allowed(evidence, now_ns):
            return False
        if len(evidence.samples) < self.of:
            return True
        worst = self._worst(evidence)
        return self._rank(quality.score, live) >= self._rank(worst.quality.score, worst.live) + BETTER

    def agrees(self, evidence: Evidence, embedding: Embedding, now_ns: int) -> bool:
        """Compare a face with the track's samples; counts disagreement in a row."""
        evidence.checked_ns = now_ns
        nearest = max((float(s.embedding @ embedding) for s in evidence.samples), default=1.0)
        evidence.doubts = 0 if nearest >= SOMEBODY_ELSE else evidence.doubts + 1
        if not evidence.doubts:
            evidence.sure = evidence.newest
        return evidence.doubts == 0

    def somebody_else(self, evidence: Evidence) -> bool:
        """The face of this track has become another person's."""
        return evidence.doubts >= _DOUBTS

    def add(self, evidence: Evidence, sample: FaceSample) -> None:
        """Take a sample that is worth it, in place of the worst when there is no room."""
        if len(evidence.samples) >= self.of:
            worst = self._worst(evidence)
            evidence.samples = [s for s in evidence.samples if s is not worst]
        evidence.samples.append(sample)
        if sample.live is not None:
            evidence.judged_ns = evidence.last_ns

    def settle(self, evidence: Evidence, settled: Settled, now_ns: int) -> None:
        """Control has decided."""
        evidence.settled = settled
        evidence.again_ns = now_ns + _AGAIN_AFTER_NS
        if settled is Settled.AGAIN:  # at once: what was decided on must not be decided on again
            evidence.samples.clear()
            evidence.judged_ns = evidence.doubts = 0
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
        return now_ns - max(evidence.judged_ns, evidence.first_usable_ns) >= _UNJUDGED_AFTER_NS

    def _worst(self, evidence: Evidence) -> FaceSample:
        return min(evidence.samples, key=lambda s: self._rank(s.quality.score, s.live))

    def _rank(self, quality: float, live: float | None) -> float:
        return quality - (1.0 if self.liveness and live is None else 0.0)

"""From a stated false match rate to a threshold on the cosine similarity, and how that is measured.

ISO/IEC 19795-1: the false match rate (FMR) is the share of impostor pairs accepted. Against a gallery of N
templates a stranger gets N chances, so the false positive identification rate is FPIR = 1 - (1 - FMR)^N.
"""

import itertools
import math
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from gateway.domain.errors import InvalidInput
from gateway.domain.faces import Embedding

_RULE_OF_30 = 30
"""Fewer errors than this say too little about a rate (ISO/IEC 19795-1, annex B)."""


class Calibration(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Measured points (false match rate of one comparison, cosine), rates falling, cosines rising."""

    points: tuple[tuple[float, float], ...]
    measured_on: str

    def __post_init__(self) -> None:
        """Refuse points no threshold can come from; msgspec turns the ValueError into its own error."""
        if len(self.points) < 2:
            raise ValueError("a calibration needs two points or more")
        if not all(0 < rate < 1 and -1 < cosine < 1 for rate, cosine in self.points):
            raise ValueError("a calibration point is a rate in 0..1 and a cosine in -1..1")
        if any(b[0] >= a[0] or b[1] <= a[1] for a, b in itertools.pairwise(self.points)):
            raise ValueError("from one calibration point to the next the rate falls and the cosine rises")

    def threshold(self, false_match_rate: float) -> float:
        """Cosine at which impostor comparisons match at this rate.

        Between points linear in log10 of the rate; beyond the last one along the slope of the last decade,
        which is a stated extrapolation and no measurement; never below the lowest measured cosine.
        """
        if not 0 < false_match_rate < 1:
            raise InvalidInput(f"a false match rate lies between 0 and 1, not {false_match_rate}")
        log = np.array([-math.log10(rate) for rate, _ in self.points])
        cosine = np.array([c for _, c in self.points])
        at = -math.log10(false_match_rate)
        if at <= log[-1]:
            return float(np.interp(at, log, cosine))
        first = min(int(np.searchsorted(log, log[-1] - 1.0 - 1e-9)), len(log) - 2)
        slope = (cosine[-1] - cosine[first]) / (log[-1] - log[first])
        return float(min(0.95, cosine[-1] + slope * (at - log[-1])))


def false_match_rate(false_positive_target: float, templates: int) -> float:
    """Rate one comparison may have so that a search over ``templates`` keeps the target (FPIR)."""
    return float(-math.expm1(math.log1p(-false_positive_target) / max(1, templates)))


def measure(people: Sequence[Sequence[Embedding]], measured_on: str) -> Calibration:
    """Calibrate an embedder on pictures of different people, one sequence a person.

    Every pair of pictures of two people is an impostor pair. Rates lie half a decade apart from 0.01 down,
    as deep as thirty pairs still match. Raises InvalidInput for too few pairs.
    """
    scores = np.sort(impostor_scores(people))[::-1]
    points: list[tuple[float, float]] = []
    for half_decades in range(4, 20):
        rate = float(10 ** (-half_decades / 2))
        above = math.floor(rate * scores.size)
        if above < _RULE_OF_30:
            break
        points.append((rate, float(scores[above])))
    if len(points) < 2:
        raise InvalidInput(f"{scores.size} pairs of different people are too few; 10,000 are enough")
    return Calibration(points=tuple(points), measured_on=measured_on)


def impostor_scores(people: Sequence[Sequence[Embedding]]) -> NDArray[np.float32]:
    """Cosine similarity of every pair of pictures of two different people."""
    rows = np.stack([e for person in people for e in person])
    owner = np.repeat(np.arange(len(people)), [len(person) for person in people])
    first, second = np.triu_indices(len(rows), 1)
    pairs = owner[first] != owner[second]
    scores: NDArray[np.float32] = (rows @ rows.T)[first, second][pairs]
    return scores

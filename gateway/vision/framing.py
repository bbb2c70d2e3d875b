"""A rectangle that stands around a face: the edge of paper, the bezel of a tablet.

The liveness network alone passes some prints and screens whose rim is in plain view. Here straight edges
around the face are looked for (Canny; the probabilistic Hough transform of Matas, Galambos and Kittler,
2000) that make two sides parallel to each other with a third across them. Where paper reaches out of the
picture, the picture's own border stands for the missing side.
"""

import itertools
import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from gateway.domain.faces import Box, Image

_FACE = 36
"""Size of the face in the picture that is searched; finer edges are texture."""
_REACH = 3.5
"""How far around the face to look, in face sizes."""
_TILTS = range(-14, 15, 2)
_PARALLEL_DEG = 4.0
_NEAR_PX = 2.2
_ENOUGH = 0.75
"""More would change nothing."""
_MOST = 4
"""Candidate lines a side."""

Lines = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _View:
    """The searched surroundings, face-centred."""

    ends: Lines
    """Lines x 2 x 2: end points relative to the face's centre."""
    angles: Lines
    half: tuple[float, float]
    top: float | None
    """Where the picture's own border is, when it is in reach."""
    bottom: float | None


def framed(image: Image, box: Box) -> float:
    """0..1: how much of a rectangle's sides is there; under 0.4 in front of nearly every live face."""
    view = _view(image, box)
    if view is None:
        return 0.0
    best = 0.0
    for tilt in _TILTS:
        best = max(best, _at_tilt(view, math.radians(tilt)))
        if best >= _ENOUGH:
            break
    return best


def _view(image: Image, box: Box) -> _View | None:
    size = max(box.w, box.h)
    height, width = image.shape[:2]
    cx, cy, reach, scale = box.x + box.w / 2, box.y + box.h / 2, _REACH * size, _FACE / max(size, 1e-6)
    x0, x1 = int(max(0, cx - reach)), int(min(width, cx + reach))
    y0, y1 = int(max(0, cy - reach)), int(min(height, cy + reach))
    if x1 - x0 < 8 or y1 - y0 < 8:
        return None
    grey = cv2.cvtColor(image[y0:y1, x0:x1], cv2.COLOR_BGR2GRAY)
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    small = cv2.GaussianBlur(cv2.resize(grey, None, fx=scale, fy=scale, interpolation=how), (3, 3), 0)
    slope = cv2.magnitude(cv2.Sobel(small, cv2.CV_32F, 1, 0), cv2.Sobel(small, cv2.CV_32F, 0, 1))
    strong = float(np.clip(np.percentile(slope, 90), 18, 90))
    edges = cv2.Canny(np.asarray(small, np.uint8), strong / 2, strong)
    found = cv2.HoughLinesP(edges, 1, np.pi / 360, 18, minLineLength=int(0.7 * _FACE), maxLineGap=4)
    if found is None:
        return None
    centre = np.array([(cx - x0) * scale, (cy - y0) * scale])
    ends = found.reshape(-1, 2, 2).astype(np.float64) - centre
    run = ends[:, 1] - ends[:, 0]
    return _View(
        ends=ends,
        angles=np.degrees(np.arctan2(run[:, 1], run[:, 0])) % 180,
        half=(box.w * scale / 2, box.h * scale / 2),
        top=-float(centre[1]) + 3 if y0 == 0 else None,
        bottom=small.shape[0] - float(centre[1]) - 3 if y1 == height else None,
    )


def _at_tilt(view: _View, tilt: float) -> float:
    """The best rectangle turned by ``tilt``."""
    turn = np.array([[math.cos(tilt), math.sin(tilt)], [-math.sin(tilt), math.cos(tilt)]])
    ends = view.ends @ turn.T
    degrees = math.degrees(tilt)
    upright = np.abs((view.angles - degrees) % 180 - 90) < _PARALLEL_DEG
    level = np.abs((view.angles - degrees + 90) % 180 - 90) < _PARALLEL_DEG
    left, right = (_Side.of(ends[upright], 0, sign, view.half[0]) for sign in (-1, 1))
    above, below = (_Side.of(ends[level], 1, sign, view.half[1]) for sign in (-1, 1))
    tops = [*above.places, *([None] if view.top is not None else [])]
    best = 0.0
    for a, b in itertools.product(left.places, right.places):
        if not 0.3 < a / b < 3.3:  # a face sits somewhere in the middle of its picture
            continue
        for t, u in itertools.product(tops, [*below.places, None]):
            best = max(best, _strength(view, (left, a), (right, b), (above, t), (below, u)))
    return best


def _strength(
    view: _View,
    left: "tuple[_Side, float]",
    right: "tuple[_Side, float]",
    above: "tuple[_Side, float | None]",
    below: "tuple[_Side, float | None]",
) -> float:
    """How well four sides, of which the picture's border may stand for one or two, are covered by edges."""
    t, u = above[1], below[1]
    if t is None and u is None and view.bottom is None:
        return 0.0
    start = -t if t is not None else (view.top or 0.0)
    end = u if u is not None else min(_REACH * _FACE, view.bottom or math.inf)
    uprights = [left[0].covered(left[1], start, end), right[0].covered(right[1], start, end)]
    levels = [side.covered(at, -left[1], right[1]) for side, at in (above, below) if at is not None]
    if len(levels) == 2:
        ordered = sorted(uprights + levels)
        return max(ordered[1], (ordered[2] + ordered[0]) / 2 if ordered[0] > 0.4 else 0.0)
    if levels:
        return min(*uprights, levels[0])
    return 0.9 * min(uprights)


@dataclass(frozen=True, slots=True)
class _Side:
    """Lines on one side of the face: distance from its centre, and where each begins and ends."""

    at: Lines
    low: Lines
    high: Lines
    places: tuple[float, ...]
    """Distances of the longest lines, apart from each other."""

    @classmethod
    def of(cls, ends: Lines, axis: int, sign: int, gap: float) -> "_Side":
        at = ends[:, :, axis].mean(1) * sign
        mine = (at > gap) & (at < _REACH * _FACE)
        at, along = at[mine], ends[mine][:, :, 1 - axis]
        low, high = along.min(1, initial=np.inf), along.max(1, initial=-np.inf)
        places: list[float] = []
        for i in np.argsort(low - high)[: 2 * _MOST]:
            if all(abs(at[i] - p) > 2 for p in places) and len(places) < _MOST:
                places.append(float(at[i]))
        return cls(at, low, high, tuple(places))

    def covered(self, place: float, start: float, end: float) -> float:
        """Share of the way from ``start`` to ``end`` along which there is an edge at this distance."""
        near = np.abs(self.at - place) < _NEAR_PX
        way = np.linspace(start, end, 40)
        on = (way[:, None] >= self.low[near] - 1) & (way[:, None] <= self.high[near] + 1)
        return float(on.any(1).mean())

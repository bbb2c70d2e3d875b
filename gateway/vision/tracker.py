"""Follows faces from frame to frame by overlap and distance."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.domain.faces import Detection

MOST_FACES = 8
MOST_TRACKS = 16
LOST_AFTER_NS = 700_000_000
_LEAST_IOU = 0.25
_FARTHEST = 0.6
"""Distance of centres, in face widths, that is still the same face when boxes do not overlap enough."""
_SIZE_JUMP = 1.6
_SHAPE_JUMP = 0.25
"""Mean way of the landmarks within the face, in face widths. Real people turning their heads were measured
to reach 0.14 in 67 ms."""
_SHAPE_NS = 300_000_000
"""Over a longer gap anybody may have turned."""


@dataclass(slots=True)
class Track:
    """One face while it stays in view."""

    track_id: int
    detection: Detection
    first_seen_ns: int
    seen_ns: int
    frames: int = 1


@dataclass(slots=True)
class Tracker:
    """Numbers faces; a number is never used twice."""

    _tracks: dict[int, Track] = field(default_factory=dict)
    _next: int = 1

    @property
    def live(self) -> int:
        """How many faces are followed."""
        return len(self._tracks)

    def update(
        self, detections: Sequence[Detection], now_ns: int, *, cut: bool
    ) -> tuple[list[Track], list[Track]]:
        """Tracks seen in this frame, largest face first, and tracks that have ended.

        ``cut``: the scene changed as a whole, so nobody in it is who was there before.
        """
        ended = self.end_all() if cut else []
        faces = sorted(detections, key=lambda d: -d.box.w * d.box.h)[:MOST_FACES]
        seen = []
        for face_index, track_id in _pairs(faces, self._tracks, now_ns):
            track = self._tracks[track_id]
            track.detection, track.seen_ns = faces[face_index], now_ns
            track.frames += 1
            seen.append((face_index, track))
        taken = {i for i, _ in seen}
        for i, face in enumerate(faces):
            if i not in taken:
                seen.append((i, self._new(face, now_ns)))
        ended += self._expire(now_ns)
        return [track for _, track in sorted(seen, key=lambda s: s[0])], ended

    def drop(self, track: Track) -> None:
        """Forget one track; its face gets a new number when it is seen again."""
        self._tracks.pop(track.track_id, None)

    def end_all(self) -> list[Track]:
        """Forget everyone; returns whom."""
        ended, self._tracks = list(self._tracks.values()), {}
        return ended

    def _new(self, face: Detection, now_ns: int) -> Track:
        track = Track(self._next, face, now_ns, now_ns)
        self._next += 1
        self._tracks[track.track_id] = track
        return track

    def _expire(self, now_ns: int) -> list[Track]:
        """Who has been away for too long; beyond the cap, who has been away longest."""
        by_age = sorted(self._tracks.values(), key=lambda t: (t.seen_ns, -t.track_id))
        gone = [t for t in by_age if now_ns - t.seen_ns > LOST_AFTER_NS]
        gone += by_age[len(gone) : max(len(gone), len(by_age) - MOST_TRACKS)]
        for track in gone:
            del self._tracks[track.track_id]
        return gone


def _pairs(faces: Sequence[Detection], tracks: dict[int, Track], now_ns: int) -> list[tuple[int, int]]:
    """(face, track) pairs, most alike first; each face and each track is used once at most."""
    found = [
        (_likeness(face, track, now_ns), i, track.track_id)
        for i, face in enumerate(faces)
        for track in tracks.values()
    ]
    chosen: list[tuple[int, int]] = []
    for likeness, face_index, track_id in sorted(found, reverse=True):
        if likeness > 0 and all(face_index != f and track_id != t for f, t in chosen):
            chosen.append((face_index, track_id))
    return chosen


def _likeness(face: Detection, track: Track, now_ns: int) -> float:
    """0 for "cannot be the same"; else overlap, or less than the least overlap by nearness."""
    before = track.detection
    a, b = face.box, before.box
    ratio = math.sqrt((a.w * a.h) / max(b.w * b.h, 1e-6))
    if not 1 / _SIZE_JUMP <= ratio <= _SIZE_JUMP:
        return 0.0
    if now_ns - track.seen_ns <= _SHAPE_NS and _shape_jump(face, before) > _SHAPE_JUMP:
        return 0.0
    iou = a.iou(b)
    if iou >= _LEAST_IOU:
        return iou
    apart = math.hypot(a.x + a.w / 2 - b.x - b.w / 2, a.y + a.h / 2 - b.y - b.h / 2)
    nearness = 1 - apart / (_FARTHEST * max(a.w, b.w, 1e-6))
    return max(0.0, nearness) * _LEAST_IOU


def _shape_jump(a: Detection, b: Detection) -> float:
    """How far the landmarks moved within the face, on average, in face widths."""
    pairs = zip(_shape(a), _shape(b), strict=True)
    return sum(math.dist(p, q) for p, q in pairs) / max(1, len(a.landmarks))


def _shape(face: Detection) -> list[tuple[float, float]]:
    """Landmarks from their own middle, in face widths."""
    count, width = max(1, len(face.landmarks)), max(face.box.w, 1e-6)
    mx, my = (sum(p[axis] for p in face.landmarks) / count for axis in (0, 1))
    return [((x - mx) / width, (y - my) / width) for x, y in face.landmarks]

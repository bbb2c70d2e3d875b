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
        for face_index, track_id in _pairs(faces, self._tracks):
            track = self._tracks[track_id]
            track.detection, track.seen_ns = faces[face_index], now_ns
            track.frames += 1
            seen.append((face_index, track))
        taken = {i for i, _ in seen}
        for i, face in enumerate(faces):
            if i not in taken and len(self._tracks) < MOST_TRACKS:
                seen.append((i, self._new(face, now_ns)))
        ended += self._expire(now_ns)
        return [track for _, track in sorted(seen, key=lambda s: s[0])], ended

    def split(self, track: Track, now_ns: int) -> Track:
        """The face of a track turned out to be somebody else: it goes on under a new number."""
        self._tracks.pop(track.track_id, None)
        return self._new(track.detection, now_ns)

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
        gone = [t for t in self._tracks.values() if now_ns - t.seen_ns > LOST_AFTER_NS]
        for track in gone:
            del self._tracks[track.track_id]
        return gone


def _pairs(faces: Sequence[Detection], tracks: dict[int, Track]) -> list[tuple[int, int]]:
    """(face, track) pairs, most alike first; each face and each track is used once at most."""
    found = [
        (_likeness(face, track.detection), i, track.track_id)
        for i, face in enumerate(faces)
        for track in tracks.values()
    ]
    chosen: list[tuple[int, int]] = []
    for likeness, face_index, track_id in sorted(found, reverse=True):
        if likeness > 0 and all(face_index != f and track_id != t for f, t in chosen):
            chosen.append((face_index, track_id))
    return chosen


def _likeness(face: Detection, before: Detection) -> float:
    """0 for "cannot be the same"; else overlap, or less than the least overlap by nearness."""
    a, b = face.box, before.box
    ratio = math.sqrt((a.w * a.h) / max(b.w * b.h, 1e-6))
    if not 1 / _SIZE_JUMP <= ratio <= _SIZE_JUMP:
        return 0.0
    iou = a.iou(b)
    if iou >= _LEAST_IOU:
        return iou
    apart = math.hypot(a.x + a.w / 2 - b.x - b.w / 2, a.y + a.h / 2 - b.y - b.h / 2)
    nearness = 1 - apart / (_FARTHEST * max(a.w, b.w))
    return max(0.0, nearness) * _LEAST_IOU

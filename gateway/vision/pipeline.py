"""One camera's analysis: motion gate, detection, tracking, and evidence for the nearest face."""

import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gateway.domain.faces import Box, Detection, Embedding, FaceSample, Frame, Image, Quality
from gateway.domain.ids import CameraId, ModelId
from gateway.domain.sightings import Settled, Sighting, StageTimes
from gateway.vision.motion import MotionGate
from gateway.vision.sampler import Evidence, Sampler
from gateway.vision.timing import FilmClock, Stopwatch
from gateway.vision.tracker import Track, Tracker

STALE_NS = 1_000_000_000
_LINGER_NS = 1_000_000_000
_ALWAYS_EVERY_NS = 1_000_000_000
"""Somebody who stands still from the start is seen within a second."""


class Engine(Protocol):
    """What the pipeline needs of a face engine."""

    model_id: ModelId

    def detect(self, image: Image) -> list[Detection]:
        """Faces, largest first."""
        ...

    def refine(self, image: Image, detection: Detection) -> Detection:
        """The same face with landmarks from a closer look."""
        ...

    def quality(self, image: Image, detection: Detection) -> Quality:
        """Judge one face."""
        ...

    def live(self, image: Image, detection: Detection) -> float | None:
        """Probability of a live face, None when it cannot be judged."""
        ...

    def embed(self, image: Image, detection: Detection) -> Embedding:
        """Unit-length embedding. Raises ValueError."""
        ...


@dataclass(slots=True)
class Pipeline:
    """Not thread-safe; one a camera. ``process`` is the whole of it."""

    camera_id: CameraId
    epoch: int
    engine: Engine
    sampler: Sampler
    film_time: bool = False
    """A recording played as fast as it can be analysed: what takes a second takes one of the film's, so
    that every machine comes to the same evidence."""
    analysed: int = 0
    stale: int = 0
    """Frames that were too old when their turn came."""
    _cut: bool = False
    """The scene has changed since the detector last looked."""
    _motion: MotionGate = field(default_factory=MotionGate)
    _tracker: Tracker = field(default_factory=Tracker)
    _evidence: dict[int, Evidence] = field(default_factory=dict)
    _clock: FilmClock = field(default_factory=FilmClock)
    _looked_ns: int = 0
    _busy_until_ns: int = 0

    def process(self, frame: Frame) -> list[Sighting]:
        """Analyse one frame; sightings of tracks that gained evidence, stay unusable, or ended."""
        began = time.monotonic_ns()
        clock = Stopwatch((began - frame.mono_ns) / 1e6)
        motion = self._motion.look(frame.image)
        self._cut |= motion.cut
        clock.lap("motion")
        if began - frame.mono_ns > STALE_NS:
            self.stale += 1
            return []
        now_ns = self._clock.tick(frame, film_time=self.film_time)
        if not self._worth_a_look(moved=motion.moved, now_ns=now_ns):
            return []
        self._looked_ns = now_ns
        self.analysed += 1
        detections = self.engine.detect(frame.image)
        clock.lap("detect")
        tracks, ended = self._tracker.update(detections, now_ns, cut=self._cut)
        self._cut = False
        if tracks or motion.moved:
            self._busy_until_ns = now_ns + _LINGER_NS
        stamp = self._clock.stamp(frame)
        for track in tracks:
            if track.track_id in self._evidence:
                self._evidence[track.track_id].newest = stamp
        # The nearest face is the one at the door; the others wait until they are nearest.
        return self._farewells(ended) + (self._look_at(tracks[0], frame, clock) if tracks else [])

    def settle(self, track_id: int, settled: Settled) -> None:
        """Control has decided on a track."""
        evidence = self._evidence.get(track_id)
        if evidence is not None:
            self.sampler.settle(evidence, settled, self._clock.now_ns)

    def end(self) -> list[Sighting]:
        """The camera has gone or its recording is over: every track ends."""
        return self._farewells(self._tracker.end_all())

    def _worth_a_look(self, *, moved: bool, now_ns: int) -> bool:
        return (
            moved
            or self._cut
            or self._tracker.live > 0
            or now_ns < self._busy_until_ns
            or now_ns - self._looked_ns >= _ALWAYS_EVERY_NS
        )

    def _look_at(self, track: Track, frame: Frame, clock: Stopwatch) -> list[Sighting]:
        """Gather evidence on one face."""
        evidence = self._evidence.setdefault(
            track.track_id, Evidence(track.first_seen_ns, self._clock.stamp(frame))
        )
        now_ns = self._clock.now_ns
        wanted = self.sampler.wants(evidence, now_ns)
        needed = wanted or self.sampler.doubts(evidence, now_ns)
        if not needed or evidence.repeats(_checksum(frame.image, track.detection.box)):
            return []
        face = self.engine.refine(frame.image, track.detection)
        quality = self.engine.quality(frame.image, face)
        clock.lap("quality")
        if not quality.usable:
            evidence.poor = quality.issues[0]
            told = self.sampler.tell_poor(evidence, now_ns)
            return [self._sighting(track, evidence, clock.times())] if told else []
        if evidence.first_usable_ns is None:
            evidence.first_usable_ns = now_ns
        sample = self._sample(face, evidence, frame, clock, quality=quality, wanted=wanted)
        if self.sampler.somebody_else(evidence):
            evidence.newest = evidence.sure or evidence.newest
            self._tracker.drop(track)  # the next frame begins another
            return self._farewells([track])
        if sample is None:
            return []
        self.sampler.add(evidence, sample)
        return [self._sighting(track, evidence, clock.times())]

    def _sample(
        self,
        face: Detection,
        evidence: Evidence,
        frame: Frame,
        clock: Stopwatch,
        *,
        quality: Quality,
        wanted: bool,
    ) -> FaceSample | None:
        """Liveness and embedding as far as they are needed; None when the frame adds no evidence."""
        evidence.last_ns = now_ns = self._clock.now_ns
        live = _probability(self.engine.live(frame.image, face)) if wanted else None
        clock.lap("liveness")
        wanted = wanted and self.sampler.worth_embedding(evidence, quality, live, now_ns)
        if not wanted and not self.sampler.doubts(evidence, now_ns):
            return None
        embedding = self._embedding(frame.image, face)
        clock.lap("embed")
        if embedding is None or not self.sampler.agrees(evidence, embedding, now_ns) or not wanted:
            return None
        return FaceSample(
            embedding=embedding,
            model_id=self.engine.model_id,
            quality=quality,
            live=live,
            frame_seq=frame.seq,
            frame_mono_ns=frame.mono_ns,
            captured_at=frame.captured_at,
            media_time_s=frame.media_time_s,
        )

    def _embedding(self, image: Image, face: Detection) -> Embedding | None:
        """None when the landmarks coincide, so that it is no face."""
        try:
            return self.engine.embed(image, face)
        except ValueError:
            return None

    def _farewells(self, tracks: Sequence[Track]) -> list[Sighting]:
        """The last sighting of each track that ever was the nearest face."""
        gone = [(track, self._evidence.pop(track.track_id, None)) for track in tracks]
        return [self._sighting(t, e, Stopwatch(0).times(), ended=True) for t, e in gone if e is not None]

    def _sighting(
        self, track: Track, evidence: Evidence, stages: StageTimes, *, ended: bool = False
    ) -> Sighting:
        newest, usable_ns = evidence.newest, evidence.first_usable_ns
        return Sighting(
            camera_id=self.camera_id,
            worker_epoch=self.epoch,
            track_id=track.track_id,
            nearest=True,
            samples=tuple(evidence.samples),
            frames_seen=track.frames,
            poor=evidence.poor,
            first_seen_ns=newest.arrival(evidence.first_seen_ns),
            first_usable_ns=None if usable_ns is None else newest.arrival(usable_ns),
            frame_ns=newest.mono_ns,
            captured_at=newest.captured_at,
            media_time_s=newest.media_time_s,
            ended=ended,
            stages=stages,
        )


def _probability(live: float | None) -> float | None:
    """A number that is none, or no probability, judges nothing."""
    return live if live is not None and 0.0 <= live <= 1.0 else None


def _checksum(image: Image, box: Box) -> int:
    """Of the pixels in a box."""
    x, y = max(0, int(box.x)), max(0, int(box.y))
    return zlib.crc32(image[y : int(box.y + box.h) + 1, x : int(box.x + box.w) + 1].tobytes())

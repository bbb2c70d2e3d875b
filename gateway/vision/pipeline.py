"""One camera's analysis: motion gate, detection, tracking, and evidence for the nearest face."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gateway.domain.faces import Detection, Embedding, FaceSample, Frame, Image, Quality
from gateway.domain.ids import CameraId, ModelId
from gateway.domain.sightings import Settled, Sighting, StageTimes
from gateway.vision.motion import MotionGate
from gateway.vision.sampler import Evidence, Sampler, Stamp
from gateway.vision.tracker import Track, Tracker

STALE_NS = 1_000_000_000
_LINGER_NS = 1_000_000_000
_ALWAYS_EVERY_NS = 1_000_000_000
"""Somebody who stands still from the start is seen within a second."""
_SOMEBODY_ELSE = 0.2
"""Cosine under which two samples of a track cannot be of one person."""
_NO_TIMES = StageTimes(wait=0, motion=0, detect=0, quality=0, liveness=0, embed=0)


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
    analysed: int = 0
    _motion: MotionGate = field(default_factory=MotionGate)
    _tracker: Tracker = field(default_factory=Tracker)
    _evidence: dict[int, Evidence] = field(default_factory=dict)
    _looked_ns: int = 0
    _busy_until_ns: int = 0

    def process(self, frame: Frame) -> list[Sighting]:
        """Analyse one frame; sightings of tracks that gained evidence, stay unusable, or ended."""
        waited_ns = time.monotonic_ns() - frame.mono_ns
        if waited_ns > STALE_NS:
            return []
        clock = _Stopwatch(waited_ns / 1e6)
        motion = self._motion.look(frame.image)
        clock.lap("motion")
        if not self._worth_a_look(motion.moved, frame.mono_ns):
            return []
        self._looked_ns = frame.mono_ns
        self.analysed += 1
        detections = self.engine.detect(frame.image)
        clock.lap("detect")
        tracks, ended = self._tracker.update(detections, frame.mono_ns, cut=motion.cut)
        if tracks or motion.moved:
            self._busy_until_ns = frame.mono_ns + _LINGER_NS
        for track in tracks:
            if track.track_id in self._evidence:
                self._evidence[track.track_id].newest = _stamp(frame)
        sightings = self._farewells(ended)
        return sightings + self._look_at(tracks[0], frame, clock) if tracks else sightings

    def settle(self, track_id: int, settled: Settled) -> None:
        """Control has decided on a track."""
        evidence = self._evidence.get(track_id)
        if evidence is not None:
            self.sampler.settle(evidence, settled, time.monotonic_ns())

    def end(self) -> list[Sighting]:
        """The camera has gone or its recording is over: every track ends."""
        return self._farewells(self._tracker.end_all())

    def _worth_a_look(self, moved: bool, now_ns: int) -> bool:  # noqa: FBT001  # private, one caller
        return (
            moved
            or self._tracker.live > 0
            or now_ns < self._busy_until_ns
            or now_ns - self._looked_ns >= _ALWAYS_EVERY_NS
        )

    def _look_at(self, track: Track, frame: Frame, clock: "_Stopwatch") -> list[Sighting]:
        """Gather evidence on the nearest face; the others wait until they are nearest."""
        evidence = self._evidence.get(track.track_id)
        if evidence is None:
            evidence = self._evidence[track.track_id] = Evidence(track.first_seen_ns, _stamp(frame))
        if not self.sampler.wants(evidence, frame.mono_ns):
            return []
        face = self.engine.refine(frame.image, track.detection)
        quality = self.engine.quality(frame.image, face)
        clock.lap("quality")
        if not quality.usable:
            evidence.poor = quality.issues[0]
            told = self.sampler.tell_poor(evidence, frame.mono_ns)
            return [self._sighting(track, evidence, clock.times())] if told else []
        if evidence.first_usable_ns is None:
            evidence.first_usable_ns = frame.mono_ns
        live = _probability(self.engine.live(frame.image, face))
        clock.lap("liveness")
        if not self.sampler.worth_embedding(evidence, quality, live, frame.mono_ns):
            evidence.last_ns = frame.mono_ns
            return []
        embedding = self.engine.embed(frame.image, face)
        clock.lap("embed")
        sample = FaceSample(
            embedding=embedding,
            model_id=self.engine.model_id,
            quality=quality,
            live=live,
            frame_seq=frame.seq,
            frame_mono_ns=frame.mono_ns,
            captured_at=frame.captured_at,
            media_time_s=frame.media_time_s,
        )
        track, evidence, farewells = self._same_person(track, evidence, sample)
        self.sampler.add(evidence, sample)
        return [*farewells, self._sighting(track, evidence, clock.times())]

    def _same_person(
        self, track: Track, evidence: Evidence, sample: FaceSample
    ) -> tuple[Track, Evidence, list[Sighting]]:
        """The track goes on, or ends and another begins where its face turned into somebody else's."""
        if not evidence.samples:
            return track, evidence, []
        nearest = max(float(s.embedding @ sample.embedding) for s in evidence.samples)
        if nearest >= _SOMEBODY_ELSE:
            return track, evidence, []
        other = self._tracker.split(track, sample.frame_mono_ns)
        fresh = Evidence(sample.frame_mono_ns, evidence.newest, first_usable_ns=sample.frame_mono_ns)
        # Who went was last surely seen in the newest frame that gave evidence of them.
        last = max(evidence.samples, key=lambda s: s.frame_mono_ns)
        evidence.newest = Stamp(last.frame_mono_ns, last.captured_at, last.media_time_s)
        farewells = self._farewells([track])
        self._evidence[other.track_id] = fresh
        return other, fresh, farewells

    def _farewells(self, tracks: Sequence[Track]) -> list[Sighting]:
        """The last sighting of each track that ever was the nearest face."""
        gone = [(t, self._evidence.pop(t.track_id, None)) for t in tracks]
        return [self._sighting(t, e, _NO_TIMES, ended=True) for t, e in gone if e is not None]

    def _sighting(
        self, track: Track, evidence: Evidence, stages: StageTimes, *, ended: bool = False
    ) -> Sighting:
        return Sighting(
            camera_id=self.camera_id,
            worker_epoch=self.epoch,
            track_id=track.track_id,
            nearest=True,
            samples=tuple(evidence.samples),
            frames_seen=track.frames,
            poor=evidence.poor,
            first_seen_ns=evidence.first_seen_ns,
            first_usable_ns=evidence.first_usable_ns,
            frame_ns=evidence.newest.mono_ns,
            captured_at=evidence.newest.captured_at,
            media_time_s=evidence.newest.media_time_s,
            ended=ended,
            stages=stages,
        )


def _stamp(frame: Frame) -> Stamp:
    return Stamp(frame.mono_ns, frame.captured_at, frame.media_time_s)


def _probability(live: float | None) -> float | None:
    """A number that is none, or no probability, judges nothing."""
    return live if live is not None and 0.0 <= live <= 1.0 else None


class _Stopwatch:
    """Milliseconds by stage."""

    def __init__(self, wait_ms: float) -> None:
        self._laps = {"wait": max(0.0, wait_ms)}
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self._laps[stage] = (now - self._last) * 1e3
        self._last = now

    def times(self) -> StageTimes:
        return StageTimes(**{name: round(self._laps.get(name, 0.0), 3) for name in StageTimes.__slots__})

"""One camera's analysis: motion gate, detection, tracking, and evidence for the nearest face."""

import time
from dataclasses import dataclass, field, replace
from typing import Protocol

from gateway.domain.faces import Detection, Embedding, FaceSample, Frame, Image, Quality
from gateway.domain.ids import CameraId, ModelId
from gateway.domain.sightings import Settled, Sighting, StageTimes
from gateway.vision.motion import MotionGate
from gateway.vision.sampler import Evidence, Sampler
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
    _newest: Frame | None = None

    def process(self, frame: Frame) -> list[Sighting]:
        """Analyse one frame; sightings of tracks that gained evidence, stay unusable, or ended."""
        began = time.monotonic_ns()
        clock = _Stopwatch((began - frame.mono_ns) / 1e6)
        motion = self._motion.look(frame.image)
        clock.lap("motion")
        if began - frame.mono_ns > STALE_NS or not self._worth_a_look(motion.moved, frame.mono_ns):
            return []
        self._looked_ns, self._newest = frame.mono_ns, frame
        self.analysed += 1
        detections = self.engine.detect(frame.image)
        clock.lap("detect")
        tracks, ended = self._tracker.update(detections, frame.mono_ns, cut=motion.cut)
        if tracks or motion.moved:
            self._busy_until_ns = frame.mono_ns + _LINGER_NS
        sightings = [s for s in (self._farewell(t, frame) for t in ended) if s]
        if tracks:
            found = self._look_at(tracks[0], frame, clock)
            sightings += [found] if found else []
        return sightings

    def settle(self, track_id: int, settled: Settled) -> None:
        """Control has decided on a track."""
        evidence = self._evidence.get(track_id)
        if evidence is not None:
            self.sampler.settle(evidence, settled, time.monotonic_ns())

    def end(self) -> list[Sighting]:
        """The camera has gone or its recording is over: every track ends."""
        frame = self._newest
        if frame is None:
            return []
        return [s for s in (self._farewell(t, frame) for t in self._tracker.end_all()) if s]

    def _worth_a_look(self, moved: bool, now_ns: int) -> bool:  # noqa: FBT001  # private, one caller
        return (
            moved
            or self._tracker.live > 0
            or now_ns < self._busy_until_ns
            or now_ns - self._looked_ns >= _ALWAYS_EVERY_NS
        )

    def _look_at(self, track: Track, frame: Frame, clock: "_Stopwatch") -> Sighting | None:
        """Gather evidence on the nearest face; the others wait until they are nearest."""
        evidence = self._evidence.setdefault(track.track_id, Evidence(track.first_seen_ns))
        if not self.sampler.wants(evidence, frame.mono_ns):
            return None
        face = self.engine.refine(frame.image, track.detection)
        quality = self.engine.quality(frame.image, face)
        clock.lap("quality")
        if not quality.usable:
            evidence.poor = quality.issues[0]
            told = self.sampler.tell_poor(evidence, frame.mono_ns)
            return self._sighting(track, evidence, frame, clock) if told else None
        if evidence.first_usable_ns is None:
            evidence.first_usable_ns = frame.mono_ns
        live = self.engine.live(frame.image, face)
        clock.lap("liveness")
        if not self.sampler.worth_embedding(evidence, quality, live, frame.mono_ns):
            evidence.last_ns = frame.mono_ns
            return None
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
        track, evidence = self._same_person(track, evidence, sample)
        self.sampler.add(evidence, sample)
        return self._sighting(track, evidence, frame, clock)

    def _same_person(self, track: Track, evidence: Evidence, sample: FaceSample) -> tuple[Track, Evidence]:
        """A new track where the face turned into somebody else's."""
        if not evidence.samples:
            return track, evidence
        nearest = max(float(s.embedding @ sample.embedding) for s in evidence.samples)
        if nearest >= _SOMEBODY_ELSE:
            return track, evidence
        self._evidence.pop(track.track_id, None)
        other = self._tracker.split(track, sample.frame_mono_ns)
        fresh = Evidence(sample.frame_mono_ns, first_usable_ns=sample.frame_mono_ns)
        self._evidence[other.track_id] = fresh
        return other, fresh

    def _farewell(self, track: Track, frame: Frame) -> Sighting | None:
        evidence = self._evidence.pop(track.track_id, None)
        if evidence is None:
            return None
        last = self._sighting(track, evidence, frame, None)
        return replace(last, ended=True, frame_ns=track.seen_ns)

    def _sighting(
        self, track: Track, evidence: Evidence, frame: Frame, clock: "_Stopwatch | None"
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
            frame_ns=frame.mono_ns,
            captured_at=frame.captured_at,
            media_time_s=frame.media_time_s,
            ended=False,
            stages=clock.times() if clock else _NO_TIMES,
        )


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

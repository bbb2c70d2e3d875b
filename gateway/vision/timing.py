"""What time it is for a pipeline, and what it spends."""

import time
from dataclasses import dataclass
from datetime import datetime

from gateway.domain.faces import Frame
from gateway.domain.sightings import StageTimes


@dataclass(frozen=True, slots=True)
class Stamp:
    """When a frame came."""

    now_ns: int
    """By the film clock."""
    mono_ns: int
    captured_at: datetime
    media_time_s: float | None

    def arrival(self, then_ns: int) -> int:
        """Monotonic time of what happened at ``then_ns``, had frames come at the film's own pace."""
        return self.mono_ns - (self.now_ns - then_ns)


class FilmClock:
    """What time it is for tracks and evidence: of arrival, or of the film."""

    def __init__(self) -> None:
        self.now_ns = 0
        self._media_s: float | None = None

    def tick(self, frame: Frame, *, film_time: bool) -> int:
        """The time of this frame, which is the newest."""
        media_s, before = frame.media_time_s, self._media_s
        self._media_s = media_s
        if not film_time or media_s is None or before is None:
            self.now_ns = frame.mono_ns
        else:  # where a film begins again, its time goes on
            self.now_ns += round(max(0.0, media_s - before) * 1e9)
        return self.now_ns

    def stamp(self, frame: Frame) -> "Stamp":
        """The newest frame's times."""
        return Stamp(self.now_ns, frame.mono_ns, frame.captured_at, frame.media_time_s)


class Stopwatch:
    """Milliseconds by stage."""

    def __init__(self, wait_ms: float) -> None:
        self._laps = {"wait": max(0.0, wait_ms)}
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        """The time since the lap before was spent on this stage; laps of one stage add up."""
        now = time.perf_counter()
        self._laps[stage] = self._laps.get(stage, 0.0) + (now - self._last) * 1e3
        self._last = now

    def times(self) -> StageTimes:
        """All stages; those never reached took nothing."""
        return StageTimes(**{name: round(self._laps.get(name, 0.0), 3) for name in StageTimes.__slots__})

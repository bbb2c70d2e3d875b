"""A camera in memory, for testing what reads cameras."""

import threading
from collections.abc import Iterable, Iterator
from time import monotonic

import numpy as np

from gateway.domain.errors import CameraUnavailable
from gateway.domain.faces import Image


class FakeFrameSource:
    """Plays a script: pictures, errors to raise, and seconds of silence.

    Silence longer than the read time-out raises as a camera would, and is over then. ``open`` starts the
    script anew unless ``resume`` is set; the first ``refusals`` opens fail. After the script comes the end
    of a recording, or with ``live`` a broken stream. ``interval_s`` paces pictures.
    """

    def __init__(
        self,
        script: Iterable[Image | Exception | float],
        *,
        paced: bool = False,
        live: bool = False,
        resume: bool = False,
        refusals: int = 0,
        interval_s: float = 0.0,
        read_timeout_s: float = 1.0,
        fps: float = 10.0,
    ) -> None:
        self.paced, self.refusals = paced, refusals
        self.opened = self.closed = self.given = 0
        self._script, self._live, self._resume = tuple(script), live, resume
        self._interval_s, self._read_timeout_s, self._fps = interval_s, read_timeout_s, fps
        self._rest: Iterator[Image | Exception | float] | None = None
        self._is_open = False
        self._media = 0
        self._never = threading.Event()

    def open(self) -> None:
        self.close()
        if self.refusals:
            self.refusals -= 1
            raise CameraUnavailable("fake camera: refuses the connection")
        if self._rest is None or not self._resume:
            self._rest, self._media = iter(self._script), 0
        self._is_open = True
        self.opened += 1

    def read(self) -> tuple[Image, float | None] | None:
        if not self._is_open or self._rest is None:
            raise CameraUnavailable("fake camera: is not open")
        deadline = monotonic() + self._read_timeout_s
        for step in self._rest:
            if isinstance(step, Exception):
                raise step
            if isinstance(step, float | int):
                self._never.wait(min(step, max(0.0, deadline - monotonic())))
                if monotonic() >= deadline:
                    raise CameraUnavailable("fake camera: sent no picture in time")
                continue
            self._never.wait(self._interval_s)
            media = self._media / self._fps
            self._media += 1
            self.given += 1
            return np.ascontiguousarray(step).copy(), None if self._live else media
        if self._live:
            raise CameraUnavailable("fake camera: ended the stream")
        return None

    def close(self) -> None:
        self.closed += self._is_open
        self._is_open = False

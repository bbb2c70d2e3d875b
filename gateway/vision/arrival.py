"""What the sameness and the arrival times of a live camera's pictures say: frozen, or old ones replayed."""

from collections import deque

import numpy as np

from gateway.domain.faces import Image

_STALL_NS = 500_000_000
_STALL_PACES = 4
_LEARN = 8
"""Intervals after which the usual pace is known."""
_SMOOTH = 0.1
_WINDOW = 3
_NORMAL = 0.6
"""Share of the usual interval from which pictures come at the pace of the world, not out of a buffer."""


class FreezeDetector:
    """A live camera's pictures differ by noise, a hung encoder's not at all.

    Only pictures equal in every byte for ``after_s`` seconds are a freeze. One pixel in 64 is compared
    first, so that the pictures of a camera that works cost next to nothing.
    """

    def __init__(self, after_s: float) -> None:
        self._after_ns = int(after_s * 1e9)
        self._first: Image | None = None
        self._since_ns = 0

    def frozen(self, image: Image, now_ns: int) -> bool:
        """True while the picture has been the same for too long."""
        first = self._first
        if (
            first is None
            or not np.array_equal(image[::8, ::8], first[::8, ::8])
            or not np.array_equal(image, first)
        ):
            self._first, self._since_ns = image, now_ns
        return now_ns - self._since_ns >= self._after_ns


class ReplayDetector:
    """After a stall, pictures that come much faster than the camera films them waited in a buffer.

    From a stall on every picture counts as old until a few have come at the usual pace. A backlog of so
    many seconds, played at twice the pace or more, is over after as many seconds.
    """

    def __init__(self) -> None:
        self._last_ns: int | None = None
        self._pace_ns = 0.0
        self._learned = 0
        self._steps: deque[int] = deque(maxlen=_WINDOW)
        self._until_ns: int | None = None

    def old(self, now_ns: int) -> bool:
        """True for a picture, arrived at ``now_ns`` (monotonic), that may not be of now."""
        last, self._last_ns = self._last_ns, now_ns
        if last is None:
            return False
        step = now_ns - last
        if self._learned >= _LEARN and step > max(_STALL_NS, _STALL_PACES * self._pace_ns):
            self._until_ns = now_ns + step
            self._steps.clear()
            return True
        if self._until_ns is None:
            self._learn(step)
            return False
        self._steps.append(step)
        normal = len(self._steps) == _WINDOW and sum(self._steps) >= _NORMAL * _WINDOW * self._pace_ns
        if normal or now_ns > self._until_ns:
            self._until_ns = None
        return self._until_ns is not None

    def _learn(self, step: int) -> None:
        """A running mean of the interval; the plain mean of the first few."""
        self._learned += 1
        self._pace_ns += (step - self._pace_ns) * max(_SMOOTH, 1 / self._learned)

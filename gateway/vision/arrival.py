"""What the sameness and the arrival times of a live camera's pictures say: frozen, or old ones replayed."""

import zlib
from collections import deque

from gateway.domain.faces import Image

_REMEMBERED = 64
_THAW = 3
_STALL_NS = 500_000_000
_STALL_PACES = 4
_LEARN = 8
"""Intervals after which the usual pace is known."""
_SMOOTH = 0.1
_WINDOW = 3
_NORMAL = 0.6
"""Share of the usual interval from which pictures come at the pace of the world, not out of a buffer."""


class FreezeDetector:
    """Frozen is who showed no *new* picture for a while: equal to the bit to one of the last 64 is not new.

    The comparison is exact because nothing else tells a hung camera from a quiet room. Measured with x264:
    a still scene with sensor noise decodes to pictures equal to the bit from one key frame to the next (1.9 s
    with one every 2 s), so the limit has to be longer than that. Looking back over 64 pictures rather than
    one also finds a hung sensor before an encoder that lives on and repeats the same few pictures.

    One pixel in 64 is looked at: a camera that works changes some of them in every picture. Once frozen,
    three new pictures are asked for before it is believed again: a key frame now and then, of the same quiet
    room, is not life.
    """

    def __init__(self, after_s: float) -> None:
        self._after_ns = int(after_s * 1e9)
        self._seen: deque[int] = deque(maxlen=_REMEMBERED)
        self._since_ns: int | None = None
        self._frozen = False
        self._new = 0

    def frozen(self, image: Image, now_ns: int) -> bool:
        """True while there has been nothing new for too long. Survives reconnecting: keep one a camera."""
        total = zlib.crc32(image[::8, ::8].tobytes())
        new = total not in self._seen
        if new:
            self._seen.append(total)
            self._new += 1
        if self._since_ns is None or (new and (not self._frozen or self._new >= _THAW)):
            self._since_ns, self._frozen = now_ns, False
        if not self._frozen and now_ns - self._since_ns >= self._after_ns:
            self._frozen, self._new = True, 0
        return self._frozen


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

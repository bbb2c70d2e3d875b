"""How far behind the world a live picture is, from its media time and when it arrived."""

MAX_LATE_S = 0.7
"""Older pictures are not worth deciding on."""
_SETTLE_S = 3.0
_STILL = 5
_LIVE_STEP_S = 0.02
"""From a buffer the next picture is there sooner, but for the largest pictures."""
_DRIFT = 0.002
"""Seconds a second by which a camera's clock may run differently from ours."""


class Lateness:
    """Tells pictures of now from those that waited in a buffer.

    Arrival minus media time is the same for every picture of a stream but for its delay. The least seen
    so far is taken for no delay. What lay in a buffer while a stream was being opened arrives faster than
    it was filmed: until the first picture that does not, nothing is known to be of now.
    """

    def __init__(self) -> None:
        self._best = float("inf")
        self._last: tuple[float, float] | None = None
        self._first_s = 0.0
        self._still = 0
        self._settled = False

    def late_s(self, media_s: float, arrived_s: float) -> float:
        """Seconds a picture is late; infinite while the start's backlog is being worked off.

        ``arrived_s`` is monotonic. A stream whose media time stands still is never late.
        """
        last, self._last = self._last, (media_s, arrived_s)
        if last is None:
            self._first_s = arrived_s
            return float("inf")
        media_step, step = media_s - last[0], arrived_s - last[1]
        self._best = min(self._best + max(0.0, step) * _DRIFT, arrived_s - media_s)
        if media_step == 0:  # as FFmpeg has it for the first two, or for all where there are no time stamps
            self._still += 1
            untimed = step >= _LIVE_STEP_S or self._still >= _STILL
            return 0.0 if untimed or self._settled else float("inf")
        if not self._settled:
            self._settled = step >= 0.5 * media_step or arrived_s - self._first_s > _SETTLE_S
        return arrived_s - media_s - self._best if self._settled else float("inf")

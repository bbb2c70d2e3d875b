"""Until when an output that reads ON can be a pulse of our own."""

from typing import Final

from drivers.modbus.frames import Job
from gateway.ports import Clock

FOREVER: Final = 1 << 63
_SLACK_NS: Final = 500_000_000
"""For the device's timer and the time a frame takes to reach it."""
_SETTLED_NS: Final = 200_000_000
"""For a device that echoes first and switches then."""


class Claim:
    """The pulses of one output. Times are monotonic.

    A device that times its pulses is done with one at a known time. A ``held`` output is ON until an OFF was
    echoed and read back: it has a time when that is due, and no other end.
    """

    def __init__(self, clock: Clock, *, held: bool, timeout_s: float) -> None:
        self.sent_ns = 0
        """When the last pulse left, 0 for none."""
        self._clock, self._held = clock, held
        self._doubt_ns = int(timeout_s * 1e9) + _SLACK_NS
        """How much later than its frame a device may begin a pulse."""
        self._until_ns = 0
        self._due_ns: int | None = None
        self._doubtful = False
        self._job: Job | None = None
        self._pulse_ns = 0

    def begin(self, job: Job, pulse_ns: int) -> None:
        """A pulse of this length may leave any time now."""
        self._job, self._pulse_ns = job, pulse_ns

    def settle(self, *, echoed: bool, refused: bool = False) -> None:
        """The frame's fate is known. A pulse that was echoed has begun by now; one refused never will."""
        job, self._job = self._job, None
        if job is None or job.sent_ns is None or refused:
            return
        self.sent_ns = job.sent_ns
        self._doubtful = not echoed or (self._doubtful and self._clock.monotonic_ns() < self._until_ns)
        if self._held:
            self._due_ns = max(self._due_ns or 0, job.sent_ns + self._pulse_ns)
            return
        doubt = _SLACK_NS if echoed else self._doubt_ns
        self._until_ns = max(self._until_ns, self._clock.monotonic_ns() + self._pulse_ns + doubt)

    def over(self, asked_ns: int) -> None:
        """A held output was read OFF, asked then, after its OFF."""
        self._due_ns, self._until_ns = None, asked_ns

    def seen_on(self) -> None:
        """The last pulse was seen: it has begun by now, echoed or not."""
        self._doubtful = False

    def seen_off(self, asked_ns: int, *, after_off: bool) -> None:
        """The output read OFF, asked then; ``after_off``: after our OFF was echoed. A later ON is another's.

        Not if the device may have begun the last pulse later, or has only just echoed it.
        """
        sure = after_off or asked_ns > self.sent_ns + _SETTLED_NS
        if sure and not self._held and not self._doubtful and self._job is None:
            self._until_ns = min(self._until_ns, asked_ns)

    @property
    def due_ns(self) -> int | None:
        """When a held output must go OFF; None when none of our pulses is running."""
        if not self._held:
            return None
        # Asked while a frame may be on its way: its pulse counts before anybody was told that it left.
        sent = None if self._job is None else self._job.sent_ns
        times = [t for t in (self._due_ns, sent and sent + self._pulse_ns) if t]
        return max(times, default=None)

    @property
    def until_ns(self) -> int:
        """An ON read later than this is nobody's grant."""
        if self.due_ns is not None:
            return FOREVER
        if self._job is None:
            return self._until_ns
        if self._held:
            return FOREVER
        return max(self._until_ns, self._job.send_before_ns + self._pulse_ns + self._doubt_ns)

    @property
    def running(self) -> bool:
        """A pulse of ours may be running, or be about to."""
        return self._clock.monotonic_ns() < self.until_ns

    @property
    def has_left(self) -> bool:
        """A pulse of ours may be running; one that still waits in the queue is not."""
        if self.due_ns is not None or (self._job is not None and self._job.sent_ns is not None):
            return True
        return self._clock.monotonic_ns() < self._until_ns

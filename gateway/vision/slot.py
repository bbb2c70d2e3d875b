"""The newest frame and nothing else."""

import threading

from gateway.domain.faces import Frame


class LatestSlot:
    """One place: a newer frame overwrites one nobody took.

    A queue would make the door answer for somebody who has gone. With ``lockstep`` (a recording of which
    every frame is wanted) ``put`` waits instead, until the frame before has been taken and finished.
    """

    def __init__(self, news: threading.Event, *, lockstep: bool = False) -> None:
        """``news`` is set whenever a frame comes in; several slots may share it."""
        self._news = news
        self._lockstep = lockstep
        self._change = threading.Condition()
        self._frame: Frame | None = None
        self._busy = False
        self.dropped = 0

    def put(self, frame: Frame, stop: threading.Event) -> None:
        """Store a frame; in lockstep returns only when there was room, or ``stop`` is set."""
        with self._change:
            while self._lockstep and (self._frame is not None or self._busy) and not stop.is_set():
                self._change.wait(0.1)
            self.dropped += self._frame is not None
            self._frame = frame
        self._news.set()

    def take(self) -> Frame | None:
        """The newest frame, once; None when there is no new one."""
        with self._change:
            frame, self._frame = self._frame, None
            self._busy = frame is not None
            return frame

    @property
    def busy(self) -> bool:
        """A frame waits or is being analysed; in lockstep the capture thread waits with it."""
        return self._frame is not None or self._busy

    def done(self) -> None:
        """The frame taken last has been analysed."""
        with self._change:
            self._busy = False
            self._change.notify_all()

    def drained(self, stop: threading.Event) -> None:
        """Wait until nothing is stored or being analysed, or ``stop`` is set."""
        with self._change:
            while (self._frame is not None or self._busy) and not stop.is_set():
                self._change.wait(0.1)

    def empty(self) -> None:
        """Forget what is stored: it is of a camera that is no longer believed."""
        with self._change:
            self._frame = None
            self._change.notify_all()

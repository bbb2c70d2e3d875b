"""How often an input has changed: by the device's counter, else its latches, else by looking often."""

from typing import Final

_JUMP: Final = 10
_JUMP_PER_S: Final = 100
"""More edges than this a counter cannot have counted: it was reset, or is another's."""


class Edges:
    """Rising and falling edges of one input, from its first look on. Never less, and never a wild number.

    A latch remembers an edge until it is cleared. Each look takes the latches first and the state after them,
    so that an edge seen in the state alone is still to come in the latch, and counts once.
    """

    def __init__(self) -> None:
        self.rises = 0
        self.falls = 0
        self.resets = 0
        """How often the counter jumped."""
        self._state: bool | None = None
        self._first = False
        self._counter: int | None = None
        self._at_ns = 0
        self._high, self._low = _Latch(), _Latch()

    def take(
        self,
        state: bool,  # noqa: FBT001  # the input's level
        at_ns: int,
        *,
        counter: tuple[int, int] | None = None,
        high: bool | None = None,
        low: bool | None = None,
    ) -> None:
        """One look. ``counter`` is its value and how many values it has; ``high`` and ``low`` are latches."""
        before, self._state = self._state, state
        began, self._at_ns = self._at_ns, at_ns
        if before is None:
            self._first = state
            self._counter = None if counter is None else counter[0]
            self._high.skip(high)
            self._low.skip(low)
            return
        rose, fell = state and not before, before and not state
        if counter is not None:
            self._count(*counter, rose=rose, elapsed_ns=at_ns - began)
            return
        self.rises += self._high.news(visible=rose, latched=high)
        self.falls += self._low.news(visible=fell, latched=low)

    def cleared(self) -> None:
        """The device has forgotten its latches."""
        self._high.clear()
        self._low.clear()

    def _count(self, value: int, size: int, *, rose: bool, elapsed_ns: int) -> None:
        """Rising edges by the counter; falling ones follow from those and from where it began."""
        new = rose if self._counter is None else (value - self._counter) % size
        self._counter = value
        if new > _JUMP + _JUMP_PER_S * elapsed_ns / 1e9:
            self.resets += 1
            new = rose
        self.rises += new
        self.falls = max(self.falls, self.rises + self._first - bool(self._state))


class _Latch:
    """One latch of one input."""

    def __init__(self) -> None:
        self._set = False
        """Counted, and not cleared yet."""
        self._due = False
        """The last look counted an edge that the latch had not shown: it will."""

    def skip(self, latched: bool | None) -> None:  # noqa: FBT001
        """What was before the first look is nobody's edge."""
        self._set = bool(latched)

    def news(self, *, visible: bool, latched: bool | None) -> int:
        """Edges that have not been counted, 0 or 1."""
        fresh = bool(latched) and not self._set
        self._set = bool(latched)
        due, self._due = self._due, visible and latched is False
        return int(visible or (fresh and not due))

    def clear(self) -> None:
        self._set = self._due = False

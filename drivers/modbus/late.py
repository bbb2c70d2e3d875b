"""Replies that may still come on a link whose frames carry no number.

On a serial line, and through a device server in front of one, nothing but its unit and function tells
which request a reply answers. After a missing reply the next request of the same kind would take the late
one for its own, even on a new connection: the device server hands on whatever the line says. So a unit's
requests of that kind stay here until the late one has come, until the unit has answered something else (it
answers in order), or until no device would still reply.
"""

from typing import Final

_LEAST_S: Final = 1.0


class LateReplies:
    """Requests without a reply so far, by unit and function. Times are monotonic."""

    def __init__(self, timeout_s: float) -> None:
        self._window_ns = int(max(_LEAST_S, 2 * timeout_s) * 1e9)
        self._until: dict[tuple[int, int], int] = {}

    def missed(self, unit: int, function: int, now_ns: int) -> None:
        """No reply came in time, or one too many: another may come."""
        self._until[unit, function] = now_ns + self._window_ns

    def came(self, unit: int, function: int) -> bool:
        """A reply nobody waits for is this late one: it comes once. False when none was due."""
        return self._until.pop((unit, function), None) is not None

    def answered(self, unit: int) -> None:
        """The unit has replied to a later request: what it has not said by now it never will."""
        for key in [k for k in self._until if k[0] == unit]:
            del self._until[key]

    def why_not(self, unit: int, function: int, now_ns: int) -> str | None:
        """Why a request of this kind must not leave now; None when it may."""
        until = self._until.get((unit, function))
        if until is None:
            return None
        if now_ns >= until:
            del self._until[unit, function]
            return None
        left = (until - now_ns) / 1e9
        return f"a late reply of unit {unit} may still come; next try in {left:.1f} s"

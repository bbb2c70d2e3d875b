"""Whether silence is one unit's or the whole link's, and how often a silent unit is asked again."""

from typing import Final

_PATIENCE: Final = 2
"""Missing replies in a row before polls of a unit are held back."""
_FIRST_HOLD_NS: Final = 500_000_000
_LONGEST_HOLD_NS: Final = 4_000_000_000


class Silence:
    """Units asked over one endpoint, and which of them have not answered since the link came up.

    Behind a gateway one dead unit must cost the others neither their link nor, poll after poll, a time-out;
    a link on which nobody answers any more must not be kept. Times are monotonic.
    """

    def __init__(self) -> None:
        self._known: set[int] = set()
        self._silent: set[int] = set()
        self._answers: set[int] = set()
        self._misses: dict[int, int] = {}
        self._held_until_ns: dict[int, int] = {}

    def asked(self, unit: int) -> None:
        """There is such a unit in the site."""
        self._known.add(unit)

    def new_link(self) -> None:
        """Nobody has been silent on this one yet, and everybody may be asked once."""
        self._silent.clear()
        self._held_until_ns.clear()

    def answers(self, unit: int) -> bool:
        """The last thing this unit was asked, it answered."""
        return unit in self._answers

    def missing(self, unit: int) -> bool:
        """The last thing this unit was asked, it did not answer."""
        return unit in self._misses

    def answered(self, unit: int) -> None:
        """This unit lives, and so does the link."""
        self._answers.add(unit)
        self._silent.discard(unit)
        self._misses.pop(unit, None)
        self._held_until_ns.pop(unit, None)

    def timed_out(self, unit: int, now_ns: int) -> bool:
        """Note a missing reply. True when no other unit is left that may still answer: the link is dead."""
        self._silent.add(unit)
        self._answers.discard(unit)
        misses = self._misses[unit] = self._misses.get(unit, 0) + 1
        if misses >= _PATIENCE:
            hold = min(_FIRST_HOLD_NS << min(misses - _PATIENCE, 8), _LONGEST_HOLD_NS)
            self._held_until_ns[unit] = now_ns + hold
        return self._known <= self._silent

    def why_not(self, unit: int, now_ns: int) -> str | None:
        """Why a poll of this unit is held back; None when it may go. A pulse or an OFF never is."""
        left_ns = self._held_until_ns.get(unit, 0) - now_ns
        return f"unit {unit} is silent; next try in {left_ns / 1e9:.1f} s" if left_ns > 0 else None

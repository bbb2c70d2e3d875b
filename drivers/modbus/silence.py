"""Whether silence is one unit's or the whole link's."""


class Silence:
    """Units asked over one endpoint, and which of them have not answered since the link came up.

    Behind a gateway one dead unit must not cost the others their link; a link on which nobody answers
    any more must not be kept.
    """

    def __init__(self) -> None:
        self._known: set[int] = set()
        self._silent: set[int] = set()

    def asked(self, unit: int) -> None:
        """There is such a unit in the site."""
        self._known.add(unit)

    def new_link(self) -> None:
        """Nobody has been silent on this one yet."""
        self._silent.clear()

    def answered(self, unit: int) -> None:
        """This unit lives, and so does the link."""
        self._silent.discard(unit)

    def timed_out(self, unit: int) -> bool:
        """Note a missing reply. True when no other unit is left that may still answer: the link is dead."""
        self._silent.add(unit)
        return self._known <= self._silent

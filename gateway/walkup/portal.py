"""What stands behind a lock, as the walk-up sees it: a door, or one lane of a turnstile."""

from typing import Protocol

from gateway.domain.decisions import DenyReason, Grant
from gateway.domain.doors import Actuation
from gateway.domain.readings import Direction


class Portal(Protocol):
    """Says when nobody may be let in, and learns what became of each grant. Nothing here waits."""

    def obstacle(self, direction: Direction) -> DenyReason | None:
        """Why no grant would be carried out now; None when one would."""
        ...

    def reserve(self, grant: Grant, direction: Direction) -> DenyReason | None:
        """Check once more and take the place, in one step; or the reason why not."""
        ...

    def released(self, grant: Grant, direction: Direction) -> None:
        """The unlock frame is about to leave: from now on an opening is no break-in."""
        ...

    def settled(self, grant: Grant, actuation: Actuation | None) -> None:
        """What became of it; None when nothing was sent because nothing could be recorded."""
        ...

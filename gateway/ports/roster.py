"""How a gateway follows the people: news of changes, and the sealed copy for a start without the database."""

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from gateway.domain.roster_copy import KeptRoster


class RosterNews(Protocol):
    """Says that people may have changed. It may miss news, and may tell some twice: who hears looks."""

    async def follow(self, on_news: Callable[[], None]) -> None:
        """Call ``on_news`` at every change, and whenever news may have been missed; until cancelled.

        It is called in the event loop and must be quick. An absent database is waited for, never raised.
        """
        ...


class RosterCopy(Protocol):
    """The sealed copy of the roster in the state folder. All blocking."""

    def read(self) -> KeptRoster | None:
        """What was written last, with its last confirmation; None when there is none.

        Raises SealBroken for one that is not ours, altered or cut off; Unavailable when it cannot be read.
        """
        ...

    def write(self, kept: KeptRoster) -> None:
        """Replace it: whole and synced, or not at all. Raises Unavailable."""
        ...

    def confirm(self, at: datetime) -> None:
        """Note that the database still said so at this time. Raises Unavailable.

        Only of what this object has written or read; otherwise nothing happens.
        """
        ...

    def stale(self) -> bool:
        """Whether what was written should be written anew, because its key was changed."""
        ...

    def remove(self) -> None:
        """Take it away, with whatever a killed process left. Raises Unavailable. Idempotent."""
        ...

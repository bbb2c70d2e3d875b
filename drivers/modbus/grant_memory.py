"""What became of each grant, so that none is carried out twice."""

import asyncio
from collections import OrderedDict

from gateway.domain.doors import Actuation, Release
from gateway.domain.ids import GrantId

_KEEP = 256
_MOST = 4096


class GrantMemory:
    """Remembers outcomes by grant id. Bounded; what may still be valid is never forgotten."""

    def __init__(self) -> None:
        self._known: OrderedDict[GrantId, tuple[int, asyncio.Future[Actuation]]] = OrderedDict()

    def find(self, grant_id: GrantId) -> "asyncio.Future[Actuation] | None":
        """The outcome of a grant, perhaps still to come; None for one never seen."""
        entry = self._known.get(grant_id)
        return None if entry is None else entry[1]

    def begin(self, order: Release, now_ns: int) -> "asyncio.Future[Actuation] | None":
        """Note that a grant is being carried out; None when too many are remembered to take one more.

        Only expired grants are forgotten: those send nothing, remembered or not.
        """
        while len(self._known) >= _KEEP and next(iter(self._known.values()))[0] <= now_ns:
            self._known.popitem(last=False)
        if len(self._known) >= _MOST:
            return None
        outcome: asyncio.Future[Actuation] = asyncio.get_running_loop().create_future()
        self._known[order.grant_id] = (order.expires_ns, outcome)
        return outcome

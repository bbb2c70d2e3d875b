"""The roster's copy in memory, with a disk that can be full and a key that can be changed."""

from dataclasses import dataclass, replace
from datetime import datetime

from gateway.domain.errors import GatewayError, Unavailable
from gateway.domain.roster_copy import KeptRoster


@dataclass
class FakeRosterCopy:
    kept: KeptRoster | None = None
    broken: GatewayError | None = None
    full: bool = False
    old_key: bool = False
    writes: int = 0
    confirms: int = 0
    mine: bool = False

    def read(self) -> KeptRoster | None:
        if self.broken is not None:
            raise self.broken
        self.mine = self.kept is not None
        return self.kept

    def write(self, kept: KeptRoster) -> None:
        self._room()
        self.kept, self.mine, self.old_key = kept, True, False
        self.writes += 1

    def confirm(self, at: datetime) -> None:
        if self.mine and self.kept is not None:
            self._room()
            self.kept = replace(self.kept, confirmed_at=at)
            self.confirms += 1

    def stale(self) -> bool:
        return self.mine and self.old_key

    def remove(self) -> None:
        self.kept, self.mine = None, False

    def _room(self) -> None:
        if self.full:
            raise Unavailable("no space left", code="roster_not_kept")

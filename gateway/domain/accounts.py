"""Who may call the API, and as what."""

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What somebody may do; an account may have several."""

    HR = "hr"
    """Adds, enrols, changes, suspends and erases people; sees their photographs."""
    GUARD = "guard"
    """Sees doors and who is who; no personal file."""
    AUDITOR = "auditor"
    """Reads the record and the processing report; changes nothing."""
    OPERATOR = "operator"
    """Keeps the gateway running: doors, health, access points."""
    ADMINISTRATOR = "administrator"
    """Decides who may call; everything else as well, but for the record itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who is behind a change, as the record names them."""

    id: str
    """``account:<uuid>``, ``key:<uuid>`` or ``command:<user of the machine>``; never a person's name."""
    roles: frozenset[Role]
    address: str = ""
    """The network address the call came from; empty for a command."""
    scopes: frozenset[str] = frozenset()
    """Of an API key: what of its roles it may use, as ``people:write``; empty means all of it."""

    def may(self, roles: frozenset[Role], scope: str) -> bool:
        """Whether one of ``roles`` is held, and the key (if it is one) was given ``scope``."""
        return bool(self.roles & roles) and (not self.scopes or scope in self.scopes)

"""Master keys by name: which there are, and what is wrapped by each."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NewType

KeyId = NewType("KeyId", str)
"""16 hexadecimal digits made from the key itself: names it, and tells nothing about it."""

UNNAMED = KeyId("")
"""Stands for the key of boxes from before they named theirs."""


class KeyState(StrEnum):
    """What a master key is for. Each goes one way, from ``next`` to ``retired``."""

    NEXT = "next"
    """Being handed to every gateway; nothing is wrapped by it yet."""
    CURRENT = "current"
    """Wraps whatever is made."""
    OLD = "old"
    """Opens what is not yet wrapped anew."""
    RETIRED = "retired"
    """Nothing is wrapped by it, and the database takes nothing that is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyUse:
    """How many keys one master key wraps."""

    people: int = 0
    site: int = 0

    @property
    def total(self) -> int:
        """Of both kinds."""
        return self.people + self.site


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyHolder:
    """A running gateway, and the master keys it had when it last said so."""

    gateway_id: str
    key_ids: frozenset[KeyId]
    seen_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class WrappedKey:
    """A person's or the site's key under a master key."""

    kind: str
    """``person`` or ``site``."""
    name: str
    """The person's id, or what the site's key is called."""
    wrapped: bytes

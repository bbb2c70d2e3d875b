"""Cards and PINs, as the people's side needs them from outside."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Protocol

from gateway.domain.credentials import Card
from gateway.domain.ids import PersonId

Told = Callable[[], Awaitable[None]]
"""Records the change, inside its transaction; what it raises undoes it."""


class CredentialStore(Protocol):
    """Cards and PINs in Postgres; sees digests and hashes alone."""

    async def cards(self, person_id: PersonId) -> Sequence[Card]:
        """Oldest first. Raises InvalidInput (code "no_such_person")."""
        ...

    async def add_card(self, person_id: PersonId, card: Card, digest: bytes, told: Told) -> Card:
        """Raises Rejected (code "card_taken"); InvalidInput (code "no_such_person", "bad_text")."""
        ...

    async def change_card(
        self, person_id: PersonId, card_id: str, *, blocked: bool, expires_at: datetime | None, told: Told
    ) -> Card:
        """Raises InvalidInput (code "no_such_card")."""
        ...

    async def remove_card(self, person_id: PersonId, card_id: str, told: Told) -> None:
        """Raises InvalidInput (code "no_such_card")."""
        ...

    async def set_pin(self, person_id: PersonId, pin_hash: str | None, told: Told) -> None:
        """Set the PIN's hash, or take the PIN away. Raises InvalidInput (code "no_such_person")."""
        ...

    async def pin_set_at(self, person_id: PersonId) -> datetime | None:
        """When the PIN was set; None without one. Raises InvalidInput (code "no_such_person")."""
        ...


class CredentialSecrets(Protocol):
    """Digests and hashes under keys of the site."""

    async def card_digest(self, number: str) -> bytes:
        """The same for the same number, and of no use without the key."""
        ...

    async def pin_hash(self, pin: str) -> str:
        """Slow to try, and impossible without the key."""
        ...

    async def pin_matches(self, pin_hash: str, pin: str) -> bool:
        """Whether it is this PIN."""
        ...

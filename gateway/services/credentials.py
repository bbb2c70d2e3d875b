"""Cards and PINs: the way in for who declines face recognition, or cannot be recognised."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

from gateway.domain import credentials
from gateway.domain.accounts import Actor
from gateway.domain.credentials import Card
from gateway.domain.ids import PersonId
from gateway.ports import Clock
from gateway.ports.credentials import CredentialSecrets, CredentialStore, Told
from gateway.services.witness import Acted


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """The use cases behind the credential routes. Numbers and PINs go in and never come out again."""

    store: CredentialStore
    secrets: CredentialSecrets
    acted: Acted
    clock: Clock

    async def cards(self, person_id: PersonId) -> Sequence[Card]:
        """Oldest first. Raises InvalidInput (code "no_such_person")."""
        return await self.store.cards(person_id)

    async def add_card(
        self, actor: Actor, person_id: PersonId, *, number: str, label: str, expires_at: datetime | None
    ) -> Card:
        """Raises InvalidInput (code "bad_card", "no_such_person"), Rejected (code "card_taken")."""
        digest = await self.secrets.card_digest(credentials.card_number(number))
        card = Card(
            card_id=str(uuid4()),
            label=label,
            expires_at=expires_at,
            blocked=False,
            created_at=self.clock.now(),
        )
        told = self._told(actor, "card.add", person_id, card.card_id)
        return await self.store.add_card(person_id, card, digest, told)

    async def change_card(
        self, actor: Actor, person_id: PersonId, card_id: str, *, blocked: bool, expires_at: datetime | None
    ) -> Card:
        """Block it, free it, or set its end. Raises InvalidInput (code "no_such_card")."""
        told = self._told(actor, "card.block" if blocked else "card.change", person_id, card_id)
        return await self.store.change_card(
            person_id, card_id, blocked=blocked, expires_at=expires_at, told=told
        )

    async def remove_card(self, actor: Actor, person_id: PersonId, card_id: str) -> None:
        """Raises InvalidInput (code "no_such_card")."""
        await self.store.remove_card(person_id, card_id, self._told(actor, "card.remove", person_id, card_id))

    async def set_pin(self, actor: Actor, person_id: PersonId, pin: str) -> None:
        """Raises InvalidInput (code "bad_pin", "no_such_person")."""
        hashed = await self.secrets.pin_hash(credentials.pin(pin))
        await self.store.set_pin(person_id, hashed, self._told(actor, "pin.set", person_id))

    async def remove_pin(self, actor: Actor, person_id: PersonId) -> None:
        """Raises InvalidInput (code "no_such_person")."""
        await self.store.set_pin(person_id, None, self._told(actor, "pin.remove", person_id))

    async def pin_set_at(self, person_id: PersonId) -> datetime | None:
        """When the PIN was set; None without one. Raises InvalidInput (code "no_such_person")."""
        return await self.store.pin_set_at(person_id)

    def _told(self, actor: Actor, action: str, person_id: PersonId, target: str = "") -> Told:
        async def told() -> None:
            await self.acted(actor, action, person_id=person_id, target=target)

        return told

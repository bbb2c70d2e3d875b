"""Erasure of a person, with a receipt that anybody can check."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from gateway.domain.accounts import Actor
from gateway.domain.consent import Erased
from gateway.domain.events import Event, Json
from gateway.domain.ids import PersonId
from gateway.domain.receipts import Receipt
from gateway.ports.privacy import ErasureStore, ReceiptSigner


class Noted(Protocol):
    """Puts an action on record and says which event it became; ``services.witness.Record.noted``."""

    async def __call__(
        self,
        actor: Actor,
        action: str,
        *,
        person_id: PersonId | None = None,
        before: Mapping[str, Json] | None = None,
    ) -> Event:
        """Raises JournalUnavailable: then the action must not happen."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """What is left of an erased person: a pseudonym in the ledger, and the receipt that says so."""

    store: ErasureStore
    signer: ReceiptSigner
    noted: Noted

    async def erase(self, actor: Actor, person_id: PersonId, *, left_days: int | None = None) -> bytes:
        """Destroy the person's key and rows; the receipt, byte for byte.

        ``left_days``: only if they left so many days ago. Raises InvalidInput (code "no_such_person"),
        DatabaseUnavailable, JournalUnavailable: then nothing is destroyed.
        """
        key = await self.signer.key()  # before the transaction: it may need the database itself

        async def receipt(erased: Erased) -> bytes:
            event = await self.noted(actor, "person.erase", person_id=person_id, before={**erased.counts})
            stated = Receipt(
                erased=erased,
                erased_at=event.draft.at,
                by=actor.id,
                gateway_id=event.gateway_id,
                event_id=event.event_id,
                key=key.id,
            )
            return stated.signed(key.sign(stated.statement()))

        return await self.store.erase(person_id, receipt, left_days=left_days)

    async def receipt(self, person_id: PersonId) -> bytes:
        """The receipt again. Raises InvalidInput (code "no_such_receipt")."""
        return await self.store.receipt(person_id)

    async def public_key(self) -> tuple[str, bytes]:
        """Name and 32 bytes of the key that signs. Raises DatabaseUnavailable, SealBroken."""
        key = await self.signer.key()
        return key.id, key.public

"""Kept photographs: said what there is, and shown to those who may see them, on record."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.domain.accounts import Actor
from gateway.domain.enrolment import PhotographEntry, Purpose
from gateway.domain.ids import PersonId
from gateway.ports import Acts, PhotographStore, Sealer


@dataclass(frozen=True, slots=True)
class Opened:
    """One photograph in the clear: for an answer, never for a disk."""

    data: bytes = field(repr=False)
    media_type: str


@dataclass(frozen=True, slots=True)
class Photographs:
    """The use cases behind the photograph routes."""

    store: PhotographStore
    sealer: Sealer
    record: Acts

    async def entries(self, person_id: PersonId) -> Sequence[PhotographEntry]:
        """What is kept of a person, unopened. Raises InvalidInput (code "no_such_person")."""
        return await self.store.entries(person_id)

    async def read(self, actor: Actor, person_id: PersonId, photograph_id: str) -> Opened:
        """Open one. The look is on record before anybody sees anything.

        Raises InvalidInput (code "no_such_photograph"), SealBroken, DatabaseUnavailable, JournalUnavailable.
        """
        photograph, key = await self.store.get(person_id, photograph_id)
        plain = await asyncio.to_thread(
            self.sealer.open_as,
            key,
            person_id,
            Purpose.PHOTOGRAPH,
            photograph.photograph_id,
            photograph.sealed,
        )
        await self.record.acted(
            actor, "photograph.read", person_id=person_id, target=photograph.photograph_id
        )
        return Opened(plain, photograph.media_type)

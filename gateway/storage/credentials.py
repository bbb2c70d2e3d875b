"""``ports.CredentialStore`` in Postgres."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from gateway.domain.credentials import Card
from gateway.domain.errors import InvalidInput, Rejected
from gateway.domain.ids import PersonId
from gateway.ports.credentials import Told
from gateway.storage.pool import Database
from gateway.storage.staff import Connection, nobody, uuid_of

_CARD = "card_id, label, expires_at, blocked_at IS NOT NULL AS blocked, created_at"


@dataclass(slots=True)
class PostgresCredentials:
    """Cards and PINs."""

    database: Database

    async def cards(self, person_id: PersonId) -> Sequence[Card]:
        """Oldest first. Raises InvalidInput (code "no_such_person")."""
        async with self.database.connection() as db:
            await _known(db, person_id)
            rows = await db.fetch(
                f"SELECT {_CARD} FROM cards WHERE person_id = $1 ORDER BY created_at, card_id",  # noqa: S608
                uuid_of(person_id),
            )
        return [_card(row) for row in rows]

    async def add_card(self, person_id: PersonId, card: Card, digest: bytes, told: Told) -> Card:
        """Add one; see ``ports.CredentialStore``."""
        try:
            async with self.database.transaction() as db:
                await _known(db, person_id)
                await db.execute(
                    "INSERT INTO cards (card_id, person_id, digest, label, expires_at, created_at) "
                    "VALUES ($1, $2, $3, $4, $5, $6)",
                    UUID(card.card_id),
                    uuid_of(person_id),
                    digest,
                    card.label,
                    card.expires_at,
                    card.created_at,
                )
                await told()
        except asyncpg.UniqueViolationError:
            raise Rejected(
                "this card belongs to somebody already; remove it there first", code="card_taken"
            ) from None
        except asyncpg.DataError:
            raise InvalidInput("label: holds a character that cannot be stored", code="bad_text") from None
        return card

    async def change_card(
        self, person_id: PersonId, card_id: str, *, blocked: bool, expires_at: datetime | None, told: Told
    ) -> Card:
        """Block it, free it, or set its end. Raises InvalidInput (code "no_such_card")."""
        async with self.database.transaction() as db:
            row = await db.fetchrow(
                "UPDATE cards SET expires_at = $4, "  # noqa: S608
                "blocked_at = CASE WHEN $3 THEN coalesce(blocked_at, now()) END "
                f"WHERE person_id = $1 AND card_id = $2 RETURNING {_CARD}",
                uuid_of(person_id),
                _card_uuid(card_id),
                blocked,
                expires_at,
            )
            if row is None:
                raise _no_card()
            await told()
        return _card(row)

    async def remove_card(self, person_id: PersonId, card_id: str, told: Told) -> None:
        """Forget it. Raises InvalidInput (code "no_such_card")."""
        async with self.database.transaction() as db:
            done = await db.execute(
                "DELETE FROM cards WHERE person_id = $1 AND card_id = $2",
                uuid_of(person_id),
                _card_uuid(card_id),
            )
            if done != "DELETE 1":
                raise _no_card()
            await told()

    async def set_pin(self, person_id: PersonId, pin_hash: str | None, told: Told) -> None:
        """Set the PIN's hash, or take the PIN away. Raises InvalidInput (code "no_such_person")."""
        async with self.database.transaction() as db:
            await _known(db, person_id)
            who = uuid_of(person_id)
            await db.execute("DELETE FROM pins WHERE person_id = $1", who)
            if pin_hash is not None:
                await db.execute("INSERT INTO pins (person_id, hash) VALUES ($1, $2)", who, pin_hash)
            await told()

    async def pin_set_at(self, person_id: PersonId) -> datetime | None:
        """When the PIN was set. Raises InvalidInput (code "no_such_person")."""
        async with self.database.connection() as db:
            await _known(db, person_id)
            at: datetime | None = await db.fetchval(
                "SELECT created_at FROM pins WHERE person_id = $1", uuid_of(person_id)
            )
        return at


async def _known(db: Connection, person_id: PersonId) -> None:
    """The person stays there until the transaction ends. Raises InvalidInput."""
    if not await db.fetchval("SELECT true FROM people WHERE person_id = $1 FOR SHARE", uuid_of(person_id)):
        raise nobody(person_id)


def _card_uuid(card_id: str) -> UUID:
    try:
        return UUID(card_id)
    except ValueError:
        raise _no_card() from None


def _no_card() -> InvalidInput:
    return InvalidInput("this person has no such card", code="no_such_card")


def _card(row: asyncpg.Record) -> Card:
    return Card(
        card_id=str(row["card_id"]),
        label=row["label"],
        expires_at=row["expires_at"],
        blocked=row["blocked"],
        created_at=row["created_at"],
    )

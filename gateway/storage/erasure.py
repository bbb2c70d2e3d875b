"""``ports.ErasureStore`` in Postgres: a person's key and rows go; a receipt under the pseudonym stays."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID

from gateway.domain.consent import Erased
from gateway.domain.errors import InvalidInput
from gateway.domain.ids import PersonId
from gateway.storage.pool import Connection, Database
from gateway.storage.staff import LOCK_ROSTER, nobody, uuid_of

_HELD = ("templates", "photographs", "consents", "cards", "pins", "person_profiles")
"""Tables whose rows of the person go with them."""


@dataclass(slots=True)
class PostgresErasure:
    """The end of a person, and what proves it."""

    database: Database

    async def erase(
        self,
        person_id: PersonId,
        receipt: Callable[[Erased], Awaitable[bytes]],
        *,
        left_days: int | None = None,
    ) -> bytes:
        """Destroy in one transaction; see ``ports.ErasureStore``."""
        who = uuid_of(person_id)
        async with self.database.transaction() as db:
            await db.execute(LOCK_ROSTER)
            number = await db.fetchval(
                "SELECT number FROM people WHERE person_id = $1 "
                "AND ($2::integer IS NULL OR left_at <= now() - make_interval(days => $2))",
                who,
                left_days,
            )
            if number is None:
                raise nobody(person_id)
            counts = await _counts(db, who)
            counts["answers"] = await _forget_answers(db, who)
            counts["import_lines"] = await _forget_number(db, number)
            await db.execute("DELETE FROM people WHERE person_id = $1", who)
            body = await receipt(Erased(person_id=person_id, counts={"keys": 1, "people": 1, **counts}))
            await db.execute("INSERT INTO erasure_receipts (person_id, body) VALUES ($1, $2)", who, body)
        return body

    async def receipt(self, person_id: PersonId) -> bytes:
        """The receipt, byte for byte. Raises InvalidInput (code "no_such_receipt")."""
        async with self.database.connection() as db:
            body = await db.fetchval(
                "SELECT body FROM erasure_receipts WHERE person_id = $1", uuid_of(person_id)
            )
        if body is None:
            raise InvalidInput(
                "there is no receipt of this erasure: nobody with this id was erased, or receipts are not "
                "kept for so long here",
                code="no_such_receipt",
            )
        return bytes(body)


async def _counts(db: Connection, who: UUID) -> dict[str, int]:
    return {
        table: int(await db.fetchval(f"SELECT count(*) FROM {table} WHERE person_id = $1", who))  # noqa: S608
        for table in _HELD
    }


async def _forget_answers(db: Connection, who: UUID) -> int:
    """Answers kept for callers who ask twice hold what was created."""
    done = await db.execute("DELETE FROM idempotency WHERE about = $1", who)
    return int(done.split()[1])


async def _forget_number(db: Connection, number: str) -> int:
    """What imports noted under the staff number: the line stays, without number and words."""
    done = await db.execute(
        "UPDATE import_lines SET number = '', message = NULL WHERE number = $1 AND number <> ''", number
    )
    return int(done.split()[1])

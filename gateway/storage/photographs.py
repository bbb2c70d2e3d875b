"""Kept photographs in Postgres, sealed."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from gateway.domain.enrolment import PhotographEntry, SealedPhotograph
from gateway.domain.errors import InvalidInput
from gateway.domain.ids import ModelId, PersonId
from gateway.storage.pool import Connection, Database

_LIST = """
SELECT f.photograph_id, f.media_type, f.quality, f.created_at,
       ARRAY(SELECT DISTINCT t.model_id FROM templates t WHERE t.photograph_id = f.photograph_id
             ORDER BY t.model_id) AS models
FROM photographs f WHERE f.person_id = $1 ORDER BY f.created_at, f.photograph_id
"""


@dataclass(slots=True)
class PostgresPhotographs:
    """``ports.PhotographStore``."""

    database: Database

    async def entries(self, person_id: PersonId) -> Sequence[PhotographEntry]:
        """A person's, oldest first. Raises InvalidInput (code "no_such_person")."""
        who = uuid_of(person_id)
        async with self.database.connection() as db:
            rows = await db.fetch(_LIST, who)
            if not rows and not await db.fetchval("SELECT true FROM people WHERE person_id = $1", who):
                raise no_such_person(person_id)
        return [
            PhotographEntry(
                photograph_id=str(row["photograph_id"]),
                media_type=row["media_type"],
                quality=row["quality"],
                created_at=row["created_at"],
                models=tuple(ModelId(m) for m in row["models"]),
            )
            for row in rows
        ]

    async def get(self, person_id: PersonId, photograph_id: str) -> tuple[SealedPhotograph, bytes]:
        """One, with its person's wrapped key. Raises InvalidInput (code "no_such_photograph")."""
        try:
            which = UUID(photograph_id)
        except ValueError:
            which = UUID(int=0)
        async with self.database.connection() as db:
            row = await db.fetchrow(
                "SELECT f.*, p.wrapped_key FROM photographs f JOIN people p USING (person_id) "
                "WHERE f.photograph_id = $1 AND f.person_id = $2",
                which,
                uuid_of(person_id),
            )
        if row is None:
            raise InvalidInput("this person has no such photograph", code="no_such_photograph")
        photograph = SealedPhotograph(
            photograph_id=str(row["photograph_id"]),
            sealed=row["sealed"],
            media_type=row["media_type"],
            quality=row["quality"],
        )
        return photograph, row["wrapped_key"]


async def put_photographs(db: Connection, who: UUID, photographs: Sequence[SealedPhotograph]) -> None:
    """Inside the caller's transaction, which holds the roster's lock."""
    await db.executemany(
        "INSERT INTO photographs (photograph_id, person_id, sealed, media_type, quality) "
        "VALUES ($1, $2, $3, $4, $5)",
        [(UUID(p.photograph_id), who, p.sealed, p.media_type, p.quality) for p in photographs],
    )


def uuid_of(person_id: PersonId) -> UUID:
    """The id as Postgres wants it. Raises InvalidInput: what is no id is nobody's."""
    try:
        who = UUID(person_id)
    except ValueError:
        who = None
    if who is None or str(who) != person_id:
        raise no_such_person(person_id)
    return who


def no_such_person(person_id: PersonId) -> InvalidInput:
    """Nobody has this id."""
    return InvalidInput(f"there is no person {person_id[:40]!r}", code="no_such_person")

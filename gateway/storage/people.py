"""Employees, consents and sealed templates in Postgres."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from gateway.domain.enrolment import SealedTemplate, StoredPerson
from gateway.domain.errors import InvalidInput, Rejected
from gateway.domain.ids import AccessPointId, ModelId, PersonId
from gateway.domain.people import PersonStatus
from gateway.storage.pool import Database

_PEOPLE = """
SELECT p.person_id, p.number, p.name, p.status, p.wrapped_key,
       EXISTS (SELECT 1 FROM consents c
               WHERE c.person_id = p.person_id AND c.withdrawn_at IS NULL) AS consented,
       ARRAY(SELECT DISTINCT a.access_point_id FROM person_profiles pp
             JOIN profile_access_points a USING (profile) WHERE pp.person_id = p.person_id) AS points
FROM people p ORDER BY p.person_id
"""


@dataclass(slots=True)
class PostgresPeople:
    """``ports.PeopleStore``."""

    database: Database

    async def roster_version(self) -> int:
        """A number that changes with every change of people, consents, templates or profiles."""
        async with self.database.connection() as db:
            return int(await db.fetchval("SELECT version FROM roster_version"))

    async def count(self) -> int:
        """How many people there are."""
        async with self.database.connection() as db:
            return int(await db.fetchval("SELECT count(*) FROM people"))

    async def load(self, model_id: ModelId) -> tuple[int, Sequence[StoredPerson]]:
        """Everyone with the templates of one model, as of one version."""
        async with (
            self.database.connection() as db,
            db.transaction(isolation="repeatable_read", readonly=True),
        ):
            version = int(await db.fetchval("SELECT version FROM roster_version"))
            people = await db.fetch(_PEOPLE)
            rows = await db.fetch(
                "SELECT person_id, sealed, quality FROM templates WHERE model_id = $1 ORDER BY template_id",
                model_id,
            )
        templates: dict[UUID, list[SealedTemplate]] = {}
        for row in rows:
            templates.setdefault(row["person_id"], []).append(
                SealedTemplate(model_id=model_id, sealed=row["sealed"], quality=row["quality"])
            )
        return version, [_person(row, templates.get(row["person_id"], [])) for row in people]

    async def enrol(
        self,
        *,
        number: str,
        name: str,
        profile: str,
        consent: str | None,
        person_id: PersonId,
        wrapped_key: bytes,
        templates: Sequence[SealedTemplate],
        expected_version: int,
    ) -> None:
        """Create the person or replace their templates and key; see ``ports.PeopleStore``."""
        who = UUID(person_id)
        try:
            async with self.database.transaction() as db:
                version = await db.fetchval("SELECT version FROM roster_version FOR UPDATE")
                if version != expected_version:
                    raise Rejected("the roster changed meanwhile", code="roster_changed")
                await _put_person(db, who, number, name, wrapped_key)
                if consent is not None:
                    await db.execute(
                        "INSERT INTO consents (person_id, attestation) VALUES ($1, $2)", who, consent
                    )
                # The new key opens none of the old templates, whatever their model.
                await db.execute("DELETE FROM templates WHERE person_id = $1", who)
                await db.executemany(
                    "INSERT INTO templates (person_id, model_id, sealed, quality) VALUES ($1, $2, $3, $4)",
                    [(who, t.model_id, t.sealed, t.quality) for t in templates],
                )
                await db.execute(
                    "INSERT INTO person_profiles VALUES ($1, $2) ON CONFLICT DO NOTHING", who, profile
                )
        except asyncpg.ForeignKeyViolationError as error:
            raise InvalidInput(
                f"there is no access profile {profile!r}; create it first, or use staff",
                code="no_such_profile",
            ) from error
        except asyncpg.CheckViolationError as error:
            raise InvalidInput(
                f"{number}: no consent in force, so no template may be stored", code="no_consent"
            ) from error
        except asyncpg.UniqueViolationError as error:
            raise Rejected("the roster changed meanwhile", code="roster_changed") from error

    async def set_status(self, number: str, status: PersonStatus) -> None:
        """Change someone's status. Raises InvalidInput when nobody has the number."""
        async with self.database.connection() as db:
            done = await db.execute(
                "UPDATE people SET status = $2, updated_at = now() WHERE number = $1", number, status.value
            )
        if done != "UPDATE 1":
            raise InvalidInput(f"nobody has the number {number}", code="no_such_person")

    async def sync_access_points(self, points: Sequence[tuple[AccessPointId, str]]) -> None:
        """Store this site file's access points; other gateways' stay. "staff" holds new ones."""
        async with self.database.transaction() as db:
            for point, name in points:
                new = await db.fetchval(
                    "INSERT INTO access_points VALUES ($1, $2) ON CONFLICT (access_point_id) DO UPDATE "
                    "SET name = $2 WHERE access_points.name <> $2 RETURNING xmax = 0",
                    point,
                    name,
                )
                if new:
                    await db.execute(
                        "INSERT INTO profile_access_points VALUES ('staff', $1) ON CONFLICT DO NOTHING", point
                    )


async def _put_person(
    db: "asyncpg.pool.PoolConnectionProxy", who: UUID, number: str, name: str, wrapped_key: bytes
) -> None:
    await db.execute(
        "INSERT INTO people (person_id, number, name, wrapped_key) VALUES ($1, $2, $3, $4) "
        "ON CONFLICT (person_id) DO UPDATE SET name = $3, wrapped_key = $4, updated_at = now()",
        who,
        number,
        name,
        wrapped_key,
    )


def _person(row: asyncpg.Record, templates: Sequence[SealedTemplate]) -> StoredPerson:
    return StoredPerson(
        person_id=PersonId(str(row["person_id"])),
        number=row["number"],
        name=row["name"],
        status=PersonStatus(row["status"]),
        consented=row["consented"],
        access_points=frozenset(AccessPointId(p) for p in row["points"]),
        wrapped_key=row["wrapped_key"],
        templates=templates,
    )

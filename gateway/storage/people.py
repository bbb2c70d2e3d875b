"""Employees, consents and sealed templates in Postgres."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from uuid import UUID

import asyncpg

from gateway.domain.enrolment import SealedPhotograph, SealedTemplate, StoredPerson
from gateway.domain.errors import InvalidInput, Rejected
from gateway.domain.ids import AccessPointId, ModelId, PersonId
from gateway.domain.people import PersonStatus
from gateway.ports import ChangeWitness
from gateway.storage.photographs import put_photographs
from gateway.storage.pool import Connection, Database
from gateway.storage.templates import put_templates

_FACTS = """
FROM people p
LEFT JOIN (SELECT person_id, CASE WHEN bool_or(expires_at IS NULL) THEN NULL ELSE max(expires_at) END AS until
           FROM consents WHERE withdrawn_at IS NULL AND ended_at IS NULL
               AND (expires_at IS NULL OR expires_at > now()) GROUP BY person_id) c USING (person_id)
LEFT JOIN (SELECT person_id, string_agg(points, E'\\x1f' ORDER BY profile) AS points
           FROM person_profiles JOIN (
               SELECT profile, string_agg(access_point_id, E'\\x1f' ORDER BY access_point_id) AS points
               FROM profile_access_points GROUP BY profile) x USING (profile)
           GROUP BY person_id) held USING (person_id)
"""
"""Says of everyone at once what ``consent_in_force`` says of one: ten thousand calls of it take too long."""
_MARKS = f"""
SELECT p.person_id::text, ROW(p.xmin, c.person_id, c.until, held.points, t.rows)::text AS mark {_FACTS}
LEFT JOIN (SELECT person_id, string_agg(template_id || ' ' || xmin, ' ' ORDER BY template_id) AS rows
           FROM templates WHERE model_id = $1 GROUP BY person_id) t USING (person_id)
ORDER BY p.person_id
"""  # noqa: S608  # our own words
"""A row that was written again has another xmin: the number of the transaction that wrote it."""
_PEOPLE = f"""
SELECT p.person_id::text, p.number, p.name, p.status, p.wrapped_key,
       c.person_id IS NOT NULL AS consented, c.until, held.points
{_FACTS} WHERE p.person_id = ANY($1::uuid[])
"""
_TEMPLATES = """
SELECT person_id::text, sealed, quality FROM templates
WHERE model_id = $1 AND person_id = ANY($2::uuid[]) ORDER BY template_id
"""
_PIECE = 500
_LOCK_ROSTER = "SELECT version FROM roster_version FOR UPDATE"


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

    async def load(
        self, model_id: ModelId, known: Mapping[PersonId, StoredPerson] | None = None
    ) -> tuple[int, Sequence[StoredPerson]]:
        """Everyone with the templates of one model, as of one version; see ``ports.PeopleStore``."""
        async with (
            self.database.connection() as db,
            db.transaction(isolation="repeatable_read", readonly=True),
        ):
            version = int(await db.fetchval("SELECT version FROM roster_version"))
            marks = {row["person_id"]: row["mark"] for row in await _in_pieces(db, _MARKS, model_id)}
            before = known or {}
            had = {
                who: before[who] for who, mark in marks.items() if who in before and before[who].mark == mark
            }
            changed = [who for who in marks if who not in had]
            people = await _in_pieces(db, _PEOPLE, changed) if changed else ()
            rows = await _in_pieces(db, _TEMPLATES, model_id, changed) if changed else ()
        # With ten thousand people this takes a while that no door should wait for.
        read = await asyncio.to_thread(_people, people, rows, marks, model_id)
        return version, [had.get(who) or read[who] for who in marks]

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
        photographs: Sequence[SealedPhotograph] = (),
        witness: ChangeWitness | None = None,
    ) -> None:
        """Create the person or replace their templates; see ``ports.PeopleStore``."""
        who = _uuid(person_id)
        if templates and consent is None:
            raise InvalidInput(f"{number}: no consent, so no template may be stored", code="no_consent")
        try:
            async with self.database.transaction() as db:
                await _claim_version(db, expected_version)
                await _put_person(db, who, number, name, wrapped_key)
                if consent is not None:
                    await db.execute(
                        "INSERT INTO consents (person_id, attestation) VALUES ($1, $2)", who, consent
                    )
                await db.execute("DELETE FROM templates WHERE person_id = $1", who)
                await db.execute("DELETE FROM photographs WHERE person_id = $1", who)
                await put_photographs(db, who, photographs)
                await put_templates(db, who, templates)
                await db.execute(
                    "INSERT INTO person_profiles VALUES ($1, $2) ON CONFLICT DO NOTHING", who, profile
                )
                if witness is not None:
                    await witness()
        # Without asyncpg's own errors: their details quote the row, with the person's name in it.
        except asyncpg.ForeignKeyViolationError:
            raise InvalidInput(
                f"there is no access profile {profile!r}; create it first, or use staff",
                code="no_such_profile",
            ) from None
        except asyncpg.CheckViolationError:
            raise InvalidInput(
                f"{number}: no consent in force, so no template may be stored", code="no_consent"
            ) from None
        except asyncpg.UniqueViolationError:
            raise Rejected("the roster changed meanwhile", code="roster_changed") from None
        except asyncpg.DataError as error:
            raise InvalidInput(
                f"{number}: Postgres cannot store this text ({type(error).__name__})", code="bad_text"
            ) from None

    async def set_status(self, number: str, status: PersonStatus) -> None:
        """Change someone's status. Raises InvalidInput when nobody has the number."""
        async with self.database.connection() as db:
            done = await db.execute(
                "UPDATE people SET status = $2, updated_at = now() WHERE number = $1", number, status.value
            )
        if done != "UPDATE 1":
            raise InvalidInput(f"nobody has the number {number}", code="no_such_person")

    async def sync_access_points(self, points: Sequence[tuple[AccessPointId, str]]) -> None:
        """Store this site's access points; other gateways' stay. "staff" holds new ones."""
        async with self.database.transaction() as db:
            known = {r["access_point_id"]: r["name"] for r in await db.fetch("SELECT * FROM access_points")}
            changed = [(point, name) for point, name in points if known.get(point) != name]
            if not changed:
                return  # a start that changes nothing makes nobody reload
            await db.execute(_LOCK_ROSTER)  # first of all locks, or two gateways could wait for each other
            for point, name in changed:
                new = await db.fetchval(
                    "INSERT INTO access_points VALUES ($1, $2) ON CONFLICT (access_point_id) DO UPDATE "
                    "SET name = $2 RETURNING xmax = 0",
                    point,
                    name,
                )
                if new:
                    await db.execute(
                        "INSERT INTO profile_access_points VALUES ('staff', $1) ON CONFLICT DO NOTHING", point
                    )


def _uuid(person_id: PersonId) -> UUID:
    """Seals are bound to the id's text, so only its one spelling will do."""
    try:
        who = UUID(person_id)
    except ValueError:
        who = None
    if who is None or str(who) != person_id:
        raise InvalidInput(f"{person_id!r} is not a person's id: a UUID in lower case", code="bad_person_id")
    return who


async def _claim_version(db: "asyncpg.pool.PoolConnectionProxy", expected: int) -> None:
    version = await db.fetchval(_LOCK_ROSTER)
    if version != expected:
        raise Rejected("the roster changed meanwhile", code="roster_changed")


async def _put_person(
    db: "asyncpg.pool.PoolConnectionProxy", who: UUID, number: str, name: str, wrapped_key: bytes
) -> None:
    # Who is there keeps their key: kept photographs and what the record says of them are sealed under it.
    done = await db.fetchval(
        "INSERT INTO people (person_id, number, name, wrapped_key) VALUES ($1, $2, $3, $4) "
        "ON CONFLICT (person_id) DO UPDATE SET name = $3, version = people.version + 1, updated_at = now() "
        "WHERE people.number = $2 RETURNING true",
        who,
        number,
        name,
        wrapped_key,
    )
    if not done:  # somebody else's number has this id by now
        raise Rejected("the roster changed meanwhile", code="roster_changed")


async def _in_pieces(db: Connection, query: str, *given: object) -> Sequence[asyncpg.Record]:
    """All rows, decoded a few at a time: ten thousand at once hold the loop up for most of 0.1 s."""
    cursor, rows = await db.cursor(query, *given), list[asyncpg.Record]()
    while piece := await cursor.fetch(_PIECE):
        rows += piece
    return rows


def _people(
    people: Sequence[asyncpg.Record],
    rows: Sequence[asyncpg.Record],
    marks: Mapping[PersonId, str],
    model_id: ModelId,
) -> Mapping[PersonId, StoredPerson]:
    templates: dict[str, list[SealedTemplate]] = {}
    for row in rows:
        templates.setdefault(row["person_id"], []).append(
            SealedTemplate(model_id=model_id, sealed=row["sealed"], quality=row["quality"])
        )

    @cache  # thousands reach the same few
    def points(text: str) -> frozenset[AccessPointId]:
        return frozenset(AccessPointId(point) for point in text.split("\x1f") if point)

    return {
        PersonId(row["person_id"]): StoredPerson(
            person_id=PersonId(row["person_id"]),
            number=row["number"],
            name=row["name"],
            status=PersonStatus(row["status"]),
            consented=row["consented"],
            access_points=points(row["points"] or ""),
            wrapped_key=row["wrapped_key"],
            templates=templates.get(row["person_id"], []),
            consent_until=row["until"],
            mark=marks[PersonId(row["person_id"])],
        )
        for row in people
    }

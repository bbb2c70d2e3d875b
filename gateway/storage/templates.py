"""Sealed templates of people who are there already, and their change to a new model."""

import contextlib
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from gateway.domain.enrolment import (
    MOST_PHOTOGRAPHS,
    Migrant,
    Mode,
    SealedPhotograph,
    SealedTemplate,
    Standing,
)
from gateway.domain.errors import InvalidInput, Rejected
from gateway.domain.ids import ModelId, PersonId
from gateway.domain.people import PersonStatus
from gateway.ports import ChangeWitness
from gateway.storage.photographs import no_such_person, put_photographs, uuid_of
from gateway.storage.pool import Connection, Database

_LOCK_ROSTER = "SELECT version FROM roster_version FOR UPDATE"
_STANDING = """
SELECT p.number, p.status, p.wrapped_key, (SELECT version FROM roster_version) AS version,
       consent_in_force(p.person_id) AS consented,
       (SELECT count(*) FROM templates t WHERE t.person_id = p.person_id AND t.model_id = $2) AS templates,
       (SELECT count(*) FROM photographs f WHERE f.person_id = p.person_id) AS photographs
FROM people p WHERE p.person_id = $1
"""
_MIGRANTS = """
SELECT p.person_id, p.number, p.wrapped_key,
       ARRAY(SELECT f.photograph_id FROM photographs f WHERE f.person_id = p.person_id
             ORDER BY f.created_at, f.photograph_id) AS photographs
FROM people p WHERE EXISTS (SELECT 1 FROM templates t WHERE t.person_id = p.person_id) ORDER BY p.person_id
"""
_BEHIND = """
SELECT count(*) FROM people p WHERE EXISTS (SELECT 1 FROM templates t WHERE t.person_id = p.person_id)
AND NOT EXISTS (SELECT 1 FROM templates t WHERE t.person_id = p.person_id AND t.model_id = $1)
"""
_CHANGED = "UPDATE people SET version = version + 1, updated_at = now() WHERE person_id = $1"


@dataclass(slots=True)
class PostgresTemplates:
    """``ports.TemplateStore`` and ``ports.MigrationStore``."""

    database: Database

    async def standing(self, person_id: PersonId, model_id: ModelId) -> Standing:
        """What is known of a person; see ``ports.TemplateStore``."""
        async with self.database.connection() as db:
            row = await db.fetchrow(_STANDING, uuid_of(person_id), model_id)
        if row is None:
            raise no_such_person(person_id)
        return Standing(
            person_id=person_id,
            number=row["number"],
            status=PersonStatus(row["status"]),
            consented=row["consented"],
            wrapped_key=row["wrapped_key"],
            templates=row["templates"],
            photographs=row["photographs"],
            roster_version=row["version"],
        )

    async def store(
        self,
        person_id: PersonId,
        *,
        mode: Mode,
        templates: Sequence[SealedTemplate],
        photographs: Sequence[SealedPhotograph],
        expected_version: int,
        witness: ChangeWitness,
    ) -> None:
        """Replace or add; see ``ports.TemplateStore``."""
        who = uuid_of(person_id)
        with _refusals():
            async with self.database.transaction() as db:
                if await db.fetchval(_LOCK_ROSTER) != expected_version:
                    raise Rejected("the roster changed meanwhile", code="roster_changed")
                if await db.execute(_CHANGED, who) != "UPDATE 1":
                    raise no_such_person(person_id)
                if mode is Mode.REPLACE:
                    await _destroy(db, who)
                await put_photographs(db, who, photographs)
                await put_templates(db, who, templates)
                await _check_count(db, who)
                await witness()

    async def remove(self, person_id: PersonId, witness: ChangeWitness) -> tuple[int, int]:
        """Destroy all; see ``ports.TemplateStore``."""
        who = uuid_of(person_id)
        async with self.database.transaction() as db:
            await db.execute(_LOCK_ROSTER)
            if not await db.fetchval("SELECT true FROM people WHERE person_id = $1", who):
                raise no_such_person(person_id)
            gone = await _destroy(db, who)
            if any(gone):
                await db.execute(_CHANGED, who)
                await witness()
            return gone

    async def migrants(self, model_id: ModelId) -> Sequence[Migrant]:
        """Everyone with templates; see ``ports.MigrationStore``."""
        async with (
            self.database.connection() as db,
            db.transaction(isolation="repeatable_read", readonly=True),
        ):
            people = await db.fetch(_MIGRANTS)
            rows = await db.fetch(
                "SELECT person_id, sealed, quality FROM templates WHERE model_id = $1 ORDER BY template_id",
                model_id,
            )
        have: dict[UUID, list[SealedTemplate]] = {}
        for row in rows:
            have.setdefault(row["person_id"], []).append(
                SealedTemplate(model_id=model_id, sealed=row["sealed"], quality=row["quality"])
            )
        return [
            Migrant(
                person_id=PersonId(str(row["person_id"])),
                number=row["number"],
                wrapped_key=row["wrapped_key"],
                have=have.get(row["person_id"], []),
                photographs=[str(p) for p in row["photographs"]],
            )
            for row in people
        ]

    async def put(
        self,
        model_id: ModelId,
        templates: Mapping[PersonId, Sequence[SealedTemplate]],
        witness: Callable[[Sequence[PersonId]], Awaitable[None]],
    ) -> Sequence[PersonId]:
        """First templates of a model; see ``ports.MigrationStore``."""
        done: list[PersonId] = []
        with _refusals():
            async with self.database.transaction() as db:
                await db.execute(_LOCK_ROSTER)
                for person_id, given in templates.items():
                    who = uuid_of(person_id)
                    if await _may_migrate(db, who, model_id, given):
                        await put_templates(db, who, given)
                        done.append(person_id)
                if done:
                    await witness(done)
        return done

    async def finish(self, model_id: ModelId, witness: ChangeWitness) -> int:
        """Destroy the other models' templates; see ``ports.MigrationStore``."""
        async with self.database.transaction() as db:
            await db.execute(_LOCK_ROSTER)
            behind = await db.fetchval(_BEHIND, model_id)
            if behind:
                raise Rejected(
                    f"{behind} people have templates, but none of {model_id}; the old ones stay until they "
                    "have been migrated, enrolled anew or removed",
                    code="migration_incomplete",
                )
            gone = int((await db.execute("DELETE FROM templates WHERE model_id <> $1", model_id)).split()[1])
            if gone:
                await witness()
            return gone


async def put_templates(db: Connection, who: UUID, templates: Sequence[SealedTemplate]) -> None:
    """Inside the caller's transaction, which holds the roster's lock."""
    await db.executemany(
        "INSERT INTO templates (person_id, model_id, sealed, quality, photograph_id) "
        "VALUES ($1, $2, $3, $4, $5)",
        [
            (who, t.model_id, t.sealed, t.quality, UUID(t.photograph_id) if t.photograph_id else None)
            for t in templates
        ],
    )


async def _destroy(db: Connection, who: UUID) -> tuple[int, int]:
    gone = await db.execute("DELETE FROM templates WHERE person_id = $1", who)
    seen = await db.execute("DELETE FROM photographs WHERE person_id = $1", who)
    return int(gone.split()[1]), int(seen.split()[1])


async def _check_count(db: Connection, who: UUID) -> None:
    most = await db.fetchval(
        "SELECT count(*) FROM templates WHERE person_id = $1 GROUP BY model_id ORDER BY 1 DESC LIMIT 1",
        who,
    )
    if (most or 0) > MOST_PHOTOGRAPHS:
        raise Rejected(
            f"a person has at most {MOST_PHOTOGRAPHS} templates of a model; replace them instead of adding",
            code="too_many_templates",
        )


async def _may_migrate(db: Connection, who: UUID, model_id: ModelId, given: Sequence[SealedTemplate]) -> bool:
    """Still consenting, still with these photographs, and not migrated by another command meanwhile."""
    photographs = {UUID(t.photograph_id) for t in given if t.photograph_id}
    return bool(
        await db.fetchval(
            "SELECT consent_in_force($1) AND NOT EXISTS "
            "(SELECT 1 FROM templates WHERE person_id = $1 AND model_id = $2) AND $4 = "
            "(SELECT count(*) FROM photographs WHERE person_id = $1 AND photograph_id = ANY($3))",
            who,
            model_id,
            list(photographs),
            len(photographs),
        )
    )


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    """Without asyncpg's own errors: their details quote rows."""
    try:
        yield
    except asyncpg.CheckViolationError:
        raise InvalidInput(
            "no consent in force, so no template and no photograph may be stored", code="no_consent"
        ) from None
    except asyncpg.IntegrityConstraintViolationError:
        raise Rejected("the roster changed meanwhile", code="roster_changed") from None

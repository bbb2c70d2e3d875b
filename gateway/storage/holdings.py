"""``ports.HoldingsStore`` in Postgres: everything that is held about one person."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from gateway.domain.enrolment import PhotographEntry
from gateway.domain.holdings import Holdings
from gateway.domain.ids import ModelId, PersonId
from gateway.storage.consents import consents_of
from gateway.storage.pool import Connection, Database
from gateway.storage.staff import read, uuid_of

_PAGE = 500

_TEXTS = "SELECT version, body FROM consent_texts WHERE version = ANY($1::text[])"
_POINTS = """
SELECT h.profile, a.access_point_id, a.name FROM person_profiles h
JOIN profile_access_points USING (profile) JOIN access_points a USING (access_point_id)
WHERE h.person_id = $1 ORDER BY h.profile, a.access_point_id
"""
_TEMPLATES = """
SELECT model_id, quality, created_at, photograph_id FROM templates WHERE person_id = $1 ORDER BY template_id
"""
_CARDS = """
SELECT card_id, label, expires_at, blocked_at, created_at FROM cards WHERE person_id = $1
ORDER BY created_at, card_id
"""
_PHOTOGRAPHS = """
SELECT photograph_id, media_type, quality, created_at FROM photographs WHERE person_id = $1
ORDER BY created_at, photograph_id
"""
_IMPORTS = """
SELECT i.import_id, i.created_at, i.dry_run, l.line, l.state, l.code, l.message FROM import_lines l
JOIN imports i USING (import_id) WHERE l.number = $1 ORDER BY i.created_at, l.line
"""
_EVENTS = """
SELECT at, gateway_id, seq, canonical FROM events WHERE person_id = $1
AND ($2::timestamptz IS NULL OR (at, gateway_id, seq) > ($2, $3::text, $4::bigint))
ORDER BY at, gateway_id, seq LIMIT $5
"""


@dataclass(slots=True)
class PostgresHoldings:
    """Reads; changes nothing."""

    database: Database

    async def holdings(self, person_id: PersonId) -> Holdings:
        """As of one moment. Raises InvalidInput (code "no_such_person")."""
        async with (
            self.database.connection() as db,
            db.transaction(isolation="repeatable_read", readonly=True),
        ):
            return await _holdings(db, person_id)

    async def events(self, person_id: PersonId) -> AsyncIterator[Sequence[Mapping[str, Any]]]:
        """Page by page, by time."""
        who = uuid_of(person_id)
        place: tuple[datetime | None, str, int] = (None, "", 0)
        while True:
            async with self.database.connection() as db:
                rows = await db.fetch(_EVENTS, who, *place, _PAGE)
            if not rows:
                return
            yield [json.loads(row["canonical"]) for row in rows]
            place = (rows[-1]["at"], rows[-1]["gateway_id"], rows[-1]["seq"])


async def _holdings(db: Connection, person_id: PersonId) -> Holdings:
    who = uuid_of(person_id)
    person = await read(db, person_id)
    (row,) = await db.fetch("SELECT left_at, wrapped_key FROM people WHERE person_id = $1", who)
    consents = await consents_of(db, who)
    versions = sorted({c.text_version for c in consents if c.text_version})
    points: dict[str, list[tuple[str, str]]] = {profile: [] for profile in sorted(person.profiles)}
    for found in await db.fetch(_POINTS, who):
        points[found["profile"]].append((found["access_point_id"], found["name"]))
    return Holdings(
        person=person,
        left_at=row["left_at"],
        wrapped_key=row["wrapped_key"],
        consents=consents,
        texts={t["version"]: t["body"] for t in await db.fetch(_TEXTS, versions)},
        access_points=points,
        templates=[_plain(r) for r in await db.fetch(_TEMPLATES, who)],
        photographs=[_entry(r) for r in await db.fetch(_PHOTOGRAPHS, who)],
        cards=[_plain(r) for r in await db.fetch(_CARDS, who)],
        pin_since=await db.fetchval("SELECT created_at FROM pins WHERE person_id = $1", who),
        imports=[_plain(r) for r in await db.fetch(_IMPORTS, person.number)],
    )


def _entry(row: asyncpg.Record) -> PhotographEntry:
    models: tuple[ModelId, ...] = ()
    return PhotographEntry(
        photograph_id=str(row["photograph_id"]),
        media_type=row["media_type"],
        quality=row["quality"],
        created_at=row["created_at"],
        models=models,
    )


def _plain(row: asyncpg.Record) -> Mapping[str, Any]:
    def value(one: object) -> object:
        if isinstance(one, datetime):
            return one.isoformat()
        return str(one) if isinstance(one, UUID) else one

    return {name: value(one) for name, one in row.items()}

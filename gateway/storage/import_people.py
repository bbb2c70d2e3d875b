"""What an import reads and writes of people beside their fields: templates as they come, consents."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time

import asyncpg

from gateway.domain.errors import InvalidInput
from gateway.domain.ids import ModelId, PersonId
from gateway.domain.imports import Consented, ConsentNote
from gateway.ports import ChangeWitness
from gateway.ports.imports import StoredTemplate
from gateway.storage.pool import Database
from gateway.storage.staff import LOCK_ROSTER, nobody, uuid_of


@dataclass(slots=True)
class PostgresTemplateFeed:
    """``ports.TemplateFeed``."""

    database: Database

    async def templates_after(self, model_id: ModelId, after: int, limit: int) -> Sequence[StoredTemplate]:
        """Templates of one model with a higher id, in order."""
        async with self.database.connection() as db:
            rows = await db.fetch(
                "SELECT t.template_id, t.person_id, p.number, p.wrapped_key, t.sealed FROM templates t "
                "JOIN people p USING (person_id) WHERE t.template_id > $1 AND t.model_id = $2 "
                "ORDER BY t.template_id LIMIT $3",
                after,
                model_id,
                limit,
            )
        return [
            StoredTemplate(
                template_id=row["template_id"],
                person_id=PersonId(str(row["person_id"])),
                number=row["number"],
                wrapped_key=row["wrapped_key"],
                sealed=row["sealed"],
            )
            for row in rows
        ]

    async def has_template(self, template_id: int) -> bool:
        """Whether it is still there."""
        async with self.database.connection() as db:
            return bool(
                await db.fetchval("SELECT EXISTS (SELECT FROM templates WHERE template_id = $1)", template_id)
            )


@dataclass(slots=True)
class PostgresConsentNotes:
    """``ports.ConsentNotes``."""

    database: Database

    async def latest(self, person_id: PersonId) -> ConsentNote | None:
        """The latest consent in force that has a version."""
        async with self.database.connection() as db:
            row = await db.fetchrow(
                "SELECT text_version, given_at, how FROM consents WHERE person_id = $1 "
                "AND withdrawn_at IS NULL AND (expires_at IS NULL OR expires_at > now()) "
                "AND text_version IS NOT NULL ORDER BY given_at DESC, consent_id DESC LIMIT 1",
                uuid_of(person_id),
            )
        if row is None:
            return None
        return ConsentNote(
            version=row["text_version"],
            given_on=row["given_at"].astimezone(UTC).date(),
            how=Consented(row["how"]),
        )

    async def add(
        self, person_id: PersonId, note: ConsentNote, recorded_by: str, witness: ChangeWitness
    ) -> None:
        """Raises InvalidInput (code "no_such_consent_text", "no_such_person")."""
        try:
            async with self.database.transaction() as db:
                await db.execute(LOCK_ROSTER)
                await db.execute(
                    "INSERT INTO consents (person_id, attestation, text_version, how, given_at, recorded_by) "
                    "VALUES ($1, $2, $3, $4, $5, $6)",
                    uuid_of(person_id),
                    f"version {note.version}, {note.how}, recorded by an import",
                    note.version,
                    note.how.value,
                    datetime.combine(note.given_on, time(), UTC),
                    recorded_by,
                )
                await witness()
        except asyncpg.ForeignKeyViolationError as error:
            if "person" in (error.constraint_name or ""):
                raise nobody(person_id) from None
            raise InvalidInput(
                "consent_version: this site has no consent text of that version; add it first",
                code="no_such_consent_text",
            ) from None

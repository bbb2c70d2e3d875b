"""Templates as they come, for the copy that an import keeps in memory."""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.domain.ids import ModelId, PersonId
from gateway.ports.imports import StoredTemplate
from gateway.storage.pool import Database


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

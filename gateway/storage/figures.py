"""``ports.FiguresStore`` in Postgres: how much of what there is, for the processing record."""

from dataclasses import dataclass
from typing import Any

from gateway.domain.holdings import SiteFigures
from gateway.storage.pool import Connection, Database

_ONE = """
SELECT now() AS at,
  (SELECT count(DISTINCT person_id) FROM templates) AS people_with_templates,
  (SELECT count(*) FROM photographs) AS photographs,
  (SELECT min(created_at) FROM photographs) AS oldest_photograph,
  (SELECT count(*) FROM cards) AS cards,
  (SELECT count(*) FROM pins) AS pins,
  (SELECT count(*) FROM consents WHERE withdrawn_at IS NULL AND ended_at IS NULL
     AND (expires_at IS NULL OR expires_at > now())) AS consents_in_force,
  (SELECT count(*) FROM consents WHERE withdrawn_at IS NOT NULL OR ended_at IS NOT NULL
     OR expires_at <= now()) AS consents_ended,
  (SELECT count(*) FROM events) AS events,
  (SELECT min(at) FROM events) AS oldest_event,
  (SELECT count(*) FROM erasure_receipts) AS receipts,
  (SELECT count(*) FROM imports) AS imports
"""
_BY = {
    "people": "SELECT status, count(*) FROM people GROUP BY 1 ORDER BY 1",
    "templates": "SELECT model_id, count(*) FROM templates GROUP BY 1 ORDER BY 1",
    "consents_by_text": """
        SELECT coalesce(text_version, ''), count(*) FROM consents WHERE withdrawn_at IS NULL
        AND ended_at IS NULL AND (expires_at IS NULL OR expires_at > now()) GROUP BY 1 ORDER BY 1""",
    "accounts": """
        SELECT role, count(*) FROM accounts, unnest(roles) role WHERE disabled_at IS NULL
        GROUP BY 1 ORDER BY 1""",
    "api_keys": """
        SELECT role, count(*) FROM api_keys, unnest(roles) role WHERE revoked_at IS NULL
        AND (expires_at IS NULL OR expires_at > now()) GROUP BY 1 ORDER BY 1""",
}


@dataclass(slots=True)
class PostgresFigures:
    """Reads; changes nothing."""

    database: Database

    async def figures(self) -> SiteFigures:
        """As of one moment."""
        async with (
            self.database.connection() as db,
            db.transaction(isolation="repeatable_read", readonly=True),
        ):
            (row,) = await db.fetch(_ONE)
            texts = await db.fetch(
                "SELECT version, language, created_at FROM consent_texts ORDER BY created_at DESC"
            )
            grouped: dict[str, Any] = {name: await _by(db, query) for name, query in _BY.items()}
        versions = [(t["version"], t["language"], t["created_at"]) for t in texts]
        return SiteFigures(**{**row, **grouped, "texts": versions})


async def _by(db: Connection, query: str) -> dict[str, int]:
    return {row[0]: row[1] for row in await db.fetch(query)}

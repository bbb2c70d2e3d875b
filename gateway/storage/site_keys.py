"""The site's own keys in Postgres, wrapped."""

from dataclasses import dataclass

from gateway.storage.pool import Database


@dataclass(frozen=True, slots=True)
class PostgresSiteKeys:
    """``ports.SiteKeyStore``."""

    database: Database

    async def get(self, name: str) -> bytes | None:
        """One, wrapped."""
        async with self.database.connection() as db:
            found: bytes | None = await db.fetchval("SELECT wrapped FROM site_keys WHERE name = $1", name)
            return found

    async def put(self, name: str, wrapped: bytes) -> bytes:
        """Keep it if there is none; returns the one that is kept."""
        async with self.database.transaction() as db:
            await db.execute(
                "INSERT INTO site_keys (name, wrapped) VALUES ($1, $2) ON CONFLICT DO NOTHING", name, wrapped
            )
            kept: bytes = await db.fetchval("SELECT wrapped FROM site_keys WHERE name = $1", name)
            return kept

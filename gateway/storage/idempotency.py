"""``ports.IdempotencyStore`` in Postgres; answers are sealed, since they hold what was created."""

import base64
import json
from dataclasses import dataclass
from uuid import UUID

from gateway.domain.errors import Rejected
from gateway.ports.requests import StoredAnswer
from gateway.ports.staff import SiteSealer
from gateway.storage.pool import Database

_PURPOSE = "idempotency"
_KEEP = "UPDATE idempotency SET sealed = $3, about = $4 WHERE actor = $1 AND key = $2"
_HOLD = "UPDATE idempotency SET created_at = now() WHERE actor = $1 AND key = $2 AND sealed IS NULL"
_FORGET = "DELETE FROM idempotency WHERE actor = $1 AND key = $2"
_STILL_THERE = "SELECT true FROM people WHERE person_id = $1 FOR SHARE"
"""Shared with nobody who erases them: their erasure then finds the answer."""
FORGET_OLD = """
DELETE FROM idempotency WHERE created_at < now() - interval '24 hours'
    OR (sealed IS NULL AND created_at < now() - interval '2 minutes')
"""


@dataclass(slots=True)
class PostgresIdempotency:
    """Kept for a day. A request neither held nor answered for two minutes died with its gateway."""

    database: Database
    sealer: SiteSealer

    async def claim(self, actor: str, key: str, request: bytes) -> StoredAnswer | None:
        """Take the key for a request, or the answer it had; see ``ports.IdempotencyStore``."""
        async with self.database.transaction() as db:
            await db.execute(FORGET_OLD)
            mine = await db.fetchval(
                "INSERT INTO idempotency (actor, key, request) VALUES ($1, $2, $3) "
                "ON CONFLICT DO NOTHING RETURNING true",
                actor,
                key,
                request,
            )
            if mine:
                return None
            row = await db.fetchrow(
                "SELECT request, sealed FROM idempotency WHERE actor = $1 AND key = $2", actor, key
            )
        if row is not None and row["request"] != request:
            raise Rejected(
                "this Idempotency-Key was used for another request; use a new one",
                code="idempotency_key_reused",
            )
        if row is None or row["sealed"] is None:
            raise Rejected(
                "the first request with this Idempotency-Key is not answered yet; ask again in a moment",
                code="request_under_way",
            )
        return _answer(await self.sealer.open(_PURPOSE, row["sealed"]))

    async def hold(self, actor: str, key: str) -> None:
        """It goes on."""
        async with self.database.connection() as db:
            await db.execute(_HOLD, actor, key)

    async def settle(self, actor: str, key: str, answer: StoredAnswer | None) -> None:
        """Keep the answer; None gives the key free again."""
        if answer is None:
            async with self.database.connection() as db:
                await db.execute(_FORGET, actor, key)
            return
        sealed = await self.sealer.seal(_PURPOSE, _bytes(answer))
        about = None if answer.about is None else UUID(answer.about)
        async with self.database.transaction() as db:
            kept = about is None or await db.fetchval(_STILL_THERE, about)
            await db.execute(_KEEP if kept else _FORGET, actor, key, *((sealed, about) if kept else ()))


def _bytes(answer: StoredAnswer) -> bytes:
    body = base64.b64encode(answer.body).decode()
    return json.dumps([answer.status, dict(answer.headers), body, answer.content.hex()]).encode()


def _answer(plain: bytes) -> StoredAnswer:
    status, headers, body, *content = json.loads(plain)
    return StoredAnswer(
        status=status,
        headers=headers,
        body=base64.b64decode(body),
        content=bytes.fromhex(content[0]) if content else b"",  # none of an older version's
    )

"""The shared ledger in Postgres."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from gateway.domain.errors import InvariantBroken
from gateway.domain.events import GENESIS, Event
from gateway.domain.ids import GatewayId
from gateway.storage.pool import Database
from gateway.storage.records import Row, parse

_COLUMNS = (
    "gateway_id", "seq", "event_id", "at", "kind", "access_point_id", "person_id", "grant_id",
    "canonical", "prev_hash", "hash",
)  # fmt: skip
_PAGE = 1000


@dataclass(slots=True)
class PostgresEvents:
    """``ports.EventStore``."""

    database: Database

    async def store(self, events: Sequence[tuple[Event, bytes]]) -> None:
        """Insert one gateway's events in order, all or none; identical ones already there are skipped.

        Raises DatabaseUnavailable, or InvariantBroken when a stored event differs, a gap would open, the
        chain does not link up, or the events are of several gateways.
        """
        if not events:
            return
        gateway_id = events[0][0].gateway_id
        if any(e.gateway_id != gateway_id for e, _ in events):
            raise InvariantBroken("events of several gateways in one batch", code="ledger_mixed")
        try:
            async with self.database.transaction() as db:
                await self._store(db, gateway_id, events)
        except asyncpg.IntegrityConstraintViolationError as error:
            raise InvariantBroken(
                f"Postgres refuses events {events[0][0].seq} to {events[-1][0].seq} of {gateway_id} "
                f"({error.constraint_name}): another gateway has used their ids",
                code="ledger_differs",
            ) from None

    async def _store(
        self,
        db: asyncpg.pool.PoolConnectionProxy,
        gateway_id: GatewayId,
        events: Sequence[tuple[Event, bytes]],
    ) -> None:
        # One writer a gateway at a time, whatever process it is in.
        await db.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", gateway_id)
        found = await db.fetch(
            "SELECT seq, canonical, prev_hash, hash FROM events "
            "WHERE gateway_id = $1 AND seq = ANY($2::bigint[])",
            gateway_id,
            [e.seq for e, _ in events],
        )
        there: dict[int, Row] = {
            r["seq"]: (r["seq"], r["canonical"], r["prev_hash"], r["hash"]) for r in found
        }
        new = [(event, body) for event, body in events if not _is_there(event, body, there)]
        if not new:
            return
        newest = await db.fetchrow(
            "SELECT seq, hash FROM events WHERE gateway_id = $1 ORDER BY seq DESC LIMIT 1", gateway_id
        )
        last, head = (newest["seq"], newest["hash"]) if newest else (0, GENESIS)
        for event, _ in new:
            if event.seq != last + 1:
                raise InvariantBroken(
                    f"the ledger of {gateway_id} ends at {last}; event {event.seq} would leave a gap",
                    code="ledger_gap",
                )
            if event.prev_hash != head:
                raise InvariantBroken(
                    f"event {event.seq} of {gateway_id} does not link to the one before it in Postgres; "
                    f"{_WHAT_NOW}",
                    code="ledger_differs",
                )
            last, head = event.seq, event.hash
        await db.copy_records_to_table("events", records=[_row(*n) for n in new], columns=_COLUMNS)

    async def last_seq(self, gateway_id: GatewayId) -> int:
        """Highest stored sequence number, 0 for none."""
        async with self.database.connection() as db:
            return int(
                await db.fetchval("SELECT max(seq) FROM events WHERE gateway_id = $1", gateway_id) or 0
            )

    async def rows(self, gateway_id: GatewayId, after: int = 0, limit: int = 1000) -> tuple[Row, ...]:
        """The next (seq, canonical, prev_hash, hash) after a sequence number, for verification."""
        async with self.database.connection() as db:
            found = await db.fetch(
                "SELECT seq, canonical, prev_hash, hash FROM events "
                "WHERE gateway_id = $1 AND seq > $2 ORDER BY seq LIMIT $3",
                gateway_id,
                after,
                limit,
            )
        return tuple((r["seq"], r["canonical"], r["prev_hash"], r["hash"]) for r in found)

    async def false_column(self, gateway_id: GatewayId) -> int | None:
        """First event whose search columns do not say what its chained bytes say; None when all do.

        Raises InvariantBroken when the bytes cannot be read: verify the chain first.
        """
        seq = 0
        while True:
            async with self.database.connection() as db:
                found = await db.fetch(
                    "SELECT * FROM events WHERE gateway_id = $1 AND seq > $2 ORDER BY seq LIMIT $3",
                    gateway_id,
                    seq,
                    _PAGE,
                )
            if not found:
                return None
            false = await asyncio.to_thread(_first_false, found)
            if false is not None:
                return false
            seq = found[-1]["seq"]


_WHAT_NOW = (
    "one of the two was changed, or this gateway id has another journal elsewhere: keep both as evidence, "
    "run `facegate audit verify`, and give this gateway an id and a state folder of its own"
)


def _is_there(event: Event, body: bytes, there: Mapping[int, Row]) -> bool:
    stored = there.get(event.seq)
    if stored is None:
        return False
    if stored != (event.seq, body, event.prev_hash, event.hash):
        raise InvariantBroken(
            f"event {event.seq} of {event.gateway_id} in Postgres is not the one in the journal; {_WHAT_NOW}",
            code="ledger_differs",
        )
    return True


def _first_false(found: Sequence[asyncpg.Record]) -> int | None:
    for row in found:
        seq, body = row["seq"], row["canonical"]
        said = _row(parse((seq, body, row["prev_hash"], row["hash"])), body)
        if said != tuple(row[column] for column in _COLUMNS):
            return int(seq)
    return None


def _row(event: Event, body: bytes) -> tuple[object, ...]:
    draft = event.draft
    return (
        event.gateway_id,
        event.seq,
        UUID(event.event_id),
        draft.at,
        draft.kind.value,
        draft.access_point_id,
        None if draft.person_id is None else UUID(draft.person_id),
        None if draft.grant_id is None else UUID(draft.grant_id),
        body,
        event.prev_hash,
        event.hash,
    )

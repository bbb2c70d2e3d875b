"""The shared ledger in Postgres."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from gateway.domain.errors import InvariantBroken
from gateway.domain.events import Event
from gateway.domain.ids import GatewayId
from gateway.storage.pool import Database

_COLUMNS = (
    "gateway_id", "seq", "event_id", "at", "kind", "access_point_id", "person_id", "grant_id",
    "canonical", "prev_hash", "hash",
)  # fmt: skip


@dataclass(slots=True)
class PostgresEvents:
    """``ports.EventStore``."""

    database: Database

    async def store(self, events: Sequence[tuple[Event, bytes]]) -> None:
        """Insert one gateway's events in order, all or none; identical ones already there are skipped.

        Raises DatabaseUnavailable, or InvariantBroken when a stored event differs or a gap would open.
        """
        if not events:
            return
        gateway_id = events[0][0].gateway_id
        async with self.database.transaction() as db:
            # One writer a gateway at a time, whatever process it is in.
            await db.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", gateway_id)
            stored = await db.fetch(
                "SELECT seq, hash FROM events WHERE gateway_id = $1 AND seq = ANY($2::bigint[])",
                gateway_id,
                [e.seq for e, _ in events],
            )
            there = {row["seq"]: row["hash"] for row in stored}
            for event, _ in events:
                if there.get(event.seq, event.hash) != event.hash:
                    raise InvariantBroken(
                        f"event {event.seq} of {gateway_id} in Postgres is not the one in the journal",
                        code="ledger_differs",
                    )
            new = [(e, body) for e, body in events if e.seq not in there]
            if not new:
                return
            last = await db.fetchval("SELECT max(seq) FROM events WHERE gateway_id = $1", gateway_id) or 0
            expected = list(range(last + 1, last + 1 + len(new)))
            if [e.seq for e, _ in new] != expected:
                raise InvariantBroken(
                    f"the ledger of {gateway_id} ends at {last}; event {new[0][0].seq} would leave a gap",
                    code="ledger_gap",
                )
            await db.copy_records_to_table("events", records=[_row(*n) for n in new], columns=_COLUMNS)

    async def last_seq(self, gateway_id: GatewayId) -> int:
        """Highest stored sequence number, 0 for none."""
        async with self.database.connection() as db:
            return int(
                await db.fetchval("SELECT max(seq) FROM events WHERE gateway_id = $1", gateway_id) or 0
            )

    async def rows(
        self, gateway_id: GatewayId, after: int = 0, limit: int = 1000
    ) -> tuple[tuple[int, bytes, bytes, bytes], ...]:
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

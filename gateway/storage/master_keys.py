"""What Postgres knows of master keys: their names, what each wraps, which gateway has which."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from gateway.domain.errors import Rejected
from gateway.domain.keys import KeyHolder, KeyId, KeyState, KeyUse, WrappedKey
from gateway.ports.keys import KeyWitness
from gateway.storage.pool import Database

_LOCK_ROSTER = "SELECT version FROM roster_version FOR UPDATE"
_PERSON = "SELECT 'person' AS kind, person_id::text AS name, wrapped_key AS wrapped FROM people"
_SITE = "SELECT 'site' AS kind, name, wrapped FROM site_keys"
_USAGE = """
SELECT 'person' AS kind, master_key_of(wrapped_key) AS key_id, count(*) AS n FROM people GROUP BY 2
UNION ALL SELECT 'site', master_key_of(wrapped), count(*) FROM site_keys GROUP BY 2
"""


@dataclass(frozen=True, slots=True)
class PostgresMasterKeys:
    """``ports.MasterKeyStore``."""

    database: Database

    async def states(self) -> Mapping[KeyId, KeyState]:
        """Every key that there ever was."""
        async with self.database.connection() as db:
            rows = await db.fetch("SELECT key_id, state FROM master_keys ORDER BY created_at, key_id")
        return {KeyId(row["key_id"]): KeyState(row["state"]) for row in rows}

    async def usage(self) -> Mapping[KeyId, KeyUse]:
        """What is wrapped by each."""
        async with self.database.connection() as db:
            rows = await db.fetch(_USAGE)
        counts = {(row["key_id"], row["kind"]): row["n"] for row in rows}
        return {
            KeyId(name): KeyUse(people=counts.get((name, "person"), 0), site=counts.get((name, "site"), 0))
            for name, _ in counts
        }

    async def sample(self, key_id: KeyId) -> WrappedKey | None:
        """Something that this key wraps."""
        async with self.database.connection() as db:
            row = await db.fetchrow(
                f"{_PERSON} WHERE master_key_of(wrapped_key) = $1 "  # constants
                f"UNION ALL {_SITE} WHERE master_key_of(wrapped) = $1 LIMIT 1",
                key_id,
            )
        return _wrapped(row) if row else None

    async def page(self, after: WrappedKey | None, limit: int) -> Sequence[WrappedKey]:
        """People by id, then the site's by name."""
        async with self.database.connection() as db:
            rows: list[asyncpg.Record] = []
            if after is None or after.kind == "person":
                start = UUID(after.name) if after else None
                rows = await db.fetch(
                    f"{_PERSON} WHERE $1::uuid IS NULL OR person_id > $1 ORDER BY person_id LIMIT $2",
                    start,
                    limit,
                )
            if not rows:
                name = after.name if after and after.kind == "site" else ""
                rows = await db.fetch(f"{_SITE} WHERE name > $1 ORDER BY name LIMIT $2", name, limit)
        return [_wrapped(row) for row in rows]

    async def register_first(self, key_id: KeyId) -> None:
        """Name the current key of a database that knows none."""
        async with self.database.transaction() as db:
            await db.execute("LOCK TABLE master_keys IN SHARE ROW EXCLUSIVE MODE")
            await db.execute(
                "INSERT INTO master_keys (key_id, state) SELECT $1, 'current' "
                "WHERE NOT EXISTS (SELECT 1 FROM master_keys)",
                key_id,
            )

    async def register_next(self, key_id: KeyId, witness: KeyWitness) -> None:
        """Name the next key. Raises Rejected."""
        async with self.database.transaction() as db:
            await db.execute("LOCK TABLE master_keys IN SHARE ROW EXCLUSIVE MODE")
            known = {row["key_id"]: row["state"] for row in await db.fetch("SELECT * FROM master_keys")}
            if known.get(key_id) in {"next", "current"}:
                return
            busy = [name for name, state in known.items() if state in {"next", "old"}]
            if busy or key_id in known:
                raise Rejected(
                    f"another change of keys is under way (key {', '.join(busy) or key_id}); finish it where "
                    "it was begun, or copy its key file here and run this again",
                    code="rotation_under_way",
                )
            await db.execute("INSERT INTO master_keys (key_id, state) VALUES ($1, 'next')", key_id)
            await witness()

    async def promote(self, key_id: KeyId, witness: KeyWitness) -> None:
        """The next key is the current one. Raises Rejected."""
        async with self.database.transaction() as db:
            await db.execute("LOCK TABLE master_keys IN SHARE ROW EXCLUSIVE MODE")
            state = await db.fetchval("SELECT state FROM master_keys WHERE key_id = $1", key_id)
            if state == "current":
                return
            if state != "next":
                raise Rejected(f"the key {key_id} is not the next one", code="no_such_key")
            move = "UPDATE master_keys SET state = $2, changed_at = now() WHERE state = $1"
            await db.execute(move, "current", "old")
            await db.execute(move, "next", "current")
            await witness()

    async def give_up(self, key_id: KeyId, witness: KeyWitness) -> None:
        """The next key will never be used. Raises Rejected."""
        async with self.database.transaction() as db:
            await db.execute(_LOCK_ROSTER)
            state = await db.fetchval(
                "SELECT state FROM master_keys WHERE key_id = $1 FOR UPDATE", key_id
            )  # locked before counting, as in ``retire``
            if state == "retired":
                return
            if state != "next":
                raise Rejected(f"the key {key_id} is not the next one", code="no_such_key")
            if key_id in {row["key_id"] for row in await db.fetch(_USAGE)}:
                raise Rejected(f"something is wrapped by the key {key_id} already", code="key_in_use")
            await db.execute(
                "UPDATE master_keys SET state = 'retired', changed_at = now() WHERE key_id = $1", key_id
            )
            await witness()

    async def rewrap(self, key_id: KeyId, limit: int, rewrap: Callable[[WrappedKey], bytes]) -> int:
        """One transaction; one change of the roster for all."""
        async with self.database.transaction() as db:
            await db.execute(_LOCK_ROSTER)
            rows = await db.fetch(
                f"{_PERSON} WHERE master_key_of(wrapped_key) <> $1 ORDER BY person_id LIMIT $2 FOR UPDATE",
                key_id,
                limit,
            )
            if rows:
                update = (
                    "UPDATE people SET wrapped_key = n.wrapped FROM unnest($1::uuid[], $2::bytea[]) "
                    "AS n (name, wrapped) WHERE person_id = n.name"
                )
            else:
                rows = await db.fetch(
                    f"{_SITE} WHERE master_key_of(wrapped) <> $1 ORDER BY name LIMIT $2 FOR UPDATE",
                    key_id,
                    limit,
                )
                update = (
                    "UPDATE site_keys SET wrapped = n.wrapped FROM unnest($1::text[], $2::bytea[]) "
                    "AS n (name, wrapped) WHERE site_keys.name = n.name"
                )
            if rows:
                await db.execute(
                    update, [row["name"] for row in rows], [rewrap(_wrapped(row)) for row in rows]
                )
        return len(rows)

    async def retire(self, witness: KeyWitness) -> Sequence[KeyId]:
        """Every old key that wraps nothing."""
        async with self.database.transaction() as db:
            await db.execute(_LOCK_ROSTER)
            # Locked before counting: who is wrapping something by one of them now is waited for, and counted.
            old = await db.fetch("SELECT key_id FROM master_keys WHERE state = 'old' FOR UPDATE")
            used = {row["key_id"] for row in await db.fetch(_USAGE)}
            done = [KeyId(row["key_id"]) for row in old if row["key_id"] not in used]
            if done and "" not in used:  # a box that names no key may be any one's
                await db.execute(
                    "UPDATE master_keys SET state = 'retired', changed_at = now() WHERE key_id = ANY($1)",
                    done,
                )
                await witness()
                return done
        return []

    async def hold(self, gateway_id: str, key_ids: frozenset[KeyId]) -> None:
        """This gateway runs, and has these."""
        async with self.database.connection() as db:
            await db.execute(
                "INSERT INTO master_key_holders (gateway_id, key_ids) VALUES ($1, $2) "
                "ON CONFLICT (gateway_id) DO UPDATE SET key_ids = $2, seen_at = now()",
                gateway_id,
                sorted(key_ids),
            )

    async def holders(self) -> Sequence[KeyHolder]:
        """Who said so, last seen first."""
        async with self.database.connection() as db:
            rows = await db.fetch("SELECT * FROM master_key_holders ORDER BY seen_at DESC, gateway_id")
        return [
            KeyHolder(
                gateway_id=row["gateway_id"],
                key_ids=frozenset(KeyId(k) for k in row["key_ids"]),
                seen_at=row["seen_at"],
            )
            for row in rows
        ]


def _wrapped(row: asyncpg.Record) -> WrappedKey:
    return WrappedKey(kind=row["kind"], name=row["name"], wrapped=row["wrapped"])

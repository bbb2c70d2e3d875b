"""``ports.RetentionStore`` in Postgres: what has been kept long enough, found and destroyed.

Every part is one short transaction under the roster's lock, and under one that a gateway holds for retention:
whoever does not get that at once leaves the work to who has it.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from gateway.domain.consent import Destroyed, Ended
from gateway.domain.ids import PersonId
from gateway.ports.privacy import EndedTold
from gateway.storage.consents import biometrics_of
from gateway.storage.idempotency import FORGET_OLD
from gateway.storage.pool import Connection, Database
from gateway.storage.staff import LOCK_ROSTER

BATCH = 50
"""People in one transaction: nobody waits long for the roster's lock."""
_LOCK = 0x0FACE6A7F

_OVER = """
withdrawn_at IS NULL AND ended_at IS NULL
AND (expires_at <= now() OR given_at <= now() - make_interval(days => $2::integer))
"""
"""Consents whose time is over: their own, or the site's; without a rule ($2 null) the latter is never."""
_EXPIRED = f"SELECT DISTINCT person_id FROM consents WHERE {_OVER} ORDER BY person_id LIMIT $1"  # noqa: S608
_DUE = """
SELECT EXISTS (SELECT 1 FROM consents WHERE withdrawn_at IS NULL AND ended_at IS NULL AND expires_at <= now())
    OR EXISTS (SELECT 1 FROM consents WHERE withdrawn_at IS NULL AND ended_at IS NULL AND expires_at IS NULL
               AND given_at <= now() - make_interval(days => $1::integer))
"""
_UNUSED = """
SELECT p.person_id FROM people p
WHERE EXISTS (SELECT 1 FROM templates t WHERE t.person_id = p.person_id)
  AND NOT EXISTS (SELECT 1 FROM templates t WHERE t.person_id = p.person_id
                  AND t.created_at > now() - make_interval(days => $2))
  AND NOT EXISTS (SELECT 1 FROM events e WHERE e.person_id = p.person_id AND e.kind = 'access_granted'
                  AND e.at > now() - make_interval(days => $2))
ORDER BY p.person_id LIMIT $1
"""
_OLD_PHOTOGRAPHS = """
SELECT DISTINCT person_id FROM photographs
WHERE created_at <= now() - make_interval(days => $2) ORDER BY person_id LIMIT $1
"""
_CHANGED = "UPDATE people SET version = version + 1, updated_at = now() WHERE person_id = $1"


@dataclass(slots=True)
class PostgresRetention:
    """What the site's rules say is over."""

    database: Database

    async def due(self, valid_days: int | None) -> bool:
        """Whether a consent has expired, by the database's clock, and its end is not carried out."""
        async with self.database.connection() as db:
            return bool(await db.fetchval(_DUE, valid_days))

    async def forget_answers(self) -> None:
        """Answers of yesterday, also where nobody asks anything any more."""
        async with self.database.connection() as db:
            await db.execute(FORGET_OLD)

    async def limit_consents(self, valid_days: int, told: Callable[[int], Awaitable[None]]) -> int:
        """Let none last longer; see ``ports.RetentionStore``."""
        longer = (
            "FROM consents WHERE withdrawn_at IS NULL AND ended_at IS NULL "
            "AND given_at > now() - make_interval(days => $1) "
            "AND (expires_at IS NULL OR expires_at > given_at + make_interval(days => $1))"
        )
        async with self.database.connection() as db:  # a look first: to change nothing would make all reload
            if not await db.fetchval(f"SELECT EXISTS (SELECT 1 {longer})", valid_days):
                return 0
        async with self.database.transaction() as db:
            if not await _mine(db):
                return 0
            done = await db.execute(
                "UPDATE consents SET expires_at = given_at + make_interval(days => $1) "  # noqa: S608
                f"WHERE consent_id IN (SELECT consent_id {longer})",
                valid_days,
            )
            count = int(done.split()[1])
            if count:
                await told(count)
            return count

    async def end_expired(self, valid_days: int | None, told: EndedTold) -> Sequence[Ended]:
        """Carry out the end of expired consents."""

        async def end(db: Connection, who: UUID) -> Ended:
            had = await biometrics_of(db, who)
            await db.execute(
                "UPDATE consents SET ended_at = now(), "  # noqa: S608  # our own words
                "expires_at = least(expires_at, given_at + make_interval(days => $2::integer)) "
                f"WHERE person_id = $1 AND {_OVER}",
                who,
                valid_days,
            )
            renewed = bool(await db.fetchval("SELECT consent_in_force($1)", who))
            return Ended(person_id=_id(who), destroyed=Destroyed() if renewed else had, in_force=renewed)

        return await self._part(_EXPIRED, (valid_days,), end, told)

    async def drop_unused(self, days: int, told: EndedTold) -> Sequence[Ended]:
        """Destroy what opened no door for so long."""

        async def drop(db: Connection, who: UUID) -> Ended:
            had = await biometrics_of(db, who)
            await db.execute("DELETE FROM templates WHERE person_id = $1", who)
            await db.execute("DELETE FROM photographs WHERE person_id = $1", who)
            return Ended(person_id=_id(who), destroyed=had)

        return await self._part(_UNUSED, (days,), drop, told)

    async def drop_photographs(self, days: int, told: EndedTold) -> Sequence[Ended]:
        """Destroy photographs older than so many days."""

        async def drop(db: Connection, who: UUID) -> Ended:
            done = await db.execute(
                "DELETE FROM photographs WHERE person_id = $1 "
                "AND created_at <= now() - make_interval(days => $2)",
                who,
                days,
            )
            return Ended(person_id=_id(who), destroyed=Destroyed(photographs=int(done.split()[1])))

        return await self._part(_OLD_PHOTOGRAPHS, (days,), drop, told)

    async def gone(self, days: int) -> Sequence[PersonId]:
        """Some of those who left so many days ago."""
        async with self.database.connection() as db:
            rows = await db.fetch(
                "SELECT person_id FROM people WHERE left_at <= now() - make_interval(days => $2) "
                "ORDER BY left_at, person_id LIMIT $1",
                BATCH,
                days,
            )
        return [_id(row["person_id"]) for row in rows]

    async def drop_receipts(self, days: int, told: Callable[[int], Awaitable[None]]) -> int:
        """Forget old receipts."""
        async with self.database.transaction() as db:
            if not await _mine(db):
                return 0
            done = await db.execute(
                "DELETE FROM erasure_receipts WHERE created_at <= now() - make_interval(days => $1)", days
            )
            count = int(done.split()[1])
            if count:
                await told(count)
            return count

    async def _part(
        self,
        found: str,
        given: Sequence[int | None],
        act: Callable[[Connection, UUID], Awaitable[Ended]],
        told: EndedTold,
    ) -> Sequence[Ended]:
        async with self.database.connection() as db:  # a look first, without any lock
            if not await db.fetch(found, 1, *given):
                return ()
        async with self.database.transaction() as db:
            if not await _mine(db):
                return ()
            done = []
            for row in await db.fetch(found, BATCH, *given):
                ended = await act(db, row["person_id"])
                await db.execute(_CHANGED, row["person_id"])
                await told(ended)
                done.append(ended)
            return done


async def _mine(db: Connection) -> bool:
    """Retention's lock if no other gateway has it, which is not waited for; then the roster's."""
    if not await db.fetchval("SELECT pg_try_advisory_xact_lock($1)", _LOCK):
        return False
    await db.execute(LOCK_ROSTER)
    return True


def _id(who: UUID) -> PersonId:
    return PersonId(str(who))

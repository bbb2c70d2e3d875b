"""``ports.ProfileStore`` in Postgres."""

from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from gateway.domain.errors import InvalidInput, Rejected
from gateway.domain.ids import AccessPointId, PersonId
from gateway.domain.staff import NewProfile, ProfileChange, ProfileRecord
from gateway.ports import ProfileWitness
from gateway.storage.pool import Database
from gateway.storage.staff import LOCK_ROSTER, Connection, uuid_of

_SELECT = """
SELECT a.profile, a.profile_id, coalesce(a.name, a.profile) AS name, a.external_id, a.created_at,
       a.updated_at, a.version,
       ARRAY(SELECT access_point_id FROM profile_access_points x WHERE x.profile = a.profile) AS points,
       (SELECT count(*) FROM person_profiles h WHERE h.profile = a.profile) AS members
FROM access_profiles a
"""
_EVERYBODY = "staff"
"""New access points join it by themselves, so it always exists."""


@dataclass(slots=True)
class PostgresProfiles:
    """Access profiles: named sets of access points, held by people."""

    database: Database

    async def profiles(self) -> Sequence[ProfileRecord]:
        """All of them by name."""
        async with self.database.connection() as db:
            rows = await db.fetch(f"{_SELECT} ORDER BY lower(coalesce(a.name, a.profile)), a.profile")
        return [_record(row) for row in rows]

    async def members(self, profile: str) -> Sequence[tuple[PersonId, str]]:
        """Who holds it, without who has left: id, name. Raises InvalidInput (code "no_such_profile")."""
        async with self.database.connection() as db:
            await _read(db, profile)
            rows = await db.fetch(
                "SELECT p.person_id, p.name FROM person_profiles h JOIN people p USING (person_id) "
                "WHERE h.profile = $1 AND p.status <> 'left' ORDER BY lower(p.name), p.person_id",
                profile,
            )
        return [(PersonId(str(row["person_id"])), row["name"]) for row in rows]

    async def create_profile(self, profile: NewProfile, witness: ProfileWitness) -> ProfileRecord:
        """Add one; see ``ports.ProfileStore``."""
        try:
            async with self.database.transaction() as db:
                await db.execute(LOCK_ROSTER)
                await db.execute(
                    "INSERT INTO access_profiles (profile, name, external_id) VALUES ($1, $2, $3)",
                    profile.profile,
                    profile.name,
                    profile.external_id,
                )
                await _set_points(db, profile.profile, profile.access_points)
                await _add(db, profile.profile, profile.members)
                created = await _read(db, profile.profile)
                await witness(None, created)
                return created
        except asyncpg.PostgresError as error:
            raise _refusal(error) from None

    async def change_profile(
        self, profile: str, change: ProfileChange, expected_version: int | None, witness: ProfileWitness
    ) -> ProfileRecord:
        """Set what is given; see ``ports.ProfileStore``."""
        try:
            async with self.database.transaction() as db:
                await db.execute(LOCK_ROSTER)
                before = await _read(db, profile)
                _check_version(before, expected_version)
                held = await _members(db, profile)
                await _apply(db, before, change, held)
                after = await _read(db, profile)
                if _same(before, after) and held == await _members(db, profile):
                    return before
                await db.execute(
                    "UPDATE access_profiles SET version = version + 1, updated_at = now() WHERE profile = $1",
                    profile,
                )
                after = await _read(db, profile)
                await witness(before, after)
                return after
        except asyncpg.PostgresError as error:
            raise _refusal(error) from None

    async def remove_profile(
        self, profile: str, expected_version: int | None, witness: ProfileWitness
    ) -> None:
        """Remove one, and from everybody who holds it; see ``ports.ProfileStore``."""
        if profile == _EVERYBODY:
            raise Rejected(
                f"the profile {_EVERYBODY!r} stays: new access points join it by themselves",
                code="profile_needed",
            )
        async with self.database.transaction() as db:
            await db.execute(LOCK_ROSTER)
            before = await _read(db, profile)
            _check_version(before, expected_version)
            await _touch_people(db, await _members(db, profile))
            await db.execute("DELETE FROM person_profiles WHERE profile = $1", profile)
            await db.execute("DELETE FROM access_profiles WHERE profile = $1", profile)
            await witness(before, None)

    async def access_points(self) -> Sequence[tuple[AccessPointId, str]]:
        """All access points of all gateways: id and name."""
        async with self.database.connection() as db:
            rows = await db.fetch("SELECT access_point_id, name FROM access_points ORDER BY access_point_id")
        return [(AccessPointId(row["access_point_id"]), row["name"]) for row in rows]


async def _apply(
    db: Connection, before: ProfileRecord, change: ProfileChange, held: frozenset[PersonId]
) -> None:
    profile = before.profile
    external = None if change.forget_external_id else change.external_id or before.external_id
    await db.execute(
        "UPDATE access_profiles SET name = $2, external_id = $3 WHERE profile = $1",
        profile,
        before.name if change.name is None else change.name,
        external,
    )
    if change.access_points is not None:
        await _set_points(db, profile, change.access_points)
    wanted = held if change.members is None else change.members
    wanted = (wanted | change.add) - change.take
    await db.execute(
        "DELETE FROM person_profiles WHERE profile = $1 AND person_id = ANY($2::uuid[])",
        profile,
        [uuid_of(who) for who in held - wanted],
    )
    await _touch_people(db, held - wanted)
    await _add(db, profile, wanted - held)


async def _set_points(db: Connection, profile: str, points: frozenset[AccessPointId]) -> None:
    await db.execute(
        "DELETE FROM profile_access_points WHERE profile = $1 AND access_point_id <> ALL($2::text[])",
        profile,
        [*points],
    )
    await db.execute(
        "INSERT INTO profile_access_points SELECT $1, unnest($2::text[]) ON CONFLICT DO NOTHING",
        profile,
        [*points],
    )


async def _add(db: Connection, profile: str, members: frozenset[PersonId]) -> None:
    await db.execute(
        "INSERT INTO person_profiles SELECT unnest($2::uuid[]), $1 ON CONFLICT DO NOTHING",
        profile,
        [uuid_of(who) for who in members],
    )
    await _touch_people(db, members)


async def _touch_people(db: Connection, people: frozenset[PersonId]) -> None:
    """The profiles that somebody holds are part of them: what was read of them before is out of date."""
    await db.execute(
        "UPDATE people SET version = version + 1, updated_at = now() WHERE person_id = ANY($1::uuid[])",
        [uuid_of(who) for who in people],
    )


async def _members(db: Connection, profile: str) -> frozenset[PersonId]:
    rows = await db.fetch("SELECT person_id FROM person_profiles WHERE profile = $1", profile)
    return frozenset(PersonId(str(row["person_id"])) for row in rows)


async def _read(db: Connection, profile: str) -> ProfileRecord:
    row = await db.fetchrow(f"{_SELECT} WHERE a.profile = $1", profile)
    if row is None:
        raise InvalidInput(f"there is no access profile {profile[:64]!r}", code="no_such_profile")
    return _record(row)


def _same(before: ProfileRecord, after: ProfileRecord) -> bool:
    return (before.name, before.external_id, before.access_points) == (
        after.name,
        after.external_id,
        after.access_points,
    )


def _check_version(record: ProfileRecord, expected: int | None) -> None:
    if expected not in {None, record.version}:
        raise Rejected(
            "somebody changed this profile meanwhile; read it again and repeat the change",
            code="version_differs",
        )


def _refusal(error: asyncpg.PostgresError) -> Exception:
    if isinstance(error, asyncpg.UniqueViolationError):
        taken = "external_id_taken" if "external" in (error.constraint_name or "") else "profile_taken"
        return Rejected("another access profile has this key or external id already", code=taken)
    if isinstance(error, asyncpg.ForeignKeyViolationError):
        if error.table_name == "person_profiles":
            return InvalidInput("members: one of them is nobody here", code="no_such_person")
        return InvalidInput(
            "access_points: one of them does not exist; GET /api/v1/access-points lists them",
            code="no_such_access_point",
        )
    if isinstance(error, asyncpg.DataError):
        return InvalidInput("a text holds a character that cannot be stored", code="bad_text")
    return error


def _record(row: asyncpg.Record) -> ProfileRecord:
    return ProfileRecord(
        profile=row["profile"],
        profile_id=str(row["profile_id"]),
        name=row["name"],
        external_id=row["external_id"],
        access_points=frozenset(AccessPointId(p) for p in row["points"]),
        members=row["members"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        version=row["version"],
    )

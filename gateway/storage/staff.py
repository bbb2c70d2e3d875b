"""``ports.StaffStore`` in Postgres."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from uuid import UUID

import asyncpg

from gateway.domain.errors import InvalidInput, Rejected
from gateway.domain.ids import PersonId
from gateway.domain.people import PersonStatus
from gateway.domain.query import Query
from gateway.domain.staff import TEXTS, Change, NewPerson, Page, StaffRecord
from gateway.ports import Witness
from gateway.storage.people_query import Condition, ordered
from gateway.storage.pool import Database

Connection = asyncpg.pool.PoolConnectionProxy

_COLUMNS = """
       p.person_id, p.number, p.name, p.given_name, p.family_name, p.user_name, p.email, p.department,
       p.title, p.external_id, p.extended, p.status, p.created_at, p.updated_at, p.version,
       ARRAY(SELECT profile FROM person_profiles h WHERE h.person_id = p.person_id) AS profiles,
       (SELECT count(*) FROM templates t WHERE t.person_id = p.person_id) AS templates,
       consent_in_force(p.person_id) AS consented
"""
_ONE = "SELECT" + _COLUMNS + " FROM people p WHERE p.person_id = $1"
LOCK_ROSTER = "SELECT version FROM roster_version FOR UPDATE"
"""First of all locks, always: two changes then wait for each other instead of for ever."""
_PLAIN = (*TEXTS, "extended", "status")
_TAKEN = {
    "people_number_key": ("number_taken", "number"),
    "people_by_user_name": ("user_name_taken", "user name"),
    "people_by_external_id": ("external_id_taken", "external id"),
}


@dataclass(slots=True)
class PostgresStaff:
    """People as HR edits them."""

    database: Database

    async def create(
        self, person_id: PersonId, person: NewPerson, wrapped_key: bytes, witness: Witness
    ) -> StaffRecord:
        """Add a person; see ``ports.StaffStore``."""
        values = {f.name: getattr(person, f.name) for f in fields(person) if f.name != "profiles"}
        names = [*values, "person_id", "wrapped_key"]
        places = ", ".join(f"${i + 1}" for i in range(len(names)))
        try:
            async with self.database.transaction() as db:
                await db.execute(LOCK_ROSTER)
                await db.execute(
                    f"INSERT INTO people ({', '.join(names)}) VALUES ({places})",  # noqa: S608  # our own names
                    *values.values(),
                    uuid_of(person_id),
                    wrapped_key,
                )
                await _set_profiles(db, person_id, person.profiles)
                await _touch_profiles(db, person.profiles)
                created = await read(db, person_id)
                await witness(None, created)
                return created
        except asyncpg.PostgresError as error:
            raise refusal(error) from None

    async def get(self, person_id: PersonId) -> StaffRecord:
        """One person. Raises InvalidInput (code "no_such_person")."""
        async with self.database.connection() as db:
            return await read(db, person_id)

    async def find(self, query: Query) -> Page:
        """Those who match, in order. Raises InvalidInput."""
        condition = Condition()
        where = condition.of(query.where)
        counted = len(condition.values)
        key, seen, order = ordered(query, condition)
        limit, offset = condition.given(query.limit + 1), condition.given(query.offset)
        try:
            async with (
                self.database.connection() as db,
                db.transaction(isolation="repeatable_read", readonly=True),
            ):
                total = await db.fetchval(
                    f"SELECT count(*) FROM people p WHERE {where}",  # noqa: S608  # see people_query
                    *condition.values[:counted],
                )
                rows = await db.fetch(
                    f"SELECT {_COLUMNS}, {key} AS sort_key FROM people p WHERE {where} AND {seen} "  # noqa: S608
                    f"ORDER BY {order} LIMIT {limit} OFFSET {offset}",
                    *condition.values,
                )
        except asyncpg.DataError:
            raise InvalidInput(
                "the filter holds a value that cannot be compared", code="bad_filter"
            ) from None
        page, more = rows[: query.limit], len(rows) > query.limit  # one more is asked for than is shown
        last = (page[-1]["sort_key"], str(page[-1]["person_id"])) if more and page else None
        return Page([_record(row) for row in page], int(total), last)

    async def change(
        self, person_id: PersonId, change: Change, expected_version: int | None, witness: Witness
    ) -> StaffRecord:
        """Set the named fields; see ``ports.StaffStore``."""
        try:
            async with self.database.transaction() as db:
                await db.execute(LOCK_ROSTER)
                before = await read(db, person_id)
                if expected_version not in {None, before.version}:
                    raise Rejected(
                        "somebody changed this person meanwhile; read it again and repeat the change",
                        code="version_differs",
                    )
                wanted = {n: v for n, v in change.values.items() if getattr(before, n) != v}
                if not wanted:
                    return before
                await _update(db, person_id, wanted)
                after = await read(db, person_id)
                await _touch_profiles(db, _held(before) ^ _held(after))
                await witness(before, after)
                return after
        except asyncpg.PostgresError as error:
            raise refusal(error) from None

    async def remove(self, person_id: PersonId, witness: Witness) -> None:
        """Erase a person; see ``ports.StaffStore``."""
        async with self.database.transaction() as db:
            await db.execute(LOCK_ROSTER)
            before = await read(db, person_id)
            await db.execute("DELETE FROM people WHERE person_id = $1", uuid_of(person_id))
            await _touch_profiles(db, _held(before))
            await witness(before, None)

    async def wrapped_key(self, person_id: PersonId) -> bytes:
        """The person's key, wrapped. Raises InvalidInput (code "no_such_person")."""
        async with self.database.connection() as db:
            key = await db.fetchval("SELECT wrapped_key FROM people WHERE person_id = $1", uuid_of(person_id))
        if key is None:
            raise nobody(person_id)
        return bytes(key)


def uuid_of(person_id: PersonId) -> UUID:
    """Raises InvalidInput (code "no_such_person"): what is no UUID in lower case is nobody."""
    try:
        who = UUID(person_id)
    except ValueError:
        who = None
    if who is None or str(who) != person_id:
        raise nobody(person_id)
    return who


def nobody(person_id: PersonId) -> InvalidInput:
    """The error for an id that nobody has."""
    return InvalidInput(f"nobody has the id {person_id[:64]!r}", code="no_such_person")


async def read(db: Connection, person_id: PersonId) -> StaffRecord:
    """One person within a transaction. Raises InvalidInput (code "no_such_person")."""
    row = await db.fetchrow(_ONE, uuid_of(person_id))
    if row is None:
        raise nobody(person_id)
    return _record(row)


async def _update(db: Connection, person_id: PersonId, wanted: Mapping[str, object]) -> None:
    columns = [name for name in _PLAIN if name in wanted]
    unknown = set(wanted) - {*columns, "profiles"}
    if unknown:
        raise InvalidInput(f"{', '.join(sorted(unknown))}: cannot be changed", code="bad_field")
    sets = "".join(f"{name} = ${i + 2}, " for i, name in enumerate(columns))
    await db.execute(
        f"UPDATE people SET {sets}updated_at = now(), version = version + 1 WHERE person_id = $1",  # noqa: S608
        uuid_of(person_id),
        *(wanted[name] for name in columns),
    )
    profiles = wanted.get("profiles")
    if isinstance(profiles, frozenset):
        await _set_profiles(db, person_id, profiles)


async def _set_profiles(db: Connection, person_id: PersonId, profiles: frozenset[str]) -> None:
    who = uuid_of(person_id)
    await db.execute(
        "DELETE FROM person_profiles WHERE person_id = $1 AND profile <> ALL($2::text[])", who, [*profiles]
    )
    await db.execute(
        "INSERT INTO person_profiles SELECT $1, unnest($2::text[]) ON CONFLICT DO NOTHING", who, [*profiles]
    )


async def _touch_profiles(db: Connection, profiles: frozenset[str]) -> None:
    """Who holds a profile is part of it: what was read of it before is out of date."""
    await db.execute(
        "UPDATE access_profiles SET version = version + 1, updated_at = now() "
        "WHERE profile = ANY($1::text[])",
        [*profiles],
    )


def _held(person: StaffRecord) -> frozenset[str]:
    """The profiles that count this person among their members."""
    return frozenset() if person.status is PersonStatus.LEFT else person.profiles


def refusal(error: asyncpg.PostgresError) -> Exception:
    """What a violated rule means. Never with asyncpg's own words: they quote the row."""
    if isinstance(error, asyncpg.UniqueViolationError):
        code, what = _TAKEN.get(error.constraint_name or "", ("taken", "value"))
        return Rejected(f"another person has this {what} already", code=code)
    if isinstance(error, asyncpg.ForeignKeyViolationError):
        return InvalidInput(
            "profiles: one of them does not exist; GET /api/v1/profiles lists them", code="no_such_profile"
        )
    if isinstance(error, asyncpg.DataError):
        return InvalidInput("a text holds a character that cannot be stored", code="bad_text")
    return error


def _record(row: asyncpg.Record) -> StaffRecord:
    return StaffRecord(
        person_id=PersonId(str(row["person_id"])),
        number=row["number"],
        name=row["name"],
        given_name=row["given_name"],
        family_name=row["family_name"],
        user_name=row["user_name"],
        email=row["email"],
        department=row["department"],
        title=row["title"],
        external_id=row["external_id"],
        extended=row["extended"],
        status=PersonStatus(row["status"]),
        profiles=frozenset(row["profiles"]),
        templates=row["templates"],
        consented=row["consented"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        version=row["version"],
    )

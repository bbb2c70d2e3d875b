"""``ports.ConsentStore`` in Postgres."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from gateway.domain.consent import Consent, ConsentText, Destroyed, How, NewConsent
from gateway.domain.errors import InvalidInput, Rejected
from gateway.domain.ids import PersonId
from gateway.ports.privacy import Told
from gateway.storage.pool import Connection, Database
from gateway.storage.staff import LOCK_ROSTER, nobody, uuid_of

_TEXTS = """
SELECT version, language, body, created_at, created_by,
       row_number() OVER (PARTITION BY language ORDER BY created_at DESC, version DESC) = 1 AS current
FROM consent_texts
"""
_CONSENTS = """
SELECT consent_id, text_version, how, attestation, given_at, recorded_at, recorded_by, expires_at,
       withdrawn_at, withdrawn_by, ended_at
FROM consents WHERE person_id = $1 ORDER BY given_at, consent_id
"""
_CHANGED = "UPDATE people SET version = version + 1, updated_at = now() WHERE person_id = $1"


@dataclass(slots=True)
class PostgresConsents:
    """Consent texts and consents. Destroying is the triggers' work, whatever ends a consent."""

    database: Database

    async def texts(self) -> Sequence[ConsentText]:
        """All, newest first."""
        async with self.database.connection() as db:
            rows = await db.fetch(f"{_TEXTS} ORDER BY created_at DESC, version DESC")
        return [_text(row) for row in rows]

    async def add_text(self, *, version: str, language: str, body: str, by: str, told: Told) -> ConsentText:
        """Add one; see ``ports.ConsentStore``."""
        try:
            async with self.database.transaction() as db:
                await db.execute(
                    "INSERT INTO consent_texts (version, language, body, created_by) VALUES ($1, $2, $3, $4)",
                    version,
                    language,
                    body,
                    by,
                )
                (row,) = await db.fetch(f"SELECT * FROM ({_TEXTS}) t WHERE version = $1", version)  # noqa: S608
                await told()
        except asyncpg.UniqueViolationError:
            raise Rejected(
                "there is a consent text of this version already; texts are never changed, so give the new "
                "one a version of its own",
                code="text_version_taken",
            ) from None
        except asyncpg.DataError:
            raise InvalidInput("body: holds a character that cannot be stored", code="bad_text") from None
        return _text(row)

    async def of(self, person_id: PersonId) -> Sequence[Consent]:
        """A person's, oldest first. Raises InvalidInput (code "no_such_person")."""
        async with self.database.connection() as db:
            found = await consents_of(db, uuid_of(person_id))
            if not found and not await _status(db, person_id):
                raise nobody(person_id)
        return found

    async def give(
        self, person_id: PersonId, consent: NewConsent, told: Callable[[bool], Awaitable[None]]
    ) -> Consent:
        """Record one; see ``ports.ConsentStore``."""
        try:
            async with self.database.transaction() as db:
                await db.execute(LOCK_ROSTER)
                status = await _status(db, person_id)
                if status is None:
                    raise nobody(person_id)
                if status == "left":
                    raise Rejected("this person has left; nobody enrols them", code="person_left")
                renewed = bool(await db.fetchval("SELECT consent_in_force($1)", uuid_of(person_id)))
                given = await _insert(db, uuid_of(person_id), consent)
                await db.execute(_CHANGED, uuid_of(person_id))
                await told(renewed)
        except asyncpg.ForeignKeyViolationError:
            raise InvalidInput(
                f"text_version: there is no consent text {consent.text_version!r}; "
                "GET /api/v1/consent-texts lists them",
                code="no_such_consent_text",
            ) from None
        except asyncpg.DataError:
            raise InvalidInput("note: holds a character that cannot be stored", code="bad_text") from None
        return given

    async def withdraw(
        self, person_id: PersonId, by: str, told: Callable[[Destroyed], Awaitable[None]]
    ) -> tuple[int, Destroyed]:
        """End and destroy in one transaction; see ``ports.ConsentStore``."""
        who = uuid_of(person_id)
        async with self.database.transaction() as db:
            await db.execute(LOCK_ROSTER)
            if not await _status(db, person_id):
                raise nobody(person_id)
            before = await biometrics_of(db, who)
            # Also those whose time is over but not carried out: the person said no, and that is what counts.
            done = await db.execute(
                "UPDATE consents SET withdrawn_at = now(), withdrawn_by = $2 "
                "WHERE person_id = $1 AND withdrawn_at IS NULL AND ended_at IS NULL",
                who,
                by,
            )
            count = int(done.split()[1])
            if not count:
                return 0, Destroyed()
            await db.execute(_CHANGED, who)
            await told(before)
            return count, before


async def biometrics_of(db: Connection, who: UUID) -> Destroyed:
    """How many templates and photographs a person has."""
    (row,) = await db.fetch(
        "SELECT (SELECT count(*) FROM templates WHERE person_id = $1) AS templates, "
        "(SELECT count(*) FROM photographs WHERE person_id = $1) AS photographs",
        who,
    )
    return Destroyed(templates=row["templates"], photographs=row["photographs"])


async def consents_of(db: Connection, who: UUID) -> Sequence[Consent]:
    """A person's consents, oldest first."""
    return [_consent(row) for row in await db.fetch(_CONSENTS, who)]


async def _status(db: Connection, person_id: PersonId) -> str | None:
    status: str | None = await db.fetchval(
        "SELECT status FROM people WHERE person_id = $1", uuid_of(person_id)
    )
    return status


async def _insert(db: Connection, who: UUID, consent: NewConsent) -> Consent:
    (row,) = await db.fetch(
        "INSERT INTO consents (person_id, text_version, how, attestation, given_at, recorded_by, expires_at) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING *",
        who,
        consent.text_version,
        consent.how.value,
        consent.attestation,
        consent.given_at,
        consent.recorded_by,
        consent.expires_at,
    )
    return _consent(row)


def _text(row: asyncpg.Record) -> ConsentText:
    return ConsentText(
        version=row["version"],
        language=row["language"],
        body=row["body"],
        created_at=row["created_at"],
        created_by=row["created_by"],
        current=row["current"],
    )


def _consent(row: asyncpg.Record) -> Consent:
    return Consent(
        consent_id=row["consent_id"],
        text_version=row["text_version"],
        how=How(row["how"]),
        attestation=row["attestation"],
        given_at=row["given_at"],
        recorded_at=row["recorded_at"],
        recorded_by=row["recorded_by"],
        expires_at=row["expires_at"],
        withdrawn_at=row["withdrawn_at"],
        withdrawn_by=row["withdrawn_by"],
        ended_at=row["ended_at"],
    )

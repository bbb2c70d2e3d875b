"""Kept photographs and consent, in the database itself: whoever writes to it, and however."""

from uuid import UUID

import asyncpg
import pytest

from gateway.domain.errors import InvalidInput
from gateway.domain.ids import PersonId
from gateway.storage.people import PostgresPeople
from gateway.storage.photographs import PostgresPhotographs
from gateway.storage.pool import Database
from gateway.storage.templates import PostgresTemplates
from tests.contract.test_people_store_contract import MODEL, enrol, template
from tests.contract.test_template_store_contract import Shelf, made_of, photograph, sealed_of, store


@pytest.fixture
def shelf(database: Database) -> Shelf:
    templates = PostgresTemplates(database)
    return Shelf(
        people=PostgresPeople(database),
        templates=templates,
        photographs=PostgresPhotographs(database),
        migration=templates,
    )


@pytest.fixture
async def ada(shelf: Shelf) -> PersonId:
    picture = photograph()
    return await enrol(shelf.people, templates=[made_of(picture), template(b"other")], photographs=[picture])


async def run(database: Database, sql: str, *values: object) -> str:
    async with database.connection() as db:
        return await db.execute(sql, *values)


@pytest.mark.parametrize(
    "how",
    [
        "UPDATE consents SET withdrawn_at = now() WHERE person_id = $1",
        "DELETE FROM consents WHERE person_id = $1",
    ],
)
async def test_a_withdrawn_consent_destroys_photographs_and_templates_at_once(
    database: Database, shelf: Shelf, ada: PersonId, how: str
) -> None:
    assert len(await shelf.photographs.entries(ada)) == 1
    await run(database, how, UUID(ada))
    assert await shelf.photographs.entries(ada) == []
    assert await sealed_of(shelf, ada) == []
    with pytest.raises(InvalidInput) as refused:
        await store(shelf, ada)
    assert refused.value.code == "no_consent"


async def test_one_of_two_consents_is_enough(database: Database, shelf: Shelf, ada: PersonId) -> None:
    await run(database, "INSERT INTO consents (person_id, attestation) VALUES ($1, 'again')", UUID(ada))
    await run(database, "UPDATE consents SET withdrawn_at = now() WHERE attestation <> 'again'")
    assert len(await shelf.photographs.entries(ada)) == 1


async def test_a_photograph_cannot_be_written_past_the_service_without_consent(
    database: Database, shelf: Shelf
) -> None:
    who = await enrol(shelf.people, consent=None, templates=[])
    with pytest.raises(asyncpg.CheckViolationError):
        await run(
            database,
            "INSERT INTO photographs VALUES (gen_random_uuid(), $1, 'x', 'image/png', 1)",
            UUID(who),
        )


async def test_an_erased_person_leaves_no_photograph(database: Database, shelf: Shelf, ada: PersonId) -> None:
    await run(database, "DELETE FROM people WHERE person_id = $1", UUID(ada))
    async with database.connection() as db:
        for table in ("photographs", "templates", "consents"):
            assert await db.fetchval(f"SELECT count(*) FROM {table}") == 0  # noqa: S608


async def test_a_photograph_may_go_while_its_template_stays(
    database: Database, shelf: Shelf, ada: PersonId
) -> None:
    await run(database, "DELETE FROM photographs")
    assert sorted(await sealed_of(shelf, ada)) == [b"face", b"other"]


async def test_an_enrolment_makes_a_new_version_of_the_person(
    database: Database, shelf: Shelf, ada: PersonId
) -> None:
    async def version() -> int:
        async with database.connection() as db:
            return int(await db.fetchval("SELECT version FROM people WHERE person_id = $1", UUID(ada)))

    before = await version()
    await store(shelf, ada)
    assert await version() == before + 1


async def test_no_other_kind_of_file_is_kept(shelf: Shelf, ada: PersonId) -> None:
    from dataclasses import replace

    with pytest.raises(InvalidInput):
        await store(shelf, ada, photographs=[replace(photograph(), media_type="text/html")])
    assert len(await sealed_of(shelf, ada)) == 2
    assert (await shelf.templates.standing(ada, MODEL)).photographs == 1

"""Reading only who has changed gives what reading everybody gives, whatever was changed."""

import random
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from gateway.domain.ids import ModelId, PersonId
from gateway.storage.people import PostgresPeople
from gateway.storage.pool import Database
from tests.contract.test_people_store_contract import DOOR, GATE, MODEL, OTHER, enrol, template

ONE_PERSON = {
    "name": "UPDATE people SET name = name || 'x' WHERE person_id = $1",
    "status": "UPDATE people SET status = CASE status WHEN 'active' THEN 'suspended' ELSE 'active' END "
    "WHERE person_id = $1",
    "key": "UPDATE people SET wrapped_key = wrapped_key || 'x' WHERE person_id = $1",
    "more consent": "INSERT INTO consents (person_id, attestation) VALUES ($1, 'x')",
    "consent with an end": "UPDATE consents SET expires_at = now() + interval '9 days' * random() + '1 day' "
    "WHERE person_id = $1",
    "expired": "UPDATE consents SET given_at = now() - interval '2 days', "
    "expires_at = now() - interval '1 day' WHERE person_id = $1",
    "expired and carried out": "UPDATE consents SET ended_at = now() WHERE person_id = $1",
    "withdrawn": "UPDATE consents SET withdrawn_at = now() WHERE person_id = $1",
    "consent back": "UPDATE consents SET withdrawn_at = NULL, ended_at = NULL, expires_at = NULL "
    "WHERE person_id = $1",
    "sealed anew in place": "UPDATE templates SET sealed = sealed || 'x' "
    "WHERE person_id = $1 AND consent_in_force($1)",
    "one template less": "DELETE FROM templates WHERE template_id = "
    "(SELECT min(template_id) FROM templates WHERE person_id = $1)",
    "one template more": "INSERT INTO templates (person_id, model_id, sealed, quality) "
    "SELECT $1, 'sface:1', 'y', 0.3 WHERE consent_in_force($1)",
    "a template of another model": "INSERT INTO templates (person_id, model_id, sealed, quality) "
    "SELECT $1, 'other:2', 'y', 0.3 WHERE consent_in_force($1)",
    "without profile": "DELETE FROM person_profiles WHERE person_id = $1",
    "with profile": "INSERT INTO person_profiles VALUES ($1, 'staff') ON CONFLICT DO NOTHING",
    "with another profile": "INSERT INTO person_profiles VALUES ($1, 'night') ON CONFLICT DO NOTHING",
    "erased": "DELETE FROM people WHERE person_id = $1",
}
EVERYBODY = {
    "a point less": "DELETE FROM profile_access_points "
    "WHERE profile = 'staff' AND access_point_id = 'gate-2'",
    "a point more": "INSERT INTO profile_access_points VALUES ('staff', 'gate-2') ON CONFLICT DO NOTHING",
    "a point for few": "INSERT INTO profile_access_points VALUES ('night', 'gate-2') ON CONFLICT DO NOTHING",
}


@pytest.fixture
async def people(database: Database) -> PostgresPeople:
    store = PostgresPeople(database)
    await store.sync_access_points([(DOOR, "Main"), (GATE, "Gate")])
    async with database.connection() as db:
        await db.execute("INSERT INTO access_profiles (profile, name) VALUES ('night', 'night')")
    for _ in range(4):
        await enrol(store, templates=[template(b"a"), template(b"b"), template(b"c", OTHER)])
    return store


async def both(store: PostgresPeople, model: ModelId, known: dict) -> dict:
    """Read who has changed, compare with everybody, and return it."""
    version, some = await store.load(model, known)
    full_version, everybody = await store.load(model)
    assert (version, list(some)) == (full_version, list(everybody))
    return {p.person_id: p for p in some}


@pytest.mark.parametrize("what", ONE_PERSON)
async def test_a_change_of_one_is_read_and_the_others_stay_the_same_objects(
    people: PostgresPeople, what: str
) -> None:
    known = await both(people, MODEL, {})
    await _do(people, what, next(iter(known)))
    after = await both(people, MODEL, known)
    for who in list(known)[1:]:
        assert after[who] is known[who]


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_happens_one_after_the_other(people: PostgresPeople, seed: int) -> None:
    dice = random.Random(seed)
    known = {model: await both(people, model, {}) for model in (MODEL, OTHER)}
    for _ in range(60):
        for _ in range(dice.choice([1, 1, 3])):
            everyone = list(known[MODEL])
            what = dice.choice([*ONE_PERSON, *EVERYBODY])
            if what == "erased" and len(everyone) < 3:
                await enrol(people)
            elif everyone:
                await _do(people, what, dice.choice(everyone))
        known = {model: await both(people, model, known[model]) for model in (MODEL, OTHER)}


async def test_a_consent_that_runs_out_by_itself_is_read(people: PostgresPeople) -> None:
    who = await enrol(people)
    async with people.database.connection() as db:
        await db.execute(
            "UPDATE consents SET expires_at = $2 WHERE person_id = $1",
            UUID(who),
            datetime.now(UTC) + timedelta(seconds=0.5),
        )
    known = await both(people, MODEL, {})
    assert known[who].consented
    async with people.database.connection() as db:
        await db.execute("SELECT pg_sleep(0.6)")
    assert not (await both(people, MODEL, known))[who].consented


async def _do(people: PostgresPeople, what: str, who: PersonId) -> None:
    async with people.database.connection() as db:
        if what in EVERYBODY:
            await db.execute(EVERYBODY[what])
        else:
            await db.execute(ONE_PERSON[what], UUID(who))

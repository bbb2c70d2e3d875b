"""After an enrolment no byte on any disk is a face: not in Postgres, its log and WAL, nor the journal."""

from pathlib import Path

import numpy as np
import pytest

from gateway.domain.errors import SealBroken
from gateway.domain.events import EventKind
from gateway.domain.ids import ModelId
from gateway.security.keyring import KeyPlace, KeyRing
from gateway.security.master_key import MasterKey
from gateway.security.sealing import AesGcmSealer
from gateway.security.wrapping import unwrap
from gateway.services.forwarder import Forwarder
from gateway.services.roster_opening import open_roster, to_bytes
from gateway.storage.embedded import EmbeddedPostgres
from gateway.storage.events import PostgresEvents
from gateway.storage.journal import SqliteJournal
from gateway.storage.migrate import migrate
from gateway.storage.people import PostgresPeople
from gateway.storage.pool import Database
from tests.contract.test_people_store_contract import enrol, new_person, template
from tests.fakes.drafts import GATEWAY, draft

MODEL = ModelId("sface:1")
NAME = "Augusta Ada King"


def unit(seed: int) -> np.ndarray:
    vector = np.random.default_rng(seed).normal(size=128).astype(np.float32)
    return vector / np.linalg.norm(vector)


async def test_nothing_of_an_enrolment_lies_open_on_disk(state: Path) -> None:
    key = KeyRing.read_or_make(KeyPlace(path=state / "master.key"), in_use=False).wrapping()
    sealer, who, face = AesGcmSealer(key), new_person(), unit(1)
    wrapped = sealer.new_key(who)
    sealed = sealer.seal(wrapped, who, MODEL, to_bytes(face))
    server = EmbeddedPostgres(state / "postgres")
    database = Database(server.start)
    journal = await SqliteJournal.open(state / "journal.db", GATEWAY)
    try:
        await migrate(database)
        people = PostgresPeople(database)
        await enrol(
            people, person_id=who, name=NAME, number="E1", wrapped_key=wrapped, templates=[template(sealed)]
        )
        await journal.append(draft(EventKind.PERSON_ENROLLED, person_id=who, data={"templates": 1}))
        await Forwarder(journal, PostgresEvents(database)).flush()
        async with database.connection() as db:
            await db.execute("CHECKPOINT")
        version, stored = await people.load(MODEL)
        roster = open_roster(version, stored, sealer, MODEL, 0)
        assert np.array_equal(roster.gallery.matrix, face[None])  # it is there, for who has the key
    finally:
        await database.close()
        await server.stop()
        await journal.close()
    bytes_of = {p: p.read_bytes() for p in state.rglob("*") if p.is_file()}  # noqa: ASYNC240
    assert any(sealed in content for content in bytes_of.values()), "the search would find it"
    person_key = unwrap(key, "person", who, wrapped)
    raw, double = to_bytes(face), face.astype("<f8").tobytes()
    for path, content in bytes_of.items():
        for start in range(0, len(raw), 16):  # any four components in a row, in either width
            assert raw[start : start + 16] not in content, path
            assert double[start * 2 : start * 2 + 16] not in content, path
        assert raw.hex()[:32].encode() not in content, path
        assert person_key not in content, path
        assert key.reveal() not in content, path
        if "journal" in path.name or path.name == "log":
            assert NAME.encode() not in content, path


async def test_without_the_key_or_with_a_destroyed_one_nothing_opens(database: Database) -> None:
    sealer, who = AesGcmSealer(MasterKey(bytes(32))), new_person()
    wrapped = sealer.new_key(who)
    sealed = sealer.seal(wrapped, who, MODEL, to_bytes(unit(2)))
    people = PostgresPeople(database)
    await enrol(people, person_id=who, wrapped_key=wrapped, templates=[template(sealed)])
    stranger = AesGcmSealer(MasterKey(bytes([1] * 32)))
    version, stored = await people.load(MODEL)
    assert len(open_roster(version, stored, stranger, MODEL, 0).gallery) == 0
    async with database.connection() as db:
        await db.execute("UPDATE people SET wrapped_key = ''")
    version, stored = await people.load(MODEL)
    assert len(open_roster(version, stored, sealer, MODEL, 0).gallery) == 0


async def test_a_template_moved_to_another_person_does_not_open(database: Database) -> None:
    """Who can write to the database cannot make their own face somebody else's."""
    sealer, people = AesGcmSealer(MasterKey(bytes(32))), PostgresPeople(database)
    for i in range(2):
        who = new_person()
        wrapped = sealer.new_key(who)
        sealed = sealer.seal(wrapped, who, MODEL, to_bytes(unit(i)))
        await enrol(people, person_id=who, number=f"E{i}", wrapped_key=wrapped, templates=[template(sealed)])
    async with database.connection() as db:
        await db.execute(
            "UPDATE templates t SET sealed = o.sealed FROM templates o WHERE o.person_id <> t.person_id"
        )
        await db.execute(
            "UPDATE people p SET wrapped_key = o.wrapped_key FROM people o WHERE o.person_id <> p.person_id"
        )
    _, stored = await people.load(MODEL)
    assert len(stored) == 2
    for person in stored:
        for kept in person.templates:
            with pytest.raises(SealBroken):
                sealer.open(person.wrapped_key, person.person_id, MODEL, kept.sealed)

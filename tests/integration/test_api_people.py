"""HR at the API: people, profiles, cards and PINs, on a real database."""

from collections.abc import AsyncIterator

import pytest

from gateway.domain.ids import PersonId
from gateway.services.witness import Record
from gateway.storage.pool import Database
from gateway.telemetry.clock import SystemClock
from tests.fakes.office import OfficeRig, office_rig

ADA = {"number": "7", "name": "Ada Lovelace", "email": "ada@example.org"}
ANY = {"If-Match": "*"}


@pytest.fixture
async def office(database: Database) -> AsyncIterator[OfficeRig]:
    async with office_rig(database) as rig:
        yield rig


async def add(office: OfficeRig, **values: object) -> dict[str, object]:
    said = await office.client.post("/api/v1/people", json={**ADA, **values})
    assert said.status == 201, await said.text()
    assert said.headers["ETag"] == '"v1"'
    body = await said.json()
    assert said.headers["Location"] == f"/api/v1/people/{body['id']}"
    return dict(body)


async def test_a_person_is_added_read_changed_and_found(office: OfficeRig):
    ada = await add(office)
    read = await office.client.get(f"/api/v1/people/{ada['id']}")
    assert await read.json() == ada
    changed = await office.client.patch(
        f"/api/v1/people/{ada['id']}",
        json={"status": "suspended", "email": None},
        headers={"If-Match": read.headers["ETag"]},
    )
    body = await changed.json()
    assert (body["status"], body["email"], body["version"]) == ("suspended", None, 2)
    found = await office.client.get("/api/v1/people?q=love&status=suspended")
    assert [p["id"] for p in (await found.json())["items"]] == [ada["id"]]


async def test_a_lost_update_is_refused(office: OfficeRig):
    ada = await add(office)
    path = f"/api/v1/people/{ada['id']}"
    assert (await office.client.patch(path, json={"name": "B"}, headers={"If-Match": '"v1"'})).status == 200
    late = await office.client.patch(path, json={"name": "C"}, headers={"If-Match": '"v1"'})
    assert (late.status, (await late.json())["code"]) == (412, "version_differs")
    assert (await office.client.patch(path, json={"name": "C"})).status == 428


async def test_pages_go_on_where_the_last_one_ended(office: OfficeRig):
    for i in range(7):
        await add(office, number=str(i), name=f"P{i}", email=None)
    seen, cursor = [], None
    while True:
        more = f"&cursor={cursor}" if cursor else ""
        page = await (await office.client.get(f"/api/v1/people?limit=3&order=desc{more}")).json()
        seen += [p["name"] for p in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == [f"P{i}" for i in reversed(range(7))]
    wrong = await office.client.get("/api/v1/people?sort=number&cursor=abcd")
    assert (wrong.status, (await wrong.json())["code"]) == (404, "no_such_page")


async def test_every_change_is_on_record_with_who_what_and_how_it_was(office: OfficeRig):
    ada = await add(office)
    await office.client.patch(
        f"/api/v1/people/{ada['id']}", json={"status": "suspended", "name": "A. L."}, headers=ANY
    )
    made, suspended = office.actions(str(ada["id"]))
    assert (made["action"], suspended["action"]) == ("person.create", "person.suspend")
    assert suspended["actor"] == "account:1"
    assert suspended["address"] == "127.0.0.1"
    assert (suspended["before"], suspended["after"]) == ({"status": "active"}, {"status": "suspended"})
    record = Record(office.journal, SystemClock(), office.sealer)
    who = PersonId(str(ada["id"]))
    key = await office.office.ground.stores.staff.wrapped_key(who)
    assert record.open(key, who, str(suspended["sealed"])) == {"name": ["Ada Lovelace", "A. L."]}


async def test_no_name_number_or_card_is_in_the_record_in_the_clear(office: OfficeRig):
    ada = await add(office, number="N-4711")
    path = f"/api/v1/people/{ada['id']}"
    await office.client.post(f"{path}/cards", json={"number": "04:A2:2B:99", "label": "blue"})
    await office.client.put(f"{path}/pin", json={"pin": "7302"})
    written = b"".join(canonical for _, canonical in office.journal.events)
    for secret in (b"Ada", b"Lovelace", b"ada@example.org", b"N-4711", b"04A22B99", b"7302"):
        assert secret not in written


async def test_what_cannot_be_recorded_does_not_happen(office: OfficeRig):
    ada = await add(office)
    office.journal.full = True
    path = f"/api/v1/people/{ada['id']}"
    for method, where, body in (
        ("PATCH", path, {"status": "suspended"}),
        ("POST", "/api/v1/people", {"number": "8", "name": "B"}),
        ("POST", f"{path}/cards", {"number": "1234", "label": "x"}),
        ("PUT", f"{path}/pin", {"pin": "7302"}),
        ("POST", "/api/v1/profiles", {"key": "lab", "name": "Lab"}),
    ):
        said = await office.client.request(method, where, json=body, headers=ANY)
        assert (said.status, (await said.json())["code"]) == (503, "journal_unavailable"), where
    assert (await (await office.client.get("/api/v1/people")).json())["items"] == [ada]
    assert (await (await office.client.get(f"{path}/cards")).json())["items"] == []
    assert (await office.client.get(f"{path}/pin")).status == 404


async def test_the_same_create_twice_makes_one_person(office: OfficeRig):
    headers = {"Idempotency-Key": "hr-system-1"}
    first = await office.client.post("/api/v1/people", json=ADA, headers=headers)
    again = await office.client.post("/api/v1/people", json=ADA, headers=headers)
    assert await first.json() == await again.json()
    assert (again.headers["Idempotency-Replayed"], again.headers["ETag"]) == ("true", '"v1"')
    async with office.office.ground.stores.database.connection() as db:
        kept = await db.fetchrow("SELECT * FROM idempotency")
    assert b"Ada" not in kept["sealed"]
    other = await office.client.post("/api/v1/people", json={**ADA, "number": "9"}, headers=headers)
    assert (await other.json())["code"] == "idempotency_key_reused"


async def test_a_card_is_known_in_every_spelling_and_belongs_to_one(office: OfficeRig):
    ada, bob = await add(office), await add(office, number="8", email=None)
    card = {"number": "04:a2:2b 99", "label": "blue card"}
    made = await (await office.client.post(f"/api/v1/people/{ada['id']}/cards", json=card)).json()
    again = await office.client.post(f"/api/v1/people/{bob['id']}/cards", json={**card, "number": "04A22B99"})
    assert (again.status, (await again.json())["code"]) == (409, "card_taken")
    path = f"/api/v1/people/{ada['id']}/cards/{made['id']}"
    blocked = await (await office.client.patch(path, json={"blocked": True})).json()
    assert blocked["blocked"] is True
    assert (await office.client.delete(path)).status == 204
    assert (await office.client.delete(path)).status == 404
    assert (await office.client.post(f"/api/v1/people/{bob['id']}/cards", json=card)).status == 201


@pytest.mark.parametrize("pin", ["1234", "0000", "4321", "1212", "9012", "123", "12a4"])
async def test_a_pin_that_is_tried_first_is_refused(office: OfficeRig, pin: str):
    ada = await add(office)
    said = await office.client.put(f"/api/v1/people/{ada['id']}/pin", json={"pin": pin})
    assert said.status == 400


async def test_profiles_are_edited_and_people_hold_them(office: OfficeRig):
    made = await office.client.post(
        "/api/v1/profiles", json={"key": "lab", "name": "Lab", "access_points": ["lobby-in"]}
    )
    assert made.status == 201
    ada = await add(office, profiles=["lab"])
    assert ada["profiles"] == ["lab"]
    lab = await office.client.get("/api/v1/profiles/lab")
    assert (await lab.json())["members"] == 1
    unknown = await office.client.patch("/api/v1/profiles/lab", json={"access_points": ["x"]}, headers=ANY)
    assert (unknown.status, (await unknown.json())["code"]) == (404, "no_such_access_point")
    assert (await office.client.delete("/api/v1/profiles/staff")).status == 409
    assert (await office.client.delete("/api/v1/profiles/lab")).status == 204
    assert (await (await office.client.get(f"/api/v1/people/{ada['id']}")).json())["profiles"] == []


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"number": "7", "name": ""}, "bad_request"),
        ({"number": "7", "name": "x" * 201}, "bad_request"),
        ({"number": "7", "name": "a\x00b"}, "bad_request"),
        ({"number": "7"}, "bad_request"),
        ({**ADA, "profiles": ["nowhere"]}, "no_such_profile"),
        ({**ADA, "face": "x"}, "bad_request"),
    ],
)
async def test_bad_people_are_refused_with_what_is_wrong(
    office: OfficeRig, body: dict[str, object], code: str
):
    said = await office.client.post("/api/v1/people", json=body)
    assert (await said.json())["code"] == code
    assert (await (await office.client.get("/api/v1/people")).json())["total"] == 0

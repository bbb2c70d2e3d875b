"""SCIM on a real database: what identity providers do from the first day to the last."""

import asyncio
import io
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.domain.ids import PersonId
from gateway.domain.people import PersonStatus
from gateway.domain.staff import Change
from gateway.storage.pool import Database
from tests.fakes.office import OfficeRig, office_rig

USERS, GROUPS = "/scim/v2/Users", "/scim/v2/Groups"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
ADA = {
    "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", ENTERPRISE],
    "userName": "ada@x.org",
    "externalId": "e-1",
    "name": {"givenName": "Ada", "familyName": "Lovelace"},
    "emails": [{"value": "ada@x.org", "type": "work", "primary": True}],
    "active": True,
    ENTERPRISE: {"employeeNumber": "7", "department": "Engines"},
}


@pytest.fixture
async def office(database: Database) -> AsyncIterator[OfficeRig]:
    async with office_rig(database) as rig:
        yield rig


async def ask(
    office: OfficeRig, method: str, path: str, body: Any = None, status: int = 200, **headers: str
) -> Any:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    said = await office.client.request(method, path, json=body, headers=sent)
    text = await said.text()
    assert said.status == status, text
    if status in {204, 304}:
        return None
    assert said.content_type == "application/scim+json"
    shown = await said.json(content_type=None)
    if status >= 400:
        assert shown["schemas"] == ["urn:ietf:params:scim:api:messages:2.0:Error"]
        assert shown["status"] == str(status)
    return shown


async def add(office: OfficeRig, **values: Any) -> dict[str, Any]:
    return dict(await ask(office, "POST", USERS, {**ADA, **values}, 201))


def patch(*operations: dict[str, Any]) -> dict[str, Any]:
    return {"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [*operations]}


def new(number: int, **values: Any) -> dict[str, Any]:
    return {
        "userName": f"u{number}",
        "externalId": None,
        ENTERPRISE: {"employeeNumber": str(number)},
        **values,
    }


async def test_a_user_is_added_with_location_version_and_times(office: OfficeRig):
    said = await office.client.post(USERS, json=ADA, headers={"Content-Type": "application/scim+json"})
    made = await said.json(content_type=None)
    assert said.status == 201
    assert said.headers["Location"] == made["meta"]["location"]
    assert said.headers["Location"].endswith(f"{USERS}/{made['id']}")
    assert said.headers["ETag"] == made["meta"]["version"] == 'W/"v1"'
    assert made["meta"]["created"] == made["meta"]["lastModified"]
    assert (made["displayName"], made[ENTERPRISE]["employeeNumber"]) == ("Ada Lovelace", "7")
    assert (made["active"], made["emails"]) == (True, [{"value": "ada@x.org", "type": "work"}])
    kept = await office.office.ground.stores.staff.get(PersonId(made["id"]))
    assert (kept.number, kept.name, kept.email) == ("7", "Ada Lovelace", "ada@x.org")
    assert (kept.user_name, kept.department, kept.profiles) == ("ada@x.org", "Engines", {"staff"})
    (group,) = (await ask(office, "GET", GROUPS))["Resources"]
    assert [g["value"] for g in made["groups"]] == [group["id"]]
    assert [m["value"] for m in group["members"]] == [made["id"]]


async def test_who_has_no_employee_number_gets_the_external_id_as_staff_number(office: OfficeRig):
    made = await add(office, **{ENTERPRISE: {}})
    kept = await office.office.ground.stores.staff.get(PersonId(made["id"]))
    assert (kept.number, ENTERPRISE in made) == ("e-1", False)
    path = f"{USERS}/{made['id']}"
    await ask(office, "PATCH", path, patch({"op": "replace", "path": "externalId", "value": "e-2"}))
    assert (await office.office.ground.stores.staff.get(PersonId(made["id"]))).number == "e-1"  # it stays
    own = patch({"op": "add", "path": f"{ENTERPRISE}:employeeNumber", "value": "7"})
    assert (await ask(office, "PATCH", path, own))[ENTERPRISE] == {"employeeNumber": "7"}
    none = patch({"op": "remove", "path": f"{ENTERPRISE}:employeeNumber"})
    assert ENTERPRISE not in await ask(office, "PATCH", path, none)
    assert (await office.office.ground.stores.staff.get(PersonId(made["id"]))).number == "e-2"
    again = await add(office, userName="u" * 150, externalId=None, **{ENTERPRISE: {}})
    assert len((await office.office.ground.stores.staff.get(PersonId(again["id"]))).number) == 64


async def test_the_same_user_name_external_id_or_number_twice_is_a_conflict(office: OfficeRig):
    await add(office)
    for clash in (
        {"userName": "ADA@x.org", "externalId": "e-2", ENTERPRISE: {"employeeNumber": "8"}},
        {"userName": "b", ENTERPRISE: {"employeeNumber": "8"}},
        {"userName": "b", "externalId": "e-2"},
    ):
        said = await ask(office, "POST", USERS, {**ADA, **clash}, 409)
        assert said["scimType"] == "uniqueness"


async def test_suspended_is_inactive_and_only_real_changes_are_recorded(office: OfficeRig):
    made = await add(office)
    path = f"{USERS}/{made['id']}"
    off = await ask(office, "PATCH", path, patch({"op": "Replace", "path": "active", "value": "False"}))
    assert (off["active"], off["meta"]["version"]) == (False, 'W/"v2"')
    kept = await office.office.ground.stores.staff.get(PersonId(made["id"]))
    assert kept.status is PersonStatus.SUSPENDED
    same = await ask(office, "PATCH", path, patch({"op": "replace", "value": {"active": False}}))
    assert same["meta"]["version"] == 'W/"v2"'
    assert (await ask(office, "PUT", path, off))["meta"]["version"] == 'W/"v2"'
    assert [a["action"] for a in office.actions(made["id"])] == ["person.create", "person.suspend"]


async def test_a_put_clears_what_it_leaves_out_but_not_what_nobody_is_without(office: OfficeRig):
    made = await add(office)
    path = f"{USERS}/{made['id']}"
    await ask(office, "PATCH", path, patch({"op": "replace", "value": {"active": False, "title": "Chief"}}))
    put = await ask(office, "PUT", path, {"schemas": ADA["schemas"], "userName": "ada@x.org"})
    assert (put["displayName"], put["active"], put[ENTERPRISE]) == (
        "ada@x.org",
        False,
        {"employeeNumber": "7"},
    )
    assert {"title", "emails", "externalId", "name"}.isdisjoint(put)


async def test_deleted_is_gone_here_and_left_there_and_comes_back_under_the_same_id(office: OfficeRig):
    made = await add(office)
    path = f"{USERS}/{made['id']}"
    lab = await ask(office, "POST", GROUPS, {"displayName": "Lab", "members": [{"value": made["id"]}]}, 201)
    await ask(office, "DELETE", path, status=204)
    kept = await office.office.ground.stores.staff.get(PersonId(made["id"]))
    assert (kept.status, kept.profiles) == (PersonStatus.LEFT, frozenset())
    for method, body in (("GET", None), ("PUT", ADA), ("PATCH", patch({"op": "remove", "path": "title"}))):
        await ask(office, method, path, body, 404)
    await ask(office, "DELETE", path, status=404)
    assert (await ask(office, "GET", USERS))["totalResults"] == 0
    assert (await ask(office, "GET", f'{USERS}?filter=userName eq "ada@x.org"'))["totalResults"] == 0
    assert "members" not in await ask(office, "GET", f"{GROUPS}/{lab['id']}")
    joined = patch({"op": "add", "path": "members", "value": [{"value": made["id"]}]})
    refused = await ask(office, "PATCH", f"{GROUPS}/{lab['id']}", joined, 400)
    assert refused["scimType"] == "invalidValue"
    assert office.actions(made["id"])[-1]["action"] == "person.leave"
    back = await add(office, title="Countess")
    assert (back["id"], back["active"], back["title"]) == (made["id"], True, "Countess")
    again = await office.office.ground.stores.staff.get(PersonId(made["id"]))
    assert (again.status, again.profiles) == (PersonStatus.ACTIVE, {"staff"})
    assert office.actions(made["id"])[-1]["action"] == "person.activate"


@pytest.mark.parametrize(
    "known",
    [
        {"userName": "ADA@x.org", "externalId": "new", ENTERPRISE: {"employeeNumber": "new"}},
        {"userName": "new", "externalId": "e-1", ENTERPRISE: {"employeeNumber": "new"}},
        {"userName": "new", "externalId": "new", ENTERPRISE: {"employeeNumber": "7"}},
    ],
)
async def test_who_left_is_known_again_by_any_of_three_names(office: OfficeRig, known: dict[str, Any]):
    made = await add(office)
    await ask(office, "DELETE", f"{USERS}/{made['id']}", status=204)
    assert (await add(office, **known))["id"] == made["id"]


async def test_conditions_are_met_or_nothing_changes(office: OfficeRig):
    made = await add(office)
    path = f"{USERS}/{made['id']}"
    title = patch({"op": "replace", "path": "title", "value": "x"})
    await ask(office, "GET", path, status=304, If_None_Match='W/"v1"')
    assert (await ask(office, "PATCH", path, title, If_Match='W/"v1"'))["meta"]["version"] == 'W/"v2"'
    for method, body in (("PATCH", title), ("PUT", ADA), ("DELETE", None)):
        await ask(office, method, path, body, 412, If_Match='W/"v1"')
    (group,) = (await ask(office, "GET", GROUPS))["Resources"]
    await ask(office, "DELETE", f"{GROUPS}/{group['id']}", status=412, If_Match='W/"v99"')
    assert (await ask(office, "GET", path))["title"] == "x"
    await ask(office, "DELETE", path, status=204, If_Match="*")


async def test_patches_at_once_are_all_done(office: OfficeRig):
    made = [await add(office, **new(i)) for i in range(4)]
    lab = await ask(office, "POST", GROUPS, {"displayName": "Lab"}, 201)
    await asyncio.gather(
        *(
            ask(
                office,
                "PATCH",
                f"{GROUPS}/{lab['id']}",
                patch({"op": "add", "path": "members", "value": [{"value": user["id"]}]}),
            )
            for user in made
        )
    )
    shown = await ask(office, "GET", f"{GROUPS}/{lab['id']}")
    assert {m["value"] for m in shown["members"]} == {user["id"] for user in made}


async def test_users_are_filtered_sorted_and_paged(office: OfficeRig):
    for i in range(5):
        await add(office, **new(i, title=f"T{4 - i}", emails=[{"value": f"u{i}@x.org"}]))
    found = await ask(
        office, "GET", f"{USERS}?sortBy=title&sortOrder=descending&startIndex=2&count=2&attributes=userName"
    )
    assert (found["totalResults"], found["startIndex"], found["itemsPerPage"]) == (5, 2, 2)
    assert [r["userName"] for r in found["Resources"]] == ["u1", "u2"]
    assert set(found["Resources"][0]) == {"schemas", "id", "userName"}
    for text, names in (
        ('emails[type eq "work" and value sw "u3@"]', ["u3"]),
        ('not (userName eq "u0") and (title le "T1" or emails.value co "u1")', ["u1", "u3", "u4"]),
        (f'{ENTERPRISE}:employeeNumber eq "2"', ["u2"]),
        ('meta.created gt "2020-01-01T00:00:00Z" and userName ew "4"', ["u4"]),
        ("active eq false", []),
    ):
        body = {"filter": text, "sortBy": "userName", "excludedAttributes": ["groups"]}
        searched = await ask(office, "POST", f"{USERS}/.search", body)
        assert [r["userName"] for r in searched["Resources"]] == names, text
        assert all("groups" not in r for r in searched["Resources"])
    assert (await ask(office, "GET", f"{USERS}?count=0"))["Resources"] == []
    for query, keyword in (
        ("filter=title eq", "invalidFilter"),
        ("sortBy=name", "invalidPath"),
        ("count=many", "invalidValue"),
        ("sortOrder=sideways", "invalidValue"),
    ):
        assert (await ask(office, "GET", f"{USERS}?{query}", status=400))["scimType"] == keyword


async def test_everything_is_searched_at_once(office: OfficeRig):
    made = await add(office)
    search = "/scim/v2/.search"
    found = await ask(office, "POST", search, {})
    assert [r["meta"]["resourceType"] for r in found["Resources"]] == ["User", "Group"]
    second = await ask(office, "POST", search, {"startIndex": 2, "count": 1})
    assert (second["totalResults"], second["Resources"][0]["displayName"]) == (2, "staff")
    mine = await ask(office, "POST", search, {"filter": f'members.value eq "{made["id"]}"'})
    assert [r["displayName"] for r in mine["Resources"]] == ["staff"]
    await ask(office, "POST", search, {"filter": 'nowhere eq "x"'}, 400)


async def test_a_group_is_an_access_profile(office: OfficeRig):
    made = await add(office)
    body = {"displayName": "Labor & Küche", "externalId": "g-1", "members": [{"value": made["id"]}]}
    lab = await ask(office, "POST", GROUPS, body, 201)
    other = await ask(office, "POST", GROUPS, {"displayName": "LABOR, KÜCHE"}, 201)
    keys = {p.profile_id: p.profile for p in await office.office.ground.stores.profiles.profiles()}
    assert (keys[lab["id"]], keys[other["id"]]) == ("labor-kuche", "labor-kuche-2")
    found = await ask(
        office, "GET", f'{GROUPS}?filter=displayName eq "labor %26 küche"&excludedAttributes=members'
    )
    assert [(g["id"], "members" in g) for g in found["Resources"]] == [(lab["id"], False)]
    kept = await office.office.ground.stores.staff.get(PersonId(made["id"]))
    assert kept.profiles == {"staff", "labor-kuche"}
    path = f"{GROUPS}/{lab['id']}"
    gone = patch({"op": "Remove", "path": "members", "value": [{"value": made["id"]}]})
    assert "members" not in await ask(office, "PATCH", path, gone)
    put = await ask(office, "PUT", path, {"displayName": "Lab", "members": [{"value": made["id"]}]})
    assert (put["displayName"], "externalId" in put) == ("Lab", False)
    await ask(office, "DELETE", path, status=204)
    await ask(office, "GET", path, status=404)
    assert (await office.office.ground.stores.staff.get(PersonId(made["id"]))).profiles == {"staff"}
    (staff,) = [i for i, key in keys.items() if key == "staff"]
    await ask(office, "DELETE", f"{GROUPS}/{staff}", status=409)


async def test_a_member_is_somebody(office: OfficeRig):
    for member in ({"value": "x"}, {"value": "0" * 36}, {}, {"value": "1", "type": "Group"}):
        said = await ask(office, "POST", GROUPS, {"displayName": "Lab", "members": [member]}, 400)
        assert said["scimType"] == "invalidValue"
    assert len(await office.office.ground.stores.profiles.profiles()) == 1


async def test_who_hr_added_is_a_user_too(office: OfficeRig):
    said = await office.client.post("/api/v1/people", json={"number": "9", "name": "Bob"})
    who = (await said.json())["id"]
    found = await ask(office, "GET", f'{USERS}?filter=userName eq "9"')
    assert [(r["id"], r["userName"]) for r in found["Resources"]] == [(who, "9")]
    put = await ask(office, "PUT", f"{USERS}/{who}", found["Resources"][0])
    assert put["meta"]["version"] == 'W/"v1"'
    hired = patch({"op": "replace", "path": "userName", "value": "bob"})
    await ask(office, "PATCH", f"{USERS}/{who}", hired)
    kept = await office.office.ground.stores.staff.get(PersonId(who))
    assert (kept.user_name, kept.number, kept.name) == ("bob", "9", "Bob")


async def test_what_cannot_be_recorded_does_not_happen(office: OfficeRig):
    made = await add(office)
    office.journal.full = True
    path = f"{USERS}/{made['id']}"
    off = patch({"op": "replace", "value": {"active": False}})
    for method, where, body in (
        ("PATCH", path, off),
        ("DELETE", path, None),
        ("POST", USERS, {**ADA, **new(8)}),
        ("POST", GROUPS, {"displayName": "Lab"}),
    ):
        await ask(office, method, where, body, 503)
    assert (await ask(office, "GET", path))["active"] is True
    assert (await ask(office, "GET", USERS))["totalResults"] == 1


async def test_no_name_is_in_the_record_in_the_clear(office: OfficeRig):
    made = await add(office, externalId="external-4711")
    await ask(office, "DELETE", f"{USERS}/{made['id']}", status=204)
    written = b"".join(canonical for _, canonical in office.journal.events)
    for secret in (b"Ada", b"Lovelace", b"ada@x.org", b"external-4711", b"Engines"):
        assert secret not in written


async def test_what_is_offered_is_what_is_said(office: OfficeRig):
    config = await ask(office, "GET", "/scim/v2/ServiceProviderConfig")
    offered = {
        name: config[name]["supported"] for name in ("patch", "bulk", "changePassword", "sort", "etag")
    }
    assert offered == {"patch": True, "bulk": False, "changePassword": False, "sort": True, "etag": True}
    assert config["filter"] == {"supported": True, "maxResults": 200}
    assert [s["type"] for s in config["authenticationSchemes"]] == ["oauthbearertoken"]
    schemas = {s["id"]: s for s in (await ask(office, "GET", "/scim/v2/Schemas"))["Resources"]}
    assert {a["name"] for a in schemas[ENTERPRISE]["attributes"]} == {"employeeNumber", "department"}
    made = await add(office, title="x")
    (user,) = [s for s in schemas.values() if s["name"] == "User"]
    described = {a["name"] for a in user["attributes"]}
    assert set(made) - {"schemas", "id", "externalId", "meta", ENTERPRISE} == described
    await ask(office, "GET", "/scim/v2/Schemas?filter=id pr", status=403)
    await ask(office, "GET", "/scim/v2/ResourceTypes/Nothing", status=404)
    for method, path, status in (
        ("GET", "/scim/v2/Me", 501),
        ("POST", "/scim/v2/Bulk", 501),
        ("DELETE", USERS, 405),
        ("GET", "/scim/v2/Nothing", 404),
    ):
        await ask(office, method, path, status=status)


async def test_a_body_that_is_none_is_refused_with_a_word_on_why(office: OfficeRig):
    json = "application/json"
    for data, kind, status, keyword in (
        (b"{", json, 400, "invalidSyntax"),
        (b"[]", json, 400, "invalidSyntax"),
        (b'{"userName": "\xff"}', json, 400, "invalidSyntax"),
        (b"[" * 100_000, json, 400, "invalidSyntax"),
        (b"{}", json, 400, "invalidValue"),
        (b'{"userName": 4}', json, 400, "invalidValue"),
        (b'{"userName": "a\\u0000b"}', json, 400, "invalidValue"),
        (b'{"userName": "x", "displayName": "\\u202e"}', json, 400, "invalidValue"),
        (b"<a/>", "text/xml", 415, None),
        (io.BytesIO(b"x" * 4_000_001), json, 413, None),
    ):
        said = await office.client.post(USERS, data=data, headers={"Content-Type": kind})
        shown = await said.json(content_type=None)
        assert (said.status, shown.get("scimType")) == (status, keyword), shown
    assert (await ask(office, "GET", USERS))["totalResults"] == 0


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "userName",
                    "displayName",
                    "name",
                    "emails",
                    "active",
                    "members",
                    "value",
                    "op",
                    "path",
                    "Operations",
                ]
            )
            | st.text(max_size=5),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=JSON, text=st.text(max_size=20))
async def test_nothing_that_is_sent_is_a_fault_of_ours(office: OfficeRig, body: Any, text: str):
    operations = body if isinstance(body, list) else [body]
    for method, path, sent in (
        ("POST", USERS, body),
        ("POST", GROUPS, body),
        ("POST", f"{USERS}/.search", {"filter": text}),
        ("PATCH", f"{GROUPS}/{text.encode().hex() or 'x'}", {"Operations": operations}),
    ):
        said = await office.client.request(method, path, json=sent)
        assert said.status < 500, await said.text()


async def test_a_person_who_left_by_hr_is_no_user(office: OfficeRig):
    made = await add(office)
    who = PersonId(made["id"])

    async def unseen(_before: object, _after: object) -> None: ...

    left = Change({"status": PersonStatus.LEFT})
    await office.office.ground.stores.staff.change(who, left, None, unseen)
    await ask(office, "GET", f"{USERS}/{who}", status=404)
    (group,) = (await ask(office, "GET", GROUPS))["Resources"]
    assert "members" not in group

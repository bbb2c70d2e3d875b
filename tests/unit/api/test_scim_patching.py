"""PATCH as RFC 7644 has it, and as Entra ID and Okta send it."""

from typing import Any

import pytest
from pydantic import ValidationError
from scim2_models import SCIMException

from gateway.api.scim.errors import response_of
from gateway.api.scim.patching import patched
from gateway.api.scim.resources import Email, EnterpriseUser, Group, Member, Name, Person

ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
SCHEMA = "urn:ietf:params:scim:api:messages:2.0:PatchOp"


def ada(**values: Any) -> Any:
    return Person(
        **{
            "id": "1",
            "user_name": "ada",
            "display_name": "Ada Lovelace",
            "active": True,
            "name": Name(formatted="Ada Lovelace", given_name="Ada", family_name="Lovelace"),
            "emails": [Email(value="ada@x.org", type="work")],
            "EnterpriseUser": EnterpriseUser(department="R&D"),
            **values,
        }
    )


def after(resource: Any, *operations: dict[str, Any]) -> Any:
    return patched(resource, {"schemas": [SCHEMA], "Operations": list(operations)})


def refused(resource: Any, *operations: Any) -> str | None:
    before = resource.model_copy(deep=True)
    with pytest.raises((SCIMException, ValidationError)) as caught:
        patched(resource, {"schemas": [SCHEMA], "Operations": list(operations)})
    assert resource == before
    body = response_of(caught.value).text or ""
    return dict(__import__("json").loads(body)).get("scimType")


# Entra ID: learn.microsoft.com/en-us/entra/identity/app-provisioning/use-scim-to-provision-users-and-groups


def test_entra_updates_single_and_multi_valued_attributes():
    changed = after(
        ada(),
        {"op": "Replace", "path": 'emails[type eq "work"].value', "value": "updated@x.org"},
        {"op": "Replace", "path": "name.familyName", "value": "King"},
    )
    assert [(e.value, e.type) for e in changed.emails] == [("updated@x.org", "work")]
    assert (changed.name.family_name, changed.name.given_name) == ("King", "Ada")


def test_entra_disables_with_a_boolean_that_is_a_string():
    assert after(ada(), {"op": "Replace", "path": "active", "value": "False"}).active is False
    assert after(ada(active=False), {"op": "Add", "path": "active", "value": "True"}).active is True


def test_entra_adds_an_address_where_there_is_none():
    changed = after(
        ada(emails=None), {"op": "Add", "path": 'emails[type eq "work"].value', "value": "a@x.org"}
    )
    assert [(e.value, e.type) for e in changed.emails] == [("a@x.org", "work")]


def test_entra_replaces_without_a_path_by_dotted_keys():
    changed = after(
        ada(),
        {
            "op": "replace",
            "value": {
                "displayName": "Countess",
                "name.givenName": "Augusta",
                f"{ENTERPRISE}:department": "Engines",
                'emails[type eq "work"].value': "b@x.org",
            },
        },
    )
    assert (changed.display_name, changed.name.given_name) == ("Countess", "Augusta")
    assert (changed.EnterpriseUser.department, changed.emails[0].value) == ("Engines", "b@x.org")


def test_what_entra_sends_of_what_is_not_kept_changes_nothing():
    before = ada()
    changed = after(
        before,
        {"op": "Add", "path": 'phoneNumbers[type eq "mobile"].value', "value": "+49 1"},
        {"op": "Add", "path": 'addresses[type eq "work"].streetAddress', "value": "x"},
        {"op": "Add", "path": f"{ENTERPRISE}:manager", "value": "2"},
        {"op": "Add", "value": {"nickName": "A", "preferredLanguage": "en"}},
    )
    assert changed == before


def group(*members: str) -> Group:
    return Group(id="g", display_name="Lab", members=[Member(value=m, type="User") for m in members] or None)


def ids(changed: Any) -> list[str]:
    return [m.value for m in changed.members or ()]


def test_entra_adds_and_removes_members():
    added = after(
        group("1"),
        {"op": "Add", "path": "members", "value": [{"$ref": None, "value": "2"}, {"value": "3"}]},
    )
    assert ids(added) == ["1", "2", "3"]
    assert ids(after(added, {"op": "Remove", "path": "members", "value": [{"value": "2"}]})) == ["1", "3"]
    assert ids(after(added, {"op": "Remove", "path": 'members[value eq "2"]'})) == ["1", "3"]
    assert ids(after(added, {"op": "Remove", "path": "members"})) == []


# Okta: developer.okta.com/docs/api/openapi/okta-scim/guides/scim-20


def test_okta_deactivates_by_a_value_without_a_path():
    assert after(ada(), {"op": "replace", "value": {"active": False}}).active is False


def test_okta_renames_a_group_by_its_id_and_a_new_name():
    changed = after(group("1"), {"op": "replace", "value": {"id": "g", "displayName": "Laboratory"}})
    assert (changed.display_name, ids(changed)) == ("Laboratory", ["1"])


def test_okta_replaces_members_and_changes_them_by_value():
    changed = after(
        group("1", "2"),
        {"op": "remove", "path": 'members[value eq "1"]'},
        {"op": "add", "path": "members", "value": [{"value": "3", "display": "c@x.org"}]},
    )
    assert ids(changed) == ["2", "3"]
    whole = {"op": "replace", "path": "members", "value": [{"value": "9", "display": "d@x.org"}]}
    assert ids(after(changed, whole)) == ["9"]


# RFC 7644 section 3.5.2


def test_the_primary_address_is_the_one_there_is():
    changed = after(ada(), {"op": "replace", "path": "emails[primary eq true].value", "value": "p@x.org"})
    assert [e.value for e in changed.emails] == ["p@x.org"]


def test_a_member_added_twice_is_one_member():
    assert ids(
        after(group("1"), {"op": "add", "path": "members", "value": [{"value": "1", "type": "User"}]})
    ) == ["1"]


@pytest.mark.parametrize(
    ("operation", "keyword"),
    [
        ({"op": "move", "path": "title", "value": "x"}, "invalidValue"),
        ({"op": "remove"}, "noTarget"),
        ({"op": "add", "path": "title"}, "invalidValue"),
        ({"op": "replace", "path": "titel", "value": "x"}, "invalidPath"),
        ({"op": "replace", "path": "emails[", "value": "x"}, "invalidPath"),
        ({"op": "replace", "path": 'emails[type eq "home" or type eq "x"].value', "value": "x"}, "noTarget"),
        ({"op": "replace", "path": "id", "value": "2"}, "mutability"),
        ({"op": "replace", "path": "groups", "value": []}, "mutability"),
        ({"op": "remove", "path": "userName"}, "mutability"),
        ({"op": "remove", "path": "displayName"}, "mutability"),
        ({"op": "replace", "path": "active", "value": "maybe"}, "invalidValue"),
        ({"op": "replace", "path": "title", "value": {"a": 1}}, "invalidValue"),
        ({"op": "replace", "path": 4, "value": "x"}, "invalidValue"),
        ("nothing", "invalidSyntax"),
    ],
)
def test_what_cannot_be_done_is_refused_and_nothing_of_it_is_done(operation: Any, keyword: str):
    assert refused(ada(), {"op": "replace", "path": "title", "value": "first"}, operation) == keyword


@pytest.mark.parametrize("body", [{}, {"Operations": []}, {"Operations": {}}])
def test_a_patch_needs_operations(body: dict[str, Any]):
    with pytest.raises(SCIMException):
        patched(ada(), body)

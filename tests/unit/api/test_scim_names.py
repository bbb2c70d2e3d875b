"""Between people as they are kept and Users as SCIM has them."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.scim.names import key_of, person_of, values_of
from gateway.api.scim.resources import Email, EnterpriseUser, Name, Person
from gateway.domain.ids import PersonId
from gateway.domain.people import PersonStatus
from gateway.domain.staff import StaffRecord

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ADA = StaffRecord(person_id=PersonId("1"), number="7", name="Ada", created_at=NOW, updated_at=NOW, version=3)
TEXT = st.text(alphabet="abcXYZ 17", min_size=1, max_size=6)
RECORDS = st.builds(
    lambda **given: replace(ADA, **given),
    number=TEXT,
    name=TEXT,
    given_name=st.none() | TEXT,
    family_name=st.none() | TEXT,
    user_name=st.none() | TEXT,
    email=st.none() | TEXT,
    department=st.none() | TEXT,
    title=st.none() | TEXT,
    external_id=st.none() | TEXT,
    status=st.sampled_from([PersonStatus.ACTIVE, PersonStatus.SUSPENDED]),
)


@given(RECORDS, st.booleans())
def test_a_user_that_is_sent_back_as_it_was_read_changes_nothing(record: StaffRecord, whole: bool):
    values = values_of(person_of(record, {}, "http://x"), record, whole=whole)
    assert {n: v for n, v in values.items() if getattr(record, n) != v} == {}


def user(**values: Any) -> Any:
    return Person(**{"user_name": "ada@x.org", **values})


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        ({"display_name": "A", "name": Name(formatted="B", given_name="C")}, "A"),
        ({"name": Name(formatted="B", given_name="C")}, "B"),
        ({"name": Name(given_name="C", family_name="D")}, "C D"),
        ({"display_name": "", "name": Name(family_name="D")}, "D"),
        ({}, "ada@x.org"),
    ],
)
def test_the_name_is_the_first_that_is_given(sent: dict[str, Any], name: str):
    assert values_of(user(**sent))["name"] == name


def test_a_name_made_of_its_parts_follows_them_and_one_of_its_own_does_not():
    parts = Name(given_name="Ada", family_name="King")
    made = replace(ADA, name="Ada Lovelace", given_name="Ada", family_name="Lovelace", user_name="ada")
    shown = Name(formatted="Ada Lovelace", given_name="Ada", family_name="King")
    assert values_of(user(display_name="Ada Lovelace", name=shown), made, whole=False)["name"] == "Ada King"
    assert values_of(user(name=parts), replace(made, name="Countess"))["name"] == "Countess"


@pytest.mark.parametrize(
    ("sent", "number"),
    [
        ({"EnterpriseUser": EnterpriseUser(employee_number="7"), "external_id": "e"}, "7"),
        ({"EnterpriseUser": EnterpriseUser(employee_number=""), "external_id": "e"}, "e"),
        ({"external_id": ""}, "ada@x.org"),
    ],
)
def test_the_staff_number_is_the_employee_number_else_the_external_id_else_the_user_name(
    sent: dict[str, Any], number: str
):
    assert values_of(user(**sent))["number"] == number


def test_long_names_stand_for_different_numbers():
    one, other = (values_of(user(external_id="x" * 100 + end))["number"] for end in "ab")
    assert len(one) == len(other) == 64
    assert one != other


def test_one_address_is_kept_and_a_patch_puts_the_new_one_in_its_place():
    home, work = Email(value="h@x.org", type="home"), Email(value="w@x.org", type="Work")
    assert values_of(user(emails=[home, work]))["email"] == "w@x.org"
    assert values_of(user(emails=[home]))["email"] == "h@x.org"
    assert values_of(user(emails=[]))["email"] is None
    old = Email(value="old@x.org", type="work")
    record = replace(ADA, email="old@x.org")
    assert values_of(user(emails=[old, work]), record, whole=False)["email"] == "w@x.org"
    assert values_of(user(emails=[old, work]), record)["email"] == "old@x.org"


@given(st.text(max_size=200), st.integers(0, 5))
def test_a_key_is_one_of_the_api_and_nobody_elses(name: str, others: int):
    taken: list[str] = []
    for _ in range(others + 1):
        key = key_of(name, taken)
        assert re.fullmatch("[a-z0-9][a-z0-9-]{0,62}", key)
        assert key not in taken
        taken.append(key)

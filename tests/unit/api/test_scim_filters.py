"""The filter grammar of RFC 7644 section 3.4.2.2 as questions about people."""

import dataclasses
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scim2_models import InvalidFilterException, InvalidPathException

from gateway.api.scim.filters import FALSE, LONGEST, TRUE, sort_of, where_of
from gateway.domain.people import PersonStatus
from gateway.domain.query import Both, Compare, Either, Not, Op, Where
from gateway.domain.staff import FIELDS

GROUPS = {"11": "staff", "22": "lab"}
CORE = "urn:ietf:params:scim:schemas:core:2.0:User"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
HAS_EMAIL = Compare("email", Op.PRESENT)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ('title eq "Chief"', Compare("title", Op.EQ, "Chief")),
        ('TITLE Eq "Chief"', Compare("title", Op.EQ, "Chief")),
        ('title eq "a \\"b\\" \\u00e9"', Compare("title", Op.EQ, 'a "b" é')),
        ("title eq null", Compare("title", Op.EQ, None)),
        ("title pr", Compare("title", Op.PRESENT)),
        ('name.familyName sw "Love"', Compare("family_name", Op.STARTS, "Love")),
        (f'{CORE}:name.givenName ew "a"', Compare("given_name", Op.ENDS, "a")),
        (f'{ENTERPRISE.upper()}:department co "x"', Compare("department", Op.CONTAINS, "x")),
        (f'{ENTERPRISE}:employeeNumber eq "7"', Compare("number", Op.EQ, "7")),
        ('displayName gt "M"', Compare("name", Op.GT, "M")),
        ('name.formatted eq "M"', Compare("name", Op.EQ, "M")),
        ('externalId ne "e"', Compare("external_id", Op.NE, "e")),
        ('id eq "i"', Compare("person_id", Op.EQ, "i")),
        ("active eq true", Compare("status", Op.EQ, PersonStatus.ACTIVE)),
        ("active eq False", Compare("status", Op.EQ, PersonStatus.SUSPENDED)),
        ('emails co "@x"', Compare("email", Op.CONTAINS, "@x")),
        ('emails.value eq "a@x"', Compare("email", Op.EQ, "a@x")),
        ("emails pr", HAS_EMAIL),
        (
            'meta.lastModified ge "2026-01-02T03:04:05Z"',
            Compare("updated_at", Op.GE, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ),
        ('schemas eq "urn:x"', FALSE),
        ('meta.resourceType eq "user"', FALSE),
        ('meta.resourceType eq "User"', TRUE),
        ('groups.value eq "22"', Either([Compare("profile", Op.EQ, "lab")])),
        ('groups[value eq "22" or value eq "9"]', Either([Compare("profile", Op.EQ, "lab")])),
        (
            'groups[not (value eq "22")]',
            Either([Compare("profile", Op.EQ, "staff")]),
        ),
        (
            'emails[type eq "work" and value co "x"]',
            Both([HAS_EMAIL, Both([TRUE, Compare("email", Op.CONTAINS, "x")])]),
        ),
        ('emails[type eq "home"]', Both([HAS_EMAIL, FALSE])),
        (
            'emails[primary eq true].value eq "a@x"',
            Both([HAS_EMAIL, Both([TRUE, Compare("email", Op.EQ, "a@x")])]),
        ),
        (
            'not (title pr) and (title eq "a" or title eq "b")',
            Both(
                [
                    Not(Compare("title", Op.PRESENT)),
                    Either([Compare("title", Op.EQ, "a"), Compare("title", Op.EQ, "b")]),
                ]
            ),
        ),
        (
            'title eq "a" or title eq "b" and title eq "c"',  # "and" binds tighter
            Either(
                [
                    Compare("title", Op.EQ, "a"),
                    Both([Compare("title", Op.EQ, "b"), Compare("title", Op.EQ, "c")]),
                ]
            ),
        ),
    ],
)
def test_a_filter_means(text: str, meant: Where):
    assert where_of(text, GROUPS) == meant


def test_who_has_no_user_name_is_found_by_the_number_that_stands_for_it():
    has = Compare("user_name", Op.PRESENT)
    assert where_of('userName eq "7"', {}) == Either(
        [
            Both([has, Compare("user_name", Op.EQ, "7")]),
            Both([Not(has), Compare("number", Op.EQ, "7")]),
        ]
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "title",
        "title eq",
        "title eq 'x'",
        'title eq "x',
        'title like "x"',
        "title eq 4",
        'nickName eq "x"',
        'name eq "x"',
        'department eq "needs its schema"',
        "active gt true",
        'active eq "perhaps"',
        'meta.created eq "yesterday"',
        'meta.version eq "v1"',
        'emails[type eq "work"',
        'emails[street eq "x"]',
        'emails[emails[type eq "work"]]',
        'title[value eq "x"]',
        'title eq "\\ud800"',
        "(" * 500 + "title pr" + ")" * 499,
        "not (" * 40 + "title pr" + ")" * 40,
        "title eq " + "9" * 3000,
        "title pr or " * 400 + "title pr",
    ],
)
def test_what_is_no_filter_of_people_is_an_invalid_filter(text: str):
    with pytest.raises(InvalidFilterException):
        where_of(text, GROUPS)


WORDS = st.sampled_from(
    [
        *(
            '"x"',
            '"\\u0000"',
            '"a\\"b"',
            "true",
            "null",
            "-1",
            "1e999",
            "not",
            "and",
            "or",
            "(",
            ")",
            "[",
            "]",
        ),
        *("eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le", "pr", "EQ", "Pr", "."),
        *(
            "userName",
            "title",
            "emails",
            "emails.value",
            "type",
            "value",
            "active",
            "meta.created",
            "id",
            "groups",
        ),
        *(f"{CORE}:userName", f"{ENTERPRISE}:department", "urn:x:y", '"2026-01-01T00:00:00Z"'),
    ]
)


@settings(max_examples=400, deadline=None)
@given(st.one_of(st.lists(WORDS, max_size=12).map(" ".join), st.text(max_size=60)))
def test_whatever_is_sent_is_a_question_about_known_fields_or_an_invalid_filter(text: str):
    try:
        meant = where_of(text, GROUPS)
    except InvalidFilterException:
        return
    assert fields_of(meant) <= FIELDS


def fields_of(where: Where) -> set[str]:
    match where:
        case Compare():
            return {where.field}
        case Not():
            return fields_of(where.part)
    return {f for part in where.parts for f in fields_of(part)}


def test_a_filter_longer_than_the_most_is_refused_unread():
    with pytest.raises(InvalidFilterException, match="characters"):
        where_of(f'title eq "{"x" * LONGEST}"', {})


def test_a_search_over_everything_takes_what_a_user_does_not_have_as_false():
    assert where_of('members.value eq "x"', {}, lenient=True) == FALSE
    assert dataclasses.is_dataclass(where_of("title pr or members pr", {}, lenient=True))


@pytest.mark.parametrize(
    ("path", "field"),
    [("userName", "user_name"), ("emails", "email"), (f"{ENTERPRISE}:department", "department")],
)
def test_people_are_sorted_by(path: str, field: str):
    assert sort_of(path) == field


@pytest.mark.parametrize("path", ["name", "groups", "nickName", "emails.type"])
def test_people_are_not_sorted_by(path: str):
    with pytest.raises(InvalidPathException):
        sort_of(path)

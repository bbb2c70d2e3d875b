"""People as HR knows them, and the access profiles they hold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from gateway.domain.ids import AccessPointId, PersonId
from gateway.domain.people import PersonStatus
from gateway.domain.query import Value

TEXTS: Mapping[str, int] = {
    "number": 64,
    "name": 200,
    "given_name": 100,
    "family_name": 100,
    "user_name": 200,
    "email": 254,
    "department": 100,
    "title": 100,
    "external_id": 200,
}
"""Text fields that HR sets and how long each may be. They identify a person: sealed in the record."""

TEXT = r"^[^\x00-\x1f\x7f-\x9f\u200b\u2028-\u202e\u2066-\u2069\ufeff]*$"
"""No control characters, and none that turn or hide the text around them on a guard's screen."""

FIELDS = frozenset(TEXTS) | {
    "person_id",
    "status",
    "extended",
    "profile",
    "enrolled",
    "consented",
    "created_at",
    "updated_at",
}
"""What may be filtered by; all but ``profile`` may be sorted by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StaffRecord:
    """One person, whole. ``version`` goes up with every change: an ETag is made of it."""

    person_id: PersonId
    number: str
    name: str
    given_name: str | None = None
    family_name: str | None = None
    user_name: str | None = None
    email: str | None = None
    department: str | None = None
    title: str | None = None
    external_id: str | None = None
    extended: bool = False
    """Needs longer at the door."""
    status: PersonStatus = PersonStatus.ACTIVE
    profiles: frozenset[str] = frozenset()
    templates: int = 0
    """How many there are, of any model."""
    consented: bool = False
    created_at: datetime
    updated_at: datetime
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPerson:
    """What HR gives for a new person."""

    number: str
    name: str
    given_name: str | None = None
    family_name: str | None = None
    user_name: str | None = None
    email: str | None = None
    department: str | None = None
    title: str | None = None
    external_id: str | None = None
    extended: bool = False
    status: PersonStatus = PersonStatus.ACTIVE
    profiles: frozenset[str] = frozenset({"staff"})


@dataclass(frozen=True, slots=True)
class Change:
    """New values by field name of ``NewPerson``; what is not named stays."""

    values: Mapping[str, str | bool | PersonStatus | frozenset[str] | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileRecord:
    """An access profile: a named set of access points."""

    profile: str
    """Its lasting key, as ``staff``; lower case, digits and hyphens."""
    profile_id: str
    name: str
    external_id: str | None = None
    access_points: frozenset[AccessPointId] = frozenset()
    members: int = 0
    created_at: datetime
    updated_at: datetime
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewProfile:
    """What HR gives for a new access profile."""

    profile: str
    name: str
    external_id: str | None = None
    access_points: frozenset[AccessPointId] = frozenset()
    members: frozenset[PersonId] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileChange:
    """New values; None stays as it is. ``members`` is the whole set, ``add`` and ``take`` are parts of it."""

    name: str | None = None
    external_id: str | None = None
    forget_external_id: bool = False
    access_points: frozenset[AccessPointId] | None = None
    members: frozenset[PersonId] | None = None
    add: frozenset[PersonId] = frozenset()
    take: frozenset[PersonId] = frozenset()


@dataclass(frozen=True, slots=True)
class Page:
    """A part of an answer; ``total`` counts what matches in all."""

    people: Sequence[StaffRecord]
    total: int
    last: tuple[Value, str] | None = None
    """Where the next page goes on, for ``Query.after``; None when there is none."""

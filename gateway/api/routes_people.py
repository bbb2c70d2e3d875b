"""``/api/v1/people``: who works here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from gateway.api.paging import Cursors
from gateway.api.routing import Answer, Call, Route
from gateway.domain.accounts import Role
from gateway.domain.ids import PersonId
from gateway.domain.people import PersonStatus
from gateway.domain.query import Both, Compare, Either, Op, Query, Where
from gateway.domain.staff import TEXT, TEXTS, Change, NewPerson, StaffRecord
from gateway.services.staff import Staff

WRITERS = frozenset({Role.HR, Role.ADMINISTRATOR})
READERS = WRITERS | {Role.AUDITOR}

Short = Annotated[str, Meta(pattern=TEXT, min_length=1, max_length=100)]
Number = Annotated[
    str, Meta(pattern=TEXT, min_length=1, max_length=64, description="Staff number; one person's alone.")
]
Name = Annotated[
    str, Meta(pattern=TEXT, min_length=1, max_length=200, description="As it is shown to HR and guards.")
]
UserName = Annotated[str, Meta(pattern=TEXT, min_length=1, max_length=200)]
Email = Annotated[str, Meta(pattern=TEXT, min_length=1, max_length=254)]
ProfileKey = Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9-]{0,62}$")]
ProfileKeys = Annotated[list[ProfileKey], Meta(max_length=100, description="Keys of access profiles held.")]
Extended = Annotated[bool, Meta(description="Needs longer at the door.")]


class PersonIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new person."""

    number: Number
    name: Name
    given_name: Short | None = None
    family_name: Short | None = None
    user_name: UserName | None = None
    email: Email | None = None
    department: Short | None = None
    title: Short | None = None
    external_id: UserName | None = None
    extended: Extended = False
    status: PersonStatus = PersonStatus.ACTIVE
    profiles: ProfileKeys = msgspec.field(default_factory=lambda: ["staff"])


class PersonPatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change (RFC 7396: null removes a value; what is not named stays)."""

    number: Number | UnsetType = UNSET
    name: Name | UnsetType = UNSET
    given_name: Short | UnsetType | None = UNSET
    family_name: Short | UnsetType | None = UNSET
    user_name: UserName | UnsetType | None = UNSET
    email: Email | UnsetType | None = UNSET
    department: Short | UnsetType | None = UNSET
    title: Short | UnsetType | None = UNSET
    external_id: UserName | UnsetType | None = UNSET
    extended: Extended | UnsetType = UNSET
    status: PersonStatus | UnsetType = UNSET
    profiles: ProfileKeys | UnsetType = UNSET


class PersonOut(msgspec.Struct, frozen=True, kw_only=True):
    """One person."""

    id: str
    number: str
    name: str
    given_name: str | None
    family_name: str | None
    user_name: str | None
    email: str | None
    department: str | None
    title: str | None
    external_id: str | None
    extended: bool
    status: PersonStatus
    profiles: Sequence[str]
    enrolled: bool
    templates: int
    consented: bool
    created_at: datetime
    updated_at: datetime
    version: int


class PeopleOut(msgspec.Struct, frozen=True, kw_only=True):
    """A page of people."""

    items: Sequence[PersonOut]
    total: int
    next_cursor: str | None = None


Sort = Literal["name", "number", "created_at", "updated_at", "status", "department", "family_name"]


class PeopleQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which people, in which order."""

    q: (
        Annotated[str, Meta(min_length=1, max_length=100, description="Part of name, number or e-mail.")]
        | None
    ) = None
    number: Annotated[str, Meta(max_length=64)] | None = None
    user_name: Annotated[str, Meta(max_length=200)] | None = None
    external_id: Annotated[str, Meta(max_length=200)] | None = None
    department: Annotated[str, Meta(max_length=100)] | None = None
    status: PersonStatus | None = None
    profile: ProfileKey | None = None
    enrolled: bool | None = None
    consented: bool | None = None
    updated_since: Annotated[datetime, Meta(tz=True)] | None = None
    sort: Sort = "name"
    order: Literal["asc", "desc"] = "asc"
    limit: Annotated[int, Meta(ge=1, le=200)] = 50
    cursor: Annotated[str, Meta(max_length=1000, pattern="^[A-Za-z0-9_-]+$")] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PeopleRoutes:
    """Reading, adding and changing people."""

    staff: Staff
    cursors: Cursors

    def table(self) -> tuple[Route, ...]:
        """The routes."""
        common: dict[str, Any] = {"tag": "people"}
        bad = ("bad_text", "no_such_profile", "number_taken", "user_name_taken", "external_id_taken")
        return (
            Route(
                method="GET",
                path="/api/v1/people",
                handler=self.list_people,
                summary="People, by filter and page",
                roles=READERS,
                scope="people:read",
                query=PeopleQuery,
                answer=PeopleOut,
                errors=("no_such_page",),
                **common,
            ),
            Route(
                method="POST",
                path="/api/v1/people",
                handler=self.create_person,
                summary="Add a person",
                roles=WRITERS,
                scope="people:write",
                body=PersonIn,
                answer=PersonOut,
                status=201,
                creates=True,
                errors=bad,
                **common,
            ),
            Route(
                method="GET",
                path="/api/v1/people/{person_id}",
                handler=self.read_person,
                summary="One person",
                description="The ETag is what If-Match of a change needs.",
                roles=READERS,
                scope="people:read",
                answer=PersonOut,
                errors=("no_such_person",),
                **common,
            ),
            Route(
                method="PATCH",
                path="/api/v1/people/{person_id}",
                handler=self.change_person,
                summary="Change, suspend or reactivate a person",
                roles=WRITERS,
                scope="people:write",
                body=PersonPatch,
                answer=PersonOut,
                conditional=True,
                errors=("no_such_person", *bad),
                **common,
            ),
        )

    async def list_people(self, call: Call) -> PeopleOut:
        """A page of people."""
        asked: PeopleQuery = call.query
        descending = asked.order == "desc"
        after = None
        if asked.cursor:
            after = await self.cursors.place(asked.cursor, asked.sort, descending=descending)
        page = await self.staff.find(
            Query(where=_where(asked), sort=asked.sort, descending=descending, limit=asked.limit, after=after)
        )
        return PeopleOut(
            items=[person_out(p) for p in page.people],
            total=page.total,
            next_cursor=await self.cursors.after(asked.sort, descending=descending, last=page.last),
        )

    async def create_person(self, call: Call) -> Answer:
        """Add one."""
        given: PersonIn = call.body
        values = msgspec.structs.asdict(given) | {"profiles": frozenset(given.profiles)}
        made = await self.staff.create(call.actor, NewPerson(**values))
        return Answer(
            body=person_out(made),
            version=made.version,
            headers={"Location": f"/api/v1/people/{made.person_id}"},
        )

    async def read_person(self, call: Call) -> Answer:
        """One person."""
        return _answer(await self.staff.get(PersonId(call.path["person_id"])))

    async def change_person(self, call: Call) -> Answer:
        """Set what is named."""
        change = Change(_given(call.body))
        return _answer(
            await self.staff.change(call.actor, PersonId(call.path["person_id"]), change, call.if_match)
        )


def person_out(record: StaffRecord) -> PersonOut:
    """A person as the API shows them."""
    texts = {name: getattr(record, name) for name in TEXTS}
    return PersonOut(
        id=record.person_id,
        extended=record.extended,
        status=record.status,
        profiles=sorted(record.profiles),
        enrolled=record.templates > 0,
        templates=record.templates,
        consented=record.consented,
        created_at=record.created_at,
        updated_at=record.updated_at,
        version=record.version,
        **texts,
    )


def _answer(record: StaffRecord) -> Answer:
    return Answer(body=person_out(record), version=record.version)


def _given(patch: PersonPatch) -> Mapping[str, Any]:
    values = {n: v for n, v in msgspec.structs.asdict(patch).items() if v is not UNSET}
    if "profiles" in values:
        values["profiles"] = frozenset(values["profiles"])
    return values


def _where(asked: PeopleQuery) -> Where:
    parts: list[Where] = []
    if asked.q is not None:
        parts.append(Either([Compare(f, Op.CONTAINS, asked.q) for f in ("name", "number", "email")]))
    for name in (
        "number",
        "user_name",
        "external_id",
        "department",
        "status",
        "profile",
        "enrolled",
        "consented",
    ):
        value = getattr(asked, name)
        if value is not None:
            parts.append(Compare(name, Op.EQ, value))
    if asked.updated_since is not None:
        parts.append(Compare("updated_at", Op.GE, asked.updated_since))
    return Both(parts)

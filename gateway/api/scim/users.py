"""``/Users``: people, for an identity provider.

DELETE is soft: the status becomes ``left`` and the access profiles go, so every door refuses at once; from
then on there is no such User. What is kept of them is erased when the site's retention says so. A POST with
the same externalId, employeeNumber or userName before that brings the person back, as active, under the
same id.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from scim2_models import InvalidValueException, NotFoundException

from gateway.api.scim import asking
from gateway.api.scim.filters import sort_of, where_of
from gateway.api.scim.names import person_of, values_of
from gateway.api.scim.patching import patched
from gateway.api.scim.resources import Person
from gateway.domain.accounts import Actor
from gateway.domain.errors import Rejected
from gateway.domain.ids import PersonId
from gateway.domain.people import PersonStatus
from gateway.domain.query import Both, Compare, Either, Op, Query, Where
from gateway.domain.staff import Change, NewPerson, ProfileRecord, StaffRecord
from gateway.services.staff import Profiles, Staff

HERE = Compare("status", Op.NE, PersonStatus.LEFT)
USUAL_PROFILES = frozenset({"staff"})
_TRIES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class UserRoutes:
    """Reading, adding, changing and removing Users."""

    staff: Staff
    profiles: Profiles

    async def find(self, request: web.Request, _actor: Actor) -> web.Response:
        """GET /Users."""
        search = asking.query_of(request, Person)
        return await self._listed(request, search)

    async def search(self, request: web.Request, _actor: Actor) -> web.Response:
        """POST /Users/.search."""
        search = await asking.search_of(request, Person)
        return await self._listed(request, search)

    async def read(self, request: web.Request, _actor: Actor) -> web.Response:
        """GET /Users/{id}."""
        asked = asking.query_of(request, Person)
        record = await self._here(request)
        return await self._answer(request, record, asked=asked)

    async def create(self, request: web.Request, actor: Actor) -> web.Response:
        """POST /Users."""
        asked = asking.query_of(request, Person)
        person = await asking.resource_of(request, Person)
        values = _checked(values_of(person))
        gone = await self._gone(values)
        if gone is None:
            made = await self.staff.create(actor, NewPerson(**values, profiles=USUAL_PROFILES))
        else:
            status = PersonStatus.SUSPENDED if person.active is False else PersonStatus.ACTIVE
            back = Change({**values_of(person, gone), "status": status, "profiles": USUAL_PROFILES})
            made = await self.staff.change(actor, gone.person_id, back, gone.version)
        return await self._answer(request, made, status=201, asked=asked)

    async def replace(self, request: web.Request, actor: Actor) -> web.Response:
        """PUT /Users/{id}."""
        person = await asking.resource_of(request, Person)

        async def wanted(record: StaffRecord) -> Mapping[str, Any]:
            return values_of(person, record)

        return await self._change(request, actor, wanted)

    async def patch(self, request: web.Request, actor: Actor) -> web.Response:
        """PATCH /Users/{id}."""
        body = await asking.json_of(request)

        async def wanted(record: StaffRecord) -> Mapping[str, Any]:
            before = await self._shown(request, record)
            after = patched(before, body)
            return {} if after == before else values_of(after, record, whole=False)

        return await self._change(request, actor, wanted)

    async def delete(self, request: web.Request, actor: Actor) -> web.Response:
        """DELETE /Users/{id}."""

        async def wanted(_record: StaffRecord) -> Mapping[str, Any]:
            return {"status": PersonStatus.LEFT, "profiles": frozenset()}

        await self._changed(request, actor, wanted)
        return web.Response(status=204)

    async def page(
        self, request: web.Request, search: Any, *, lenient: bool = False
    ) -> tuple[list[Any], int]:
        """Users who match, and how many there are in all."""
        groups = await self._groups()
        where: Where = HERE
        if search.filter is not None:
            asked = where_of(
                str(search.filter), {g.profile_id: g.profile for g in groups.values()}, lenient=lenient
            )
            where = Both([HERE, asked])
        offset, limit = asking.span_of(search)
        found = await self.staff.find(
            Query(
                where=where,
                sort="name" if search.sort_by is None else sort_of(search.sort_by, lenient=lenient),
                descending=search.sort_order == "descending",
                limit=limit,
                offset=offset,
            )
        )
        base = asking.base_of(request)
        return [person_of(p, groups, base) for p in found.people], found.total

    async def _listed(self, request: web.Request, search: Any) -> web.Response:
        found, total = await self.page(request, search)
        return asking.many(found, total, search, Person)

    async def _change(
        self,
        request: web.Request,
        actor: Actor,
        wanted: Callable[[StaffRecord], Awaitable[Mapping[str, Any]]],
    ) -> web.Response:
        asked = asking.query_of(request, Person)
        return await self._answer(request, await self._changed(request, actor, wanted), asked=asked)

    async def _changed(
        self,
        request: web.Request,
        actor: Actor,
        wanted: Callable[[StaffRecord], Awaitable[Mapping[str, Any]]],
    ) -> StaffRecord:
        """What is wanted of a person as it is, done if nobody changed it meanwhile; else once more."""
        for left in reversed(range(_TRIES)):
            record = await self._here(request)
            needed = asking.check_match(request, record.version)
            values = await wanted(record)
            change = {n: v for n, v in _checked(values).items() if getattr(record, n) != v}
            if not change:
                return record
            try:
                return await self.staff.change(actor, record.person_id, Change(change), record.version)
            except Rejected as error:
                if error.code != "version_differs" or needed is not None or left == 0:
                    raise
        raise AssertionError("unreachable")

    async def _here(self, request: web.Request) -> StaffRecord:
        record = await self.staff.get(PersonId(request.match_info["id"]))
        if record.status is PersonStatus.LEFT:
            raise NotFoundException(detail="this person has left")
        return record

    async def _gone(self, values: Mapping[str, Any]) -> StaffRecord | None:
        """Who left and is meant: by externalId first, then by number, then by userName."""
        named = ("external_id", "number", "user_name")
        same = [Compare(name, Op.EQ, values[name]) for name in named if values[name]]
        left = Compare("status", Op.EQ, PersonStatus.LEFT)
        found = (await self.staff.find(Query(where=Both([left, Either(same)]), limit=20))).people
        for name in named:
            for record in found:
                if values[name] and _folded(getattr(record, name)) == _folded(values[name]):
                    return record
        return None

    async def _groups(self) -> Mapping[str, ProfileRecord]:
        return {g.profile: g for g in await self.profiles.all()}

    async def _shown(self, request: web.Request, record: StaffRecord) -> Any:
        return person_of(record, await self._groups(), asking.base_of(request))

    async def _answer(
        self, request: web.Request, record: StaffRecord, *, status: int = 200, asked: Any = None
    ) -> web.Response:
        shown = await self._shown(request, record)
        return asking.one(request, shown, record.version, status=status, asked=asked)


def _checked(values: Mapping[str, Any]) -> dict[str, Any]:
    if "user_name" in values and values["user_name"] == "":
        raise InvalidValueException(detail="userName: is needed")
    return dict(values)


def _folded(text: str | None) -> str:
    return (text or "").lower()

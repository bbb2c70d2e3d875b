"""``/Groups``: access profiles, for an identity provider.

A new group names no access points yet: which doors it opens is decided here, by ``PATCH /api/v1/profiles``.
"""

import asyncio
import re
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from scim2_models import InvalidValueException, ScimFilter

from gateway.api.scim import asking
from gateway.api.scim.names import group_of, key_of
from gateway.api.scim.patching import patched
from gateway.api.scim.resources import Group
from gateway.api.scim.users import HERE
from gateway.domain.accounts import Actor
from gateway.domain.errors import InvalidInput, Rejected
from gateway.domain.ids import PersonId
from gateway.domain.query import Both, Compare, Either, Op, Query
from gateway.domain.staff import TEXT, TEXTS, NewProfile, ProfileChange, ProfileRecord
from gateway.services.staff import Profiles, Staff

_TRIES = 5
_AT_ONCE = 150
_KNOWN = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupRoutes:
    """Reading, adding, changing and removing Groups."""

    staff: Staff
    profiles: Profiles

    async def find(self, request: web.Request, _actor: Actor) -> web.Response:
        """GET /Groups."""
        return await self._listed(request, asking.query_of(request, Group))

    async def search(self, request: web.Request, _actor: Actor) -> web.Response:
        """POST /Groups/.search."""
        return await self._listed(request, await asking.search_of(request, Group))

    async def read(self, request: web.Request, _actor: Actor) -> web.Response:
        """GET /Groups/{id}."""
        asked = asking.query_of(request, Group)
        return await self._answer(request, await self._one(request), asked=asked)

    async def create(self, request: web.Request, actor: Actor) -> web.Response:
        """POST /Groups."""
        asked = asking.query_of(request, Group)
        group = await asking.resource_of(request, Group)
        name, external = _texts(group)
        members = _ids(group)
        await self._check_members(members)
        for left in reversed(range(_TRIES)):
            key = key_of(name, [p.profile for p in await self.profiles.all()])
            new = NewProfile(profile=key, name=name, external_id=external, members=members)
            try:
                made = await self.profiles.create(actor, new)
            except Rejected as error:
                if error.code != "profile_taken" or left == 0:
                    raise
            else:
                return await self._answer(request, made, status=201, asked=asked)
        raise AssertionError("unreachable")

    async def replace(self, request: web.Request, actor: Actor) -> web.Response:
        """PUT /Groups/{id}."""
        group = await asking.resource_of(request, Group)
        return await self._change(request, actor, group, None)

    async def patch(self, request: web.Request, actor: Actor) -> web.Response:
        """PATCH /Groups/{id}."""
        return await self._change(request, actor, None, await asking.json_of(request))

    async def delete(self, request: web.Request, actor: Actor) -> web.Response:
        """DELETE /Groups/{id}: who held it loses its access points."""
        record = await self._one(request)
        needed = asking.check_match(request, record.version)
        await self.profiles.remove(actor, record.profile, needed)
        return web.Response(status=204)

    async def matching(self, request: web.Request, search: Any) -> list[Any]:
        """All Groups that match, in order. There are few: they are compared here."""
        wanted = _wants_members(search)
        found = [await self._shown(request, record, members=wanted) for record in await self.profiles.all()]
        if search.filter is not None:
            bound: Any = ScimFilter[Group](str(search.filter))
            found = await asyncio.to_thread(lambda: [g for g in found if bound.match(g)])
        return list(search.sort(found))

    async def _listed(self, request: web.Request, search: Any) -> web.Response:
        found = await self.matching(request, search)
        start, count = asking.span_of(search)
        return await asyncio.to_thread(asking.many, found[start : start + count], len(found), search, Group)

    async def _change(self, request: web.Request, actor: Actor, group: Any | None, body: Any) -> web.Response:
        """As a Group says whole, or as the operations of a PATCH say; again if it was changed meanwhile."""
        asked = asking.query_of(request, Group)
        for left in reversed(range(_TRIES)):
            record = await self._one(request)
            needed = asking.check_match(request, record.version)
            before = await self._shown(request, record)
            after = group if group is not None else await asyncio.to_thread(patched, before, body)
            change = _difference(record, before, after)
            if change is None:
                return await self._answer(request, record, asked=asked)
            await self._check_members(change.add)
            try:
                made = await self.profiles.change(actor, record.profile, change, record.version)
            except Rejected as error:
                if error.code != "version_differs" or needed is not None or left == 0:
                    raise
            else:
                return await self._answer(request, made, asked=asked)
        raise AssertionError("unreachable")

    async def _one(self, request: web.Request) -> ProfileRecord:
        wanted = request.match_info["id"]
        for record in await self.profiles.all():
            if record.profile_id == wanted:
                return record
        raise InvalidInput("there is no such group", code="no_such_profile")

    async def _check_members(self, members: frozenset[PersonId]) -> None:
        """Raises InvalidValueException: each is somebody who works here."""
        ids = sorted(members)
        for start in range(0, len(ids), _AT_ONCE):
            some = ids[start : start + _AT_ONCE]
            named = Either([Compare("person_id", Op.EQ, who) for who in some])
            found = await self.staff.find(Query(where=Both([HERE, named]), limit=1))
            if found.total != len(some) or not all(_KNOWN.fullmatch(who) for who in some):
                raise InvalidValueException(detail="members: one of them is nobody here")

    async def _shown(self, request: web.Request, record: ProfileRecord, *, members: bool = True) -> Any:
        held = [who for who, _ in await self.profiles.members(record.profile)] if members else None
        return group_of(record, held, asking.base_of(request))

    async def _answer(
        self, request: web.Request, record: ProfileRecord, *, status: int = 200, asked: Any = None
    ) -> web.Response:
        shown = await self._shown(request, record, members=asked is None or _wants_members(asked))
        return await asyncio.to_thread(asking.one, request, shown, record.version, status=status, asked=asked)


def _wants_members(search: Any) -> bool:
    """Whether an answer, or who is in it, needs to know who holds what."""
    said = " ".join(map(str, (search.filter or "", search.sort_by or ""))).lower()
    if "members" in said:
        return True
    if search.attributes:
        return any("members" in str(path).lower() for path in search.attributes)
    left_out = [str(path).lower().rpartition(":")[2] for path in search.excluded_attributes or ()]
    return "members" not in left_out


def _difference(record: ProfileRecord, before: Any, after: Any) -> ProfileChange | None:
    """What is other; None when nothing is."""
    name, external = _texts(after)
    held, wanted = _ids(before), _ids(after)
    change = ProfileChange(
        name=None if name == record.name else name,
        external_id=external if external != record.external_id else None,
        forget_external_id=external is None and record.external_id is not None,
        add=wanted - held,
        take=held - wanted,
    )
    return None if change == ProfileChange() else change


def _ids(group: Any) -> frozenset[PersonId]:
    members = group.members or ()
    if any(not m.value for m in members):
        raise InvalidValueException(detail="members: each needs a value, the id of a User")
    if any((m.type or "User").lower() != "user" for m in members):
        raise InvalidValueException(detail="members: groups within groups are not kept")
    return frozenset(PersonId(m.value) for m in members)


def _texts(group: Any) -> tuple[str, str | None]:
    name, external = group.display_name or "", group.external_id or None
    for what, text, longest in (
        ("displayName", name, TEXTS["name"]),
        ("externalId", external or "-", TEXTS["external_id"]),
    ):
        if not text or len(text) > longest or not re.search(TEXT, text):
            raise InvalidValueException(
                detail=f"{what}: needs 1 to {longest} characters, none of them control characters"
            )
    return name, external

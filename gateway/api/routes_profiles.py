"""``/api/v1/profiles`` and ``/api/v1/access-points``: who may go where."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from gateway.api.routes_people import READERS, WRITERS, ProfileKey
from gateway.api.routing import EVERY_ROLE, Answer, Call, Route
from gateway.domain.ids import AccessPointId
from gateway.domain.staff import TEXT, NewProfile, ProfileChange, ProfileRecord
from gateway.services.staff import Profiles

Label = Annotated[str, Meta(pattern=TEXT, min_length=1, max_length=200)]
Points = Annotated[list[Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9-]{0,62}$")]], Meta(max_length=1000)]


class ProfileIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new access profile."""

    key: ProfileKey
    name: Label
    access_points: Points = []


class ProfilePatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change; what is not named stays."""

    name: Label | UnsetType = UNSET
    access_points: Points | UnsetType = UNSET


class ProfileOut(msgspec.Struct, frozen=True, kw_only=True):
    """One access profile."""

    key: str
    name: str
    access_points: Sequence[str]
    members: int
    created_at: datetime
    updated_at: datetime
    version: int


class ProfilesOut(msgspec.Struct, frozen=True, kw_only=True):
    """All access profiles."""

    items: Sequence[ProfileOut]


class AccessPointOut(msgspec.Struct, frozen=True, kw_only=True):
    """One direction at a door."""

    id: str
    name: str


class AccessPointsOut(msgspec.Struct, frozen=True, kw_only=True):
    """All access points of all gateways on this database."""

    items: Sequence[AccessPointOut]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileRoutes:
    """Access profiles, and the access points that they name."""

    profiles: Profiles

    def table(self) -> tuple[Route, ...]:
        """The routes."""
        common: dict[str, Any] = {"tag": "access profiles"}
        read: dict[str, Any] = {"roles": READERS, "scope": "people:read", **common}
        write: dict[str, Any] = {"roles": WRITERS, "scope": "people:write", **common}
        one = "/api/v1/profiles/{key}"
        return (
            Route(
                method="GET",
                path="/api/v1/profiles",
                handler=self.list_profiles,
                summary="All access profiles",
                answer=ProfilesOut,
                **read,
            ),
            Route(
                method="POST",
                path="/api/v1/profiles",
                handler=self.create_profile,
                summary="Add an access profile",
                body=ProfileIn,
                answer=ProfileOut,
                status=201,
                creates=True,
                errors=("profile_taken", "no_such_access_point", "bad_text"),
                **write,
            ),
            Route(
                method="GET",
                path=one,
                handler=self.read_profile,
                summary="One access profile",
                description="The ETag is what If-Match of a change needs.",
                answer=ProfileOut,
                errors=("no_such_profile",),
                **read,
            ),
            Route(
                method="PATCH",
                path=one,
                handler=self.change_profile,
                summary="Change an access profile",
                body=ProfilePatch,
                answer=ProfileOut,
                conditional=True,
                errors=("no_such_profile", "no_such_access_point", "bad_text"),
                **write,
            ),
            Route(
                method="DELETE",
                path=one,
                handler=self.remove_profile,
                summary="Remove an access profile",
                errors=("no_such_profile", "profile_needed", "version_differs"),
                **write,
            ),
            Route(
                method="GET",
                path="/api/v1/access-points",
                handler=self.list_access_points,
                summary="All access points",
                answer=AccessPointsOut,
                roles=EVERY_ROLE,
                scope="doors:read",
                **common,
            ),
        )

    async def list_profiles(self, _call: Call) -> ProfilesOut:
        """All of them."""
        return ProfilesOut(items=[_out(p) for p in await self.profiles.all()])

    async def read_profile(self, call: Call) -> Answer:
        """One of them."""
        return _answer(await self.profiles.get(call.path["key"]))

    async def create_profile(self, call: Call) -> Answer:
        """Add one."""
        given: ProfileIn = call.body
        points = frozenset(AccessPointId(p) for p in given.access_points)
        made = await self.profiles.create(
            call.actor, NewProfile(profile=given.key, name=given.name, access_points=points)
        )
        return Answer(
            body=_out(made), version=made.version, headers={"Location": f"/api/v1/profiles/{made.profile}"}
        )

    async def change_profile(self, call: Call) -> Answer:
        """Set what is named."""
        given: ProfilePatch = call.body
        change = ProfileChange(
            name=None if given.name is UNSET else given.name,
            access_points=None
            if given.access_points is UNSET
            else frozenset(AccessPointId(p) for p in given.access_points),
        )
        return _answer(await self.profiles.change(call.actor, call.path["key"], change, call.if_match))

    async def remove_profile(self, call: Call) -> Answer:
        """Remove one."""
        await self.profiles.remove(call.actor, call.path["key"], call.if_match)
        return Answer()

    async def list_access_points(self, _call: Call) -> AccessPointsOut:
        """All of them."""
        found = await self.profiles.access_points()
        return AccessPointsOut(items=[AccessPointOut(id=i, name=n) for i, n in found])


def _out(record: ProfileRecord) -> ProfileOut:
    return ProfileOut(
        key=record.profile,
        name=record.name,
        access_points=sorted(record.access_points),
        members=record.members,
        created_at=record.created_at,
        updated_at=record.updated_at,
        version=record.version,
    )


def _answer(record: ProfileRecord) -> Answer:
    return Answer(body=_out(record), version=record.version)

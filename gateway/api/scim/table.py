"""Every method of every path under ``/scim/v2``: served, and walked by the access matrix."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from scim2_models import NotImplementedException

from gateway.api.scim import asking
from gateway.api.scim.discovery import DiscoveryRoutes
from gateway.api.scim.groups import GroupRoutes
from gateway.api.scim.resources import Group, Person
from gateway.api.scim.users import UserRoutes
from gateway.domain.accounts import Actor, Role
from gateway.services.staff import Profiles, Staff

BASE = "/scim/v2"
WRITERS = frozenset({Role.HR, Role.ADMINISTRATOR})

Handler = Callable[[web.Request, Actor], Awaitable[web.Response]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScimRoute:
    """One method of one path."""

    method: str
    path: str
    handler: Handler
    roles: frozenset[Role] = WRITERS
    scope: str = "scim"


@dataclass(frozen=True, slots=True)
class ScimRoutes:
    """All of SCIM, on the use cases behind it."""

    staff: Staff
    profiles: Profiles

    def table(self) -> tuple[ScimRoute, ...]:
        """The routes. ``.search`` stands before ``{id}``: the first that fits is taken."""
        users = UserRoutes(staff=self.staff, profiles=self.profiles)
        groups = GroupRoutes(staff=self.staff, profiles=self.profiles)
        found = DiscoveryRoutes()
        return (
            *_resources("Users", users),
            *_resources("Groups", groups),
            _route("GET", "/ServiceProviderConfig", found.config),
            _route("GET", "/Schemas", found.schemas),
            _route("GET", "/Schemas/{id}", found.schema),
            _route("GET", "/ResourceTypes", found.resource_types),
            _route("GET", "/ResourceTypes/{id}", found.resource_type),
            _route("POST", "/.search", _Root(users, groups).search),
            *(_route(method, "/Me", _not_offered) for method in ("GET", "POST", "PUT", "PATCH", "DELETE")),
            _route("POST", "/Bulk", _not_offered),
        )


@dataclass(frozen=True, slots=True)
class _Root:
    """Users and Groups together."""

    users: UserRoutes
    groups: GroupRoutes

    async def search(self, request: web.Request, _actor: Actor) -> web.Response:
        """POST /.search: Users first, then Groups; each in the order asked for."""
        search = await asking.search_of(request, Person | Group)
        found, people = await self.users.page(request, search, lenient=True)
        groups = await self.groups.matching(request, search)
        start, count = asking.span_of(search)
        first = max(0, start - people)
        found += groups[first : first + count - len(found)]
        return asking.many(found, people + len(groups), search, Person | Group)


def _resources(name: str, routes: Any) -> tuple[ScimRoute, ...]:
    one = f"/{name}/{{id}}"
    return (
        _route("GET", f"/{name}", routes.find),
        _route("POST", f"/{name}", routes.create),
        _route("POST", f"/{name}/.search", routes.search),
        _route("GET", one, routes.read),
        _route("PUT", one, routes.replace),
        _route("PATCH", one, routes.patch),
        _route("DELETE", one, routes.delete),
    )


def _route(method: str, path: str, handler: Handler) -> ScimRoute:
    return ScimRoute(method=method, path=BASE + path, handler=handler)


async def _not_offered(_request: web.Request, _actor: Actor) -> web.Response:
    raise NotImplementedException(detail="this is not offered here; ServiceProviderConfig says what is")

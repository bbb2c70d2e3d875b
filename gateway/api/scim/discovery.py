"""``/ServiceProviderConfig``, ``/Schemas``, ``/ResourceTypes`` (RFC 7644 section 4): what there is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from scim2_models import (
    AuthenticationScheme,
    Bulk,
    ChangePassword,
    Context,
    ETag,
    Filter,
    ForbiddenException,
    Meta,
    NotFoundException,
    Patch,
    ResourceType,
    Schema,
    ServiceProviderConfig,
    Sort,
)

from gateway.api.scim import asking
from gateway.api.scim.errors import MEDIA_TYPE
from gateway.api.scim.resources import EnterpriseUser, Group, Person
from gateway.domain.accounts import Actor


@dataclass(frozen=True, slots=True)
class DiscoveryRoutes:
    """What a client may find out before it begins."""

    async def config(self, request: web.Request, _actor: Actor) -> web.Response:
        """GET /ServiceProviderConfig."""
        _check_no_filter(request)
        config = ServiceProviderConfig(
            patch=Patch(supported=True),
            bulk=Bulk(supported=False, max_operations=0, max_payload_size=0),
            filter=Filter(supported=True, max_results=asking.MOST),
            change_password=ChangePassword(supported=False),
            sort=Sort(supported=True),
            etag=ETag(supported=True),
            authentication_schemes=[
                AuthenticationScheme(
                    type=AuthenticationScheme.Type.oauthbearertoken,
                    name="OAuth Bearer Token",
                    description="An API key with the scope scim, as a bearer token (RFC 6750)",
                )
            ],
            meta=Meta(
                resource_type="ServiceProviderConfig",
                location=f"{asking.base_of(request)}/ServiceProviderConfig",
            ),
        )
        return _answer(config)

    async def schemas(self, request: web.Request, _actor: Actor) -> web.Response:
        """GET /Schemas."""
        _check_no_filter(request)
        return _all(_schemas(request), Schema)

    async def schema(self, request: web.Request, _actor: Actor) -> web.Response:
        """GET /Schemas/{id}."""
        return _named(request, _schemas(request))

    async def resource_types(self, request: web.Request, _actor: Actor) -> web.Response:
        """GET /ResourceTypes."""
        _check_no_filter(request)
        return _all(_resource_types(request), ResourceType)

    async def resource_type(self, request: web.Request, _actor: Actor) -> web.Response:
        """GET /ResourceTypes/{id}."""
        return _named(request, _resource_types(request))


def _schemas(request: web.Request) -> Sequence[Any]:
    found = [model.to_schema() for model in (Person, EnterpriseUser, Group)]
    for schema in found:
        schema.meta = Meta(resource_type="Schema", location=f"{asking.base_of(request)}/Schemas/{schema.id}")
    return found


def _resource_types(request: web.Request) -> Sequence[Any]:
    found = [ResourceType.from_resource(model) for model in (Person, Group)]
    for kind, what in zip(found, ("A person who works here", "An access profile"), strict=True):
        kind.description = what
        kind.meta = Meta(
            resource_type="ResourceType", location=f"{asking.base_of(request)}/ResourceTypes/{kind.id}"
        )
    return found


def _check_no_filter(request: web.Request) -> None:
    if any(name.lower() == "filter" for name in request.query):
        raise ForbiddenException(detail="what is described here cannot be filtered (RFC 7644 section 4)")


def _all(found: Sequence[Any], kind: Any) -> web.Response:
    return asking.many(found, len(found), None, kind)


def _named(request: web.Request, found: Sequence[Any]) -> web.Response:
    wanted = request.match_info["id"].lower()
    for resource in found:
        if (resource.id or "").lower() == wanted:
            return _answer(resource)
    raise NotFoundException(detail="there is nothing of this name; ask without one for all there are")


def _answer(resource: Any) -> web.Response:
    text = resource.model_dump_json(scim_ctx=Context.RESOURCE_QUERY_RESPONSE)
    return web.Response(text=text, content_type=MEDIA_TYPE)

"""SCIM in the frame of the API: the same callers, roles and limits; errors as SCIM has them."""

from collections.abc import Awaitable, Callable, Sequence

from aiohttp import web
from pydantic import ValidationError
from scim2_models import SCIMException

from gateway.api.frame import Frame
from gateway.api.problems import Refusal
from gateway.api.reading import check_coding
from gateway.api.scim.errors import response_of
from gateway.api.scim.table import BASE, Handler, ScimRoute
from gateway.domain.accounts import Actor
from gateway.domain.errors import GatewayError, InvalidInput

_NOWHERE = "/{tail:.*}"


def mount(application: web.Application, frame: Frame, routes: Sequence[ScimRoute]) -> None:
    """Serve the routes, a refusal of other methods on their paths, and 404 for any other path below."""
    paths: dict[str, list[ScimRoute]] = {}
    for route in routes:
        paths.setdefault(route.path, []).append(route)
    for path, some in paths.items():
        for route in some:
            application.router.add_route(route.method, path, _served(frame, route))
        other = ScimRoute(method="*", path=path, handler=_refusing([r.method for r in some]))
        application.router.add_route("*", path, _served(frame, other))
    nowhere = ScimRoute(method="*", path=BASE + _NOWHERE, handler=_nothing)
    application.router.add_route("*", nowhere.path, _served(frame, nowhere))


def _served(frame: Frame, route: ScimRoute) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handler(request: web.Request) -> web.StreamResponse:
        try:
            actor = await frame.admitted(request, route.roles, route.scope)
            if "\x00" in request.path:
                raise InvalidInput("the path holds a NUL character")
            check_coding(request)
            return await route.handler(request, actor)
        except (GatewayError, SCIMException, ValidationError) as error:
            return response_of(error)

    return handler


def _refusing(methods: Sequence[str]) -> Handler:
    async def handler(request: web.Request, _actor: Actor) -> web.Response:
        allowed = ", ".join(sorted(methods))
        raise Refusal(
            f"{request.method} is not offered here; there is {allowed}",
            code="method_not_allowed",
            headers={"Allow": allowed},
        )

    return handler


async def _nothing(_request: web.Request, _actor: Actor) -> web.Response:
    raise Refusal("there is nothing at this path", code="not_found")

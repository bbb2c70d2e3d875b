"""The frame around every handler: who asks, may they, is it well formed, was it asked before."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from aiohttp import web

from gateway.api import reading
from gateway.api.answering import outermost, respond
from gateway.api.limits import RateLimit
from gateway.api.once import Once
from gateway.api.pace import Pace
from gateway.api.problems import Refusal
from gateway.api.routing import Call, Route, too_large
from gateway.domain.accounts import Actor, Role
from gateway.domain.addresses import neighbourhood
from gateway.domain.errors import InvariantBroken
from gateway.ports.requests import IdempotencyStore

Identify = Callable[[web.Request], Awaitable[Actor]]
"""Who asks. Raises Refusal (code "unauthenticated")."""

NOBODY = Actor(id="nobody", roles=frozenset())


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What all routes share."""

    identify: Identify
    requests: IdempotencyStore
    limit: RateLimit

    def application(self, routes: Sequence[Route]) -> web.Application:
        """An application of these routes. Raises InvariantBroken for two of the same method and path."""
        application = web.Application(middlewares=[outermost])
        seen: set[tuple[str, str]] = set()
        for route in routes:
            if (route.method, route.path) in seen:
                raise InvariantBroken(f"two routes for {route.method} {route.path}")
            seen.add((route.method, route.path))
            application.router.add_route(route.method, route.path, self.serving(route))
        return application

    def serving(self, route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """An aiohttp handler of a route."""

        async def handler(request: web.Request) -> web.StreamResponse:
            return await self._serve(route, request)

        return handler

    async def _serve(self, route: Route, request: web.Request) -> web.StreamResponse:
        actor = await self.admitted(request, route.roles, route.scope)
        _check_path(request)
        reading.check_coding(request)
        if route.upload:
            _check_upload(route, request)
        query = reading.query_of(route, request)
        body = await reading.body_of(route, request)
        call = Call(
            request=request,
            actor=actor,
            path=dict(request.match_info),
            query=query,
            body=body,
            if_match=reading.if_match(route, request.headers),
            most_bytes=route.most_bytes,
            pace=Pace(route.most_s),
        )

        async def answer(asked: Call) -> web.StreamResponse:
            return await respond(request, route, await route.handler(asked))

        key = request.headers.get("Idempotency-Key")
        if route.creates and key is not None:
            return await Once(requests=self.requests).answered(route, call, key, answer)
        return await answer(call)

    async def admitted(self, request: web.Request, roles: frozenset[Role] | None, scope: str) -> Actor:
        """Who asks, if they may. Raises Refusal."""
        if roles is None:
            self._count(neighbourhood(request.remote or ""))
            return Actor(id=NOBODY.id, roles=NOBODY.roles, address=request.remote or "")
        try:
            actor = await self.identify(request)
        except Refusal:
            self._count(neighbourhood(request.remote or ""))
            raise
        self._count(actor.id)
        if not actor.may(roles, scope):
            needed = ", ".join(sorted(roles))
            also = f" and a key with the scope {scope}" if scope and actor.scopes else ""
            raise Refusal(f"this needs one of the roles {needed}{also}", code="forbidden")
        return actor

    def _count(self, caller: str) -> None:
        wait_s = self.limit.wait_s(caller)
        if wait_s:
            seconds = str(int(wait_s) + 1)
            raise Refusal(
                f"too many requests at once; ask again in {seconds} s",
                code="too_many_requests",
                headers={"Retry-After": seconds},
            )


def _check_path(request: web.Request) -> None:
    if "\x00" in request.path:
        raise Refusal("the path holds a NUL character")


def _check_upload(route: Route, request: web.Request) -> None:
    if request.content_type not in route.upload:
        raise Refusal(
            f"Content-Type {request.content_type} is not taken here; send {' or '.join(route.upload)}",
            code="unsupported_media_type",
        )
    if request.content_length is not None and request.content_length > route.most_bytes:
        raise too_large(route.most_bytes)

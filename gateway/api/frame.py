"""The frame around every handler: who asks, may they, is it well formed, was it asked before."""

import hashlib
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from aiohttp import web

from gateway.api import reading
from gateway.api.answering import outermost, respond
from gateway.api.limits import RateLimit
from gateway.api.pace import Pace
from gateway.api.problems import Fault, Refusal
from gateway.api.routing import Call, Route, too_large
from gateway.domain.accounts import Actor, Role
from gateway.domain.errors import InvariantBroken
from gateway.domain.ids import PersonId
from gateway.ports.requests import IdempotencyStore, StoredAnswer

Identify = Callable[[web.Request], Awaitable[Actor]]
"""Who asks. Raises Refusal (code "unauthenticated")."""

_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_PERSON = re.compile(r"/people/([0-9a-f-]{36})")
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
        key = request.headers.get("Idempotency-Key")
        if route.creates and key is not None:
            return await self._once(route, call, key)
        return await respond(request, route, await route.handler(call))

    async def admitted(self, request: web.Request, roles: frozenset[Role] | None, scope: str) -> Actor:
        """Who asks, if they may. Raises Refusal."""
        if roles is None:
            self._count(request.remote or "")
            return Actor(id=NOBODY.id, roles=NOBODY.roles, address=request.remote or "")
        try:
            actor = await self.identify(request)
        except Refusal:
            self._count(request.remote or "")
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

    async def _once(self, route: Route, call: Call, key: str) -> web.StreamResponse:
        """The first answer to this key, whoever of several tries gives it."""
        if not _KEY.fullmatch(key):
            raise Refusal(
                "Idempotency-Key: 1 to 255 printable characters without spaces",
                faults=[Fault(pointer="header/Idempotency-Key", detail="not taken")],
            )
        known = await self.requests.claim(call.actor.id, key, _digest(route, call))
        if known is not None:
            return web.Response(
                status=known.status,
                body=known.body,
                headers={**known.headers, "Idempotency-Replayed": "true"},
            )
        stored: StoredAnswer | None = None
        try:
            response = await respond(call.request, route, await route.handler(call))
            if isinstance(response, web.Response) and isinstance(response.body, bytes):
                headers = {
                    n: v for n, v in response.headers.items() if n in {"Content-Type", "ETag", "Location"}
                }
                stored = StoredAnswer(
                    status=response.status,
                    headers=headers,
                    body=response.body,
                    about=_about(call, headers.get("Location", "")),
                )
            return response
        finally:
            await self.requests.settle(call.actor.id, key, stored)


def _about(call: Call, location: str) -> PersonId | None:
    """The person an answer speaks of, by where it is."""
    found = call.path.get("person_id") or (match.group(1) if (match := _PERSON.search(location)) else None)
    return None if found is None else PersonId(found)


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


def _digest(route: Route, call: Call) -> bytes:
    """What makes a request the same one. An upload's content is not part of it: it is read as it comes."""
    text: list[Any] = [route.method, call.request.path_qs]
    body = b"" if call.body is None else msgspec.json.encode(call.body, order="deterministic")
    return hashlib.sha256(msgspec.json.encode(text) + b"\n" + body).digest()

"""Idempotency-Key: the first answer to it, whoever of several tries gives it."""

import asyncio
import contextlib
import hashlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import structlog
from aiohttp import web

from gateway.api.problems import Fault, Refusal
from gateway.api.routing import Call, Route
from gateway.domain.errors import GatewayError, Rejected
from gateway.domain.ids import PersonId
from gateway.ports.requests import IdempotencyStore, StoredAnswer

_log = structlog.get_logger(__name__)

HOLD_S = 30.0
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_PERSON = re.compile(r"/people/([0-9a-f-]{36})")
_KEPT = frozenset({"Content-Type", "ETag", "Location"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Once:
    """Carries a request out once for each key of each caller."""

    requests: IdempotencyStore

    async def answered(
        self, route: Route, call: Call, key: str, answer: Callable[[Call], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """What ``answer`` gives, or what it gave. Raises Refusal, Rejected, DatabaseUnavailable."""
        if not _KEY.fullmatch(key):
            raise Refusal(
                "Idempotency-Key: 1 to 255 printable characters without spaces",
                faults=[Fault(pointer="header/Idempotency-Key", detail="not taken")],
            )
        read = replace(call, content=hashlib.sha256())
        known = await self.requests.claim(call.actor.id, key, _digest(route, call))
        if known is not None:
            await self._check_content(route, read, known)
            headers = {**known.headers, "Idempotency-Replayed": "true"}
            return web.Response(status=known.status, body=known.body, headers=headers)
        try:
            async with self._held(call.actor.id, key):
                response = await answer(read)
        except Exception:
            await self.requests.settle(call.actor.id, key, None)
            raise  # a gateway that stops leaves the key taken: what was begun may have been done
        try:
            await self.requests.settle(call.actor.id, key, _stored(read, response))
        except GatewayError as error:  # it is done, and the caller is told so all the same
            _log.warning("answer_not_kept", code=error.code)
        return response

    @contextlib.asynccontextmanager
    async def _held(self, actor: str, key: str) -> AsyncIterator[None]:
        """A key whose request takes long, such as an upload, is not taken for one of a dead gateway."""

        async def hold() -> None:
            while True:
                await asyncio.sleep(HOLD_S)
                with contextlib.suppress(GatewayError):
                    await self.requests.hold(actor, key)

        task = asyncio.create_task(hold())
        try:
            yield
        finally:
            task.cancel()

    async def _check_content(self, route: Route, call: Call, known: StoredAnswer) -> None:
        """Raises Rejected for an upload of something else."""
        if route.upload and known.content:
            await call.read_through()
            if call.content.digest() != known.content:
                raise Rejected(
                    "this Idempotency-Key was used for another upload; use a new one",
                    code="idempotency_key_reused",
                )


def _stored(call: Call, response: web.StreamResponse) -> StoredAnswer | None:
    if not isinstance(response, web.Response) or not isinstance(response.body, bytes):
        return None
    return StoredAnswer(
        status=response.status,
        headers={n: v for n, v in response.headers.items() if n in _KEPT},
        body=response.body,
        about=_about(call, response.headers.get("Location", "")),
        content=call.content.digest(),
    )


def _about(call: Call, location: str) -> PersonId | None:
    """The person an answer speaks of, by where it is."""
    found = call.path.get("person_id") or (match.group(1) if (match := _PERSON.search(location)) else None)
    return None if found is None else PersonId(found)


def _digest(route: Route, call: Call) -> bytes:
    """What makes a request the same one. What an upload holds comes later."""
    text: list[Any] = [route.method, call.request.path_qs]
    body = b"" if call.body is None else msgspec.json.encode(call.body, order="deterministic")
    return hashlib.sha256(msgspec.json.encode(text) + b"\n" + body).digest()

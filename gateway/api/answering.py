"""Answers: what handlers say, errors as problems, one line of log a request."""

import asyncio
import re
import time
import traceback
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from pathlib import Path

import msgspec
import structlog
from aiohttp import web
from multidict import CIMultiDict

from gateway.api import problems, reading
from gateway.api.problems import Refusal
from gateway.api.routing import Answer, Route
from gateway.domain.errors import GatewayError, InvariantBroken, Unavailable
from gateway.domain.ids import uuid7

_log = structlog.get_logger(__name__)

REQUEST_ID: web.RequestKey[str] = web.RequestKey("request_id", str)
TAKE_S = 60.0
"""So long a caller may take over a part of a streamed answer."""
_GIVEN_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
_HARDENED = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


@web.middleware
async def outermost(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Give the request an id, turn every error into a problem, and say in one line what was asked."""
    given = request.headers.get("X-Request-Id", "")
    request[REQUEST_ID] = given if _GIVEN_ID.fullmatch(given) else uuid7(int(time.time() * 1000))
    began = time.perf_counter()
    response = await _guarded(request, handler)
    if not response.prepared:
        _harden(response, request[REQUEST_ID])
    resource = request.match_info.route.resource
    _log.info(
        "request",
        method=request.method,
        path=resource.canonical if resource is not None else "unknown",
        status=response.status,
        ms=round((time.perf_counter() - began) * 1e3, 1),
        request_id=request[REQUEST_ID],
    )
    return response


def expected(
    handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
) -> Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]:
    """What aiohttp refuses before any middleware (an ``Expect`` nobody meets), as a problem."""

    async def asked(request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPException as error:
            return unreadable(error.status)

    return asked


def unreadable(status: int) -> web.Response:
    """The answer to what is no request, or failed outside every handler."""
    known = uuid7(int(time.time() * 1000))
    error: GatewayError = InvariantBroken("", code="internal")
    if status == 417:
        error = Refusal("Expect: there is 100-continue, and nothing else", code="expectation_failed")
    elif status < 500:
        error = Refusal("this is no HTTP request that can be read here: its line, a header or its length")
    response = _as_problem(error, known)
    _harden(response, known)
    return response


def _harden(response: web.StreamResponse, request_id: str) -> None:
    response.headers["X-Request-Id"] = request_id
    response.headers["Server"] = "facegate"
    for name, value in _HARDENED.items():
        response.headers.setdefault(name, value)


async def _guarded(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except GatewayError as error:
        return _problem(request, error)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return _problem(request, _in_our_words(request, error))
    except Exception as error:  # noqa: BLE001  # a bug of ours: told, logged, and the service goes on
        _log.error("request_failed", request_id=request[REQUEST_ID], **place_of(error))
        return _problem(request, InvariantBroken(type(error).__name__, code="internal"))


def place_of(error: BaseException) -> dict[str, str]:
    """Where a bug is, without the error's own words: they may quote what was being worked on."""
    frames = traceback.extract_tb(error.__traceback__)[-8:]
    return {
        "error": type(error).__name__,
        "where": " < ".join(f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in reversed(frames)),
    }


def _in_our_words(request: web.Request, error: web.HTTPException) -> Refusal:
    """What aiohttp itself refused."""
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        return Refusal(
            f"{request.method} is not offered here; there is {allowed}",
            code="method_not_allowed",
            headers={"Allow": allowed},
        )
    if isinstance(error, web.HTTPNotFound):
        return Refusal("there is nothing at this path", code="not_found")
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return Refusal("the body is too large", code="too_large")
    return Refusal(error.reason)


def _problem(request: web.Request, error: GatewayError) -> web.Response:
    if problems.status_of(error) == 500 and error.code != "internal":
        _log.error("request_failed", code=error.code, why=str(error), request_id=request[REQUEST_ID])
    return _as_problem(error, request[REQUEST_ID])


def _as_problem(error: GatewayError, request_id: str) -> web.Response:
    body = problems.problem_of(error, request_id)
    headers: dict[str, str] = {}
    if isinstance(error, Unavailable):
        headers["Retry-After"] = str(problems.RETRY_AFTER_S)
    if body.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="facegate"'
    if isinstance(error, Refusal) and error.headers:
        headers.update(error.headers)
    return web.Response(
        status=body.status,
        body=msgspec.json.encode(body),
        headers=headers,
        content_type=problems.MEDIA_TYPE,
    )


async def respond(request: web.Request, route: Route, said: msgspec.Struct | Answer) -> web.StreamResponse:
    """What a handler said, as HTTP."""
    answer = said if isinstance(said, Answer) else Answer(body=said)
    headers = CIMultiDict(answer.headers)
    if answer.version is not None:
        headers["ETag"] = reading.etag(answer.version)
        if request.method == "GET" and reading.unchanged(request.headers, answer.version):
            return web.Response(status=304, headers=headers)
    status = answer.status or route.status
    if answer.body is None:
        return web.Response(status=204 if status == 200 else status, headers=headers)
    if isinstance(answer.body, msgspec.Struct):
        body = msgspec.json.encode(answer.body)
        return web.Response(status=status, body=body, headers=headers, content_type="application/json")
    if isinstance(answer.body, bytes):
        return web.Response(status=status, body=answer.body, headers=headers, content_type=answer.media_type)
    return await _streamed(request, answer.body, headers, answer.media_type)


async def _streamed(
    request: web.Request, parts: AsyncIterator[bytes], headers: "CIMultiDict[str]", media_type: str
) -> web.StreamResponse:
    response = web.StreamResponse(headers={**headers, **_HARDENED, "X-Request-Id": request[REQUEST_ID]})
    response.content_type = media_type
    whole = False
    try:
        async for part in parts:
            if not response.prepared:  # nothing is promised before the first part is there
                await response.prepare(request)
            async with asyncio.timeout(TAKE_S):
                await response.write(part)
        if not response.prepared:
            await response.prepare(request)
        await response.write_eof()
        whole = True
    except TimeoutError:
        raise Refusal("the answer was not taken in time", code="too_slow") from None
    except ConnectionError:
        raise Refusal("the caller went away") from None
    finally:
        if isinstance(parts, AsyncGenerator):
            await parts.aclose()
        if not whole and response.prepared and request.transport is not None:
            request.transport.abort()  # nobody takes a part of it for the whole
    return response

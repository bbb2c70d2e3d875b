"""What a request says: its body, its query, the versions it is about; and how answers are written."""

from collections.abc import Sequence
from typing import Any

import msgspec
from aiohttp import web
from scim2_models import (
    Context,
    InvalidSyntaxException,
    ListResponse,
    PreconditionFailedException,
    SearchRequest,
)

from gateway.api.problems import Refusal
from gateway.api.reading import read_capped, unchanged
from gateway.api.scim.errors import MEDIA_TYPE
from gateway.api.scim.filters import checked
from gateway.api.scim.names import etag
from gateway.api.scim.patching import TOLERANT

MOST = 200
"""Resources in one answer, as ServiceProviderConfig says."""
USUAL = 100
_MOST_BYTES = 4_000_000
_FURTHEST = 2**31
_JSON = {MEDIA_TYPE, "application/json"}
_ASKED = {
    name.lower(): name
    for name in ("filter", "sortBy", "sortOrder", "startIndex", "count", "attributes", "excludedAttributes")
}


def base_of(request: web.Request) -> str:
    """The address of ``/scim/v2`` as the caller reached it."""
    return f"{request.scheme}://{request.host}/scim/v2"


async def json_of(request: web.Request) -> Any:
    """The body. Raises Refusal, InvalidSyntaxException."""
    if request.content_type not in _JSON:
        raise Refusal(
            f"Content-Type {request.content_type} is not taken here; send {MEDIA_TYPE}",
            code="unsupported_media_type",
        )
    try:
        return msgspec.json.decode(await read_capped(request, _MOST_BYTES))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise InvalidSyntaxException(detail="the body is not JSON") from None


async def resource_of(request: web.Request, kind: Any) -> Any:
    """The body as a resource, whole. Raises as ``json_of``; ValidationError.

    What the service sets by itself (id, meta, groups) is not read from it.
    """
    body = await json_of(request)
    if not isinstance(body, dict):
        raise InvalidSyntaxException(detail="the body is an object")
    return kind.model_validate(body, scim_policy=TOLERANT)


def query_of(request: web.Request, kind: Any) -> Any:
    """The query as a search for ``kind``. Raises SCIMException, ValidationError."""
    given: dict[str, Any] = {}
    for name, value in request.query.items():
        if (known := _ASKED.get(name.lower())) is not None:
            given[known] = value
    return _search(given, kind)


async def search_of(request: web.Request, kind: Any) -> Any:
    """The body of a POST to ``.search``. Raises as ``resource_of``."""
    body = await json_of(request)
    if not isinstance(body, dict):
        raise InvalidSyntaxException(detail="the body is an object")
    return _search({_ASKED[k.lower()]: v for k, v in body.items() if k.lower() in _ASKED}, kind)


def _search(given: dict[str, Any], kind: Any) -> Any:
    if given.get("filter") == "":
        del given["filter"]
    if isinstance(given.get("filter"), str):
        given["filter"] = checked(given["filter"])
    if isinstance(given.get("sortOrder"), str):
        given["sortOrder"] = given["sortOrder"].lower()
    return SearchRequest[kind].model_validate(given, scim_ctx=Context.SEARCH_REQUEST)


def span_of(search: Any) -> tuple[int, int]:
    """How many to leave out and how many to give."""
    count = USUAL if search.count is None else min(search.count, MOST)
    return min((search.start_index or 1) - 1, _FURTHEST), count


def check_match(request: web.Request, version: int) -> int | None:
    """The version that a change needs to find; None: whichever. Raises PreconditionFailedException."""
    given = request.headers.get("If-Match")
    if given is None or given.strip() == "*":
        return None
    if not unchanged({"If-None-Match": given}, version):
        raise PreconditionFailedException(
            detail="it was changed since it was read; read it again and repeat the change"
        )
    return version


def one(
    request: web.Request, resource: Any, version: int, *, status: int = 200, asked: Any = None
) -> web.Response:
    """A resource as an answer, or 304 for who has it."""
    headers = {"ETag": etag(version)}
    if resource.meta is not None and resource.meta.location:
        headers["Location" if status == 201 else "Content-Location"] = resource.meta.location
    if request.method == "GET" and unchanged(request.headers, version):
        return web.Response(status=304, headers=headers)
    text = resource.model_dump_json(scim_ctx=Context.RESOURCE_QUERY_RESPONSE, response_parameters=asked)
    return web.Response(status=status, text=text, headers=headers, content_type=MEDIA_TYPE)


def many(found: Sequence[Any], total: int, search: Any, kind: Any) -> web.Response:
    """A page of resources as an answer."""
    start, _ = span_of(search) if search is not None else (0, 0)
    page = ListResponse[kind](
        total_results=total, start_index=start + 1, items_per_page=len(found), resources=list(found)
    )
    shown = page.model_dump(scim_ctx=Context.SEARCH_RESPONSE)
    shown["Resources"] = [
        r.model_dump(scim_ctx=Context.SEARCH_RESPONSE, response_parameters=search) for r in found
    ]
    return web.Response(body=msgspec.json.encode(shown), content_type=MEDIA_TYPE)

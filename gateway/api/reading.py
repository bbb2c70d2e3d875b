"""From what was sent to what a handler gets: query, body and conditions, each refused with its place."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from aiohttp import web

from gateway.api.pace import Pace
from gateway.api.problems import Fault, Refusal
from gateway.api.routing import Route, too_large

_JSON = {"application/json", "application/merge-patch+json"}
_TAG = re.compile(r'"v(\d{1,18})"')
_AT = re.compile(r"^(?P<what>.*?)(?: - at `\$?(?P<where>.*)`)?$", re.DOTALL)


def query_of(route: Route, request: web.Request) -> Any:
    """The query as the route's type. Raises Refusal."""
    given: dict[str, str | list[str]] = {}
    if route.query is None:
        for name in request.query:
            raise Refusal(
                f"the query parameter {name[:40]!r} is not known here", faults=_fault("query", name)
            )
        return None
    lists = {f.encode_name for f in msgspec.structs.fields(route.query) if _is_list(f.type)}
    for name in set(request.query):
        values = request.query.getall(name)
        if name in lists:
            given[name] = list(values)
        elif len(values) > 1:
            raise Refusal(f"{name} is given {len(values)} times; give it once", faults=_fault("query", name))
        else:
            given[name] = values[0]
    try:
        asked = msgspec.convert(given, route.query, strict=False)
    except msgspec.ValidationError as error:
        what, where = _said(error)
        raise Refusal(f"query: {what}", faults=[Fault(pointer=f"query{where}", detail=what)]) from None
    for name, text in given.items():
        value = getattr(asked, name, "")
        if value is None:  # "null" is no value: what is not asked is left out
            raise Refusal(f"{name} is given without a value; leave it out", faults=_fault("query", name))
        if isinstance(value, datetime) and "T" not in str(text).upper():  # a number is no time here
            raise Refusal(f"{name} is not a time of RFC 3339", faults=_fault("query", name))
    return asked


async def body_of(route: Route, request: web.Request) -> Any:
    """The JSON body as the route's type. Raises Refusal."""
    if route.body is None:
        return None
    if request.content_type not in _JSON:
        raise Refusal(
            f"Content-Type {request.content_type} is not taken here; send application/json",
            code="unsupported_media_type",
        )
    raw = await read_capped(request, route.most_bytes)
    try:
        return msgspec.json.decode(raw, type=route.body)
    except msgspec.ValidationError as error:
        what, where = _said(error)
        raise Refusal(f"body{where}: {what}", faults=[Fault(pointer=where or "/", detail=what)]) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refusal(f"the body is not JSON: {error}") from None


def check_coding(request: web.Request) -> None:
    """Raises Refusal for a packed body: what it unpacks to is known only when it is too late."""
    if request.headers.get("Content-Encoding", "identity").strip().lower() not in {"identity", ""}:
        raise Refusal(
            "Content-Encoding is not taken here; send the body as it is",
            code="unsupported_media_type",
            headers={"Accept-Encoding": "identity"},
        )


async def read_capped(request: web.Request, most_bytes: int) -> bytes:
    """The body, if it is no larger. Raises Refusal (code "too_large", "too_slow")."""
    if request.content_length is not None and request.content_length > most_bytes:
        raise too_large(most_bytes)
    data, pace = bytearray(), Pace()
    while part := await pace.of(request.content.readany()):
        data += part
        if len(data) > most_bytes:
            raise too_large(most_bytes)
    return bytes(data)


def etag(version: int) -> str:
    """The entity tag of a version."""
    return f'"v{version}"'


def if_match(route: Route, headers: Mapping[str, str]) -> int | None:
    """The version in If-Match; None for ``*`` or none given.

    Raises Refusal (code "condition_needed", or "bad_request" for a tag that is not ours).
    """
    given = headers.get("If-Match")
    if given is None:
        if route.conditional:
            raise Refusal(
                "If-Match is needed: the ETag of what you read, so that nobody's change is lost; "
                "or * to change it whatever it is",
                code="condition_needed",
            )
        return None
    if given.strip() == "*":
        return None
    match = _TAG.fullmatch(given.strip())
    if match is None:
        raise Refusal(
            'If-Match holds no ETag of ours, as "v12"; read it again',
            faults=[Fault(pointer="header/If-Match", detail="not taken")],
        )
    return int(match[1])


def unchanged(headers: Mapping[str, str], version: int) -> bool:
    """If-None-Match names this version: the caller has it."""
    given = headers.get("If-None-Match", "")
    return given.strip() == "*" or etag(version) in {t.strip().removeprefix("W/") for t in given.split(",")}


def _said(error: msgspec.ValidationError) -> tuple[str, str]:
    """What msgspec says, and where as a JSON pointer."""
    match = _AT.match(str(error))
    if match is None:
        return str(error), ""
    known = (match["where"] or "").replace("[...]", "")  # some key of a map
    return match["what"], re.sub(r"\[(\d+)\]", r"/\1", known.replace(".", "/"))


def _fault(place: str, name: str) -> list[Fault]:
    return [Fault(pointer=f"{place}/{name[:40]}", detail="not taken")]


def _is_list(kind: Any) -> bool:
    return getattr(kind, "__origin__", None) in {list, tuple}

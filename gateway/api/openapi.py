"""The OpenAPI 3.1 document, made from the routes: what is served is what is written down, roles included."""

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from gateway import __version__
from gateway.api.problems import Problem
from gateway.api.routing import Route
from gateway.api.statuses import TITLES, status_of_code

_GENERAL = ("bad_request", "unauthenticated", "forbidden", "too_many_requests", "unavailable", "internal")
_PUBLIC = ("bad_request", "too_many_requests", "unavailable", "internal")
_HEADERS = {"Idempotency-Key": "^[!-~]{1,255}$", "If-Match": r'^(\*|"v[0-9]{1,18}")$'}
_REF = "#/components/schemas/{name}"
_PARAMETER = re.compile(r"\{(\w+)\}")
_ETAG = {"description": "The version, for If-Match and If-None-Match.", "schema": {"type": "string"}}


_ABOUT = """Errors are RFC 9457 problem details with a stable `code`. Lists are paged by `cursor`.
Changes need `If-Match`. Requests that create something take an `Idempotency-Key`. Each operation says in
`x-roles` who may call it, and in `x-scope` what an API key needs."""


def document(routes: Sequence[Route], *, title: str = "Facegate") -> dict[str, Any]:
    """The whole document, ready for YAML or JSON."""
    types = dict.fromkeys(t for r in routes for t in (r.query, r.body, r.answer) if t is not None)
    _, components = msgspec.json.schema_components([*types, Problem], ref_template=_REF)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, components)
    for query in {r.query.__name__ for r in routes if r.query is not None}:
        components.pop(query, None)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": title,
            "version": __version__,
            "summary": "People, doors and the record of a Facegate gateway.",
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": tag} for tag in dict.fromkeys(r.tag for r in routes)],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "An API key."},
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": "__Host-facegate",
                    "description": "A session; changes also need the X-CSRF-Token header.",
                },
            },
        },
    }


def _operation(route: Route, components: dict[str, Any]) -> dict[str, Any]:
    said: dict[str, Any] = {
        "operationId": _operation_id(route),
        "summary": route.summary,
        "tags": [route.tag],
        "parameters": _parameters(route, components),
        "responses": _responses(route),
    }
    if route.description:
        said["description"] = route.description
    if route.roles is None:
        said["security"] = []
    else:
        said["security"] = [{"key": []}, {"session": []}]
        said["x-roles"] = sorted(route.roles)
    if route.scope:
        said["x-scope"] = route.scope
    body = _body(route)
    if body is not None:
        said["requestBody"] = body
    return said


def _operation_id(route: Route) -> str:
    name = getattr(route.handler, "__name__", "")
    return f"{route.tag.replace(' ', '_')}.{name}" if name else f"{route.method} {route.path}"


def _parameters(route: Route, components: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PARAMETER.findall(route.path)
    ]
    if route.query is not None:
        body = components[route.query.__name__]
        for name, full in body["properties"].items():
            one = {k: v for k, v in full.items() if k != "default" or v is not None}
            found.append(
                {
                    "name": name,
                    "in": "query",
                    "required": name in body.get("required", ()),
                    "schema": _without_null(one),
                    **({"description": one["description"]} if "description" in one else {}),
                }
            )
    if route.conditional:
        found.append(_header("If-Match", "The ETag of what was read, or *.", required=True))
    if route.creates:
        found.append(
            _header(
                "Idempotency-Key",
                "The same key again gets the first answer again, for a day.",
                required=False,
            )
        )
    return found


def _header(name: str, description: str, *, required: bool) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    schema["pattern"] = _HEADERS[name]
    return {"name": name, "in": "header", "required": required, "description": description, "schema": schema}


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A query parameter is left out, never null."""
    options = [o for o in schema.get("anyOf", ()) if o.get("type") != "null"]
    if len(options) == 1:
        return {**{k: v for k, v in schema.items() if k != "anyOf"}, **options[0]}
    return schema


def _body(route: Route) -> dict[str, Any] | None:
    if route.body is not None:
        media = {"schema": {"$ref": _REF.format(name=route.body.__name__)}}
        kinds = {"application/json": media}
        if route.method == "PATCH":
            kinds["application/merge-patch+json"] = media
        return {"required": True, "content": kinds}
    if not route.upload:
        return None
    uploads: dict[str, Any] = {}
    for kind in route.upload:
        if kind == "multipart/form-data":
            parts = {
                name: {"type": "string", "contentMediaType": "application/octet-stream", "description": what}
                for name, what in route.form.items()
            }
            uploads[kind] = {
                "schema": {
                    "type": "object",
                    "properties": parts,
                    "required": [*parts][:1],
                    "additionalProperties": False,
                }
            }
        else:
            uploads[kind] = {"schema": {"type": "string", "contentMediaType": kind}}
    return {"required": True, "content": uploads}


def _responses(route: Route) -> dict[str, Any]:
    good: dict[str, Any] = {"description": route.summary}
    status = route.status
    if route.answer is not None:
        good["content"] = {"application/json": {"schema": {"$ref": _REF.format(name=route.answer.__name__)}}}
        good["headers"] = {"ETag": _ETAG} if route.conditional or "ETag" in route.description else {}
    elif route.produces != "application/json":
        kind = "object" if route.produces.endswith("json") else "string"
        good["content"] = {route.produces: {"schema": {"type": kind}}}
    elif status == 200:
        status = 204
    found = {str(status): {k: v for k, v in good.items() if v}}
    codes: dict[int, list[str]] = {}
    for code in _codes(route):
        codes.setdefault(status_of_code(code) or 400, []).append(code)
    for number in sorted(codes):
        found[str(number)] = {
            "description": f"{TITLES.get(number, 'Error')}: {', '.join(sorted(set(codes[number])))}.",
            "content": {"application/problem+json": {"schema": {"$ref": _REF.format(name="Problem")}}},
        }
    return found


def _codes(route: Route) -> list[str]:
    codes = [*(_PUBLIC if route.roles is None else _GENERAL), *route.errors]
    if route.conditional:
        codes += ["condition_needed", "version_differs"]
    if route.body is not None or route.upload:
        codes += ["too_slow", "too_large", "unsupported_media_type"]
    if route.creates:
        codes += ["idempotency_key_reused", "request_under_way"]
    return codes

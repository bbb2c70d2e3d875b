"""The OpenAPI document of this very gateway, and a page to read it on."""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from gateway.api.openapi import document
from gateway.api.routing import Answer, Call, Route

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
h2 { margin-top: 2.5rem; border-bottom: 1px solid #ccc } summary { cursor: pointer; padding: .3rem 0 }
code { font: 14px ui-monospace, monospace } .m { display: inline-block; width: 4.5rem; font-weight: 600 }
pre { background: #f4f4f4; padding: .8rem; overflow: auto } dt { font-weight: 600 }
"""


@dataclass(frozen=True, slots=True)
class ReferenceRoutes:
    """Public: it says what there is, and nothing of who or what is here."""

    others: Sequence[Route]

    def table(self) -> tuple[Route, ...]:
        """The routes."""
        return (
            Route(
                method="GET",
                path="/api/v1/openapi.json",
                handler=self.read_document,
                summary="This document",
                tag="reference",
                roles=None,
                produces="application/vnd.oai.openapi+json",
            ),
            Route(
                method="GET",
                path="/api/v1/reference",
                handler=self.read_page,
                summary="This document as a page",
                tag="reference",
                roles=None,
                produces="text/html",
            ),
        )

    async def read_document(self, _call: Call) -> Answer:
        """As JSON."""
        return Answer(
            body=msgspec.json.encode(self._document()), media_type="application/vnd.oai.openapi+json"
        )

    async def read_page(self, _call: Call) -> Answer:
        """As HTML without any script."""
        page = _page(self._document()).encode()
        policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
        return Answer(body=page, media_type="text/html", headers={"Content-Security-Policy": policy})

    def _document(self) -> dict[str, Any]:
        return document([*self.others, *self.table()])


def _page(doc: dict[str, Any]) -> str:
    about = doc["info"]
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8>",
        f"<title>{_t(about['title'])} API</title><style>{_STYLE}</style>",
        f"<h1>{_t(about['title'])} {_t(about['version'])}</h1><p>{_t(about['description'])}</p>",
    ]
    for tag in doc["tags"]:
        parts.append(f"<h2>{_t(tag['name'])}</h2>")
        for path, methods in doc["paths"].items():
            parts += [
                _operation(path, method, said)
                for method, said in methods.items()
                if tag["name"] in said["tags"]
            ]
    schemas = msgspec.json.format(msgspec.json.encode(doc["components"]["schemas"]), indent=2).decode()
    parts.append(f"<h2>Schemas</h2><pre>{_t(schemas)}</pre>")
    return "\n".join(parts)


def _operation(path: str, method: str, said: dict[str, Any]) -> str:
    roles = ", ".join(said.get("x-roles", ["everybody"]))
    rows = [
        f"<dt>Who</dt><dd>{_t(roles)}{_t('; scope ' + said['x-scope'] if 'x-scope' in said else '')}</dd>"
    ]
    for one in said["parameters"]:
        needed = "needed" if one["required"] else "optional"
        rows.append(f"<dt><code>{_t(one['name'])}</code></dt><dd>{_t(one['in'])}, {needed}</dd>")
    for status, answer in said["responses"].items():
        rows.append(f"<dt>{_t(status)}</dt><dd>{_t(answer['description'])}</dd>")
    return (
        f"<details><summary><span class=m>{_t(method.upper())}</span> <code>{_t(path)}</code> "
        f"{_t(said['summary'])}</summary><dl>{''.join(rows)}</dl></details>"
    )


def _t(text: str) -> str:
    return html.escape(text)

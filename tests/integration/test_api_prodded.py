"""Paths, methods, cursors and filters as nobody should send them."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from urllib.parse import quote

import pytest

from gateway.storage.pool import Database
from tests.fakes.raw_http import Said, request, send
from tests.fakes.served_office import JSON, Served, served_office

SECURE = {
    *("x-content-type-options", "cache-control", "content-security-policy", "referrer-policy"),
    *("x-request-id", "server"),
}


@pytest.fixture
async def served(database: Database) -> AsyncIterator[Served]:
    async with served_office(database) as made:
        yield made


def hardened(said: Said) -> None:
    assert said.headers.keys() >= SECURE, said
    assert "python" not in said.headers["server"].lower()


PATHS = [
    "/api/v1/people/",
    "//api/v1/people",
    "/api//v1/people",
    "/api/v1/people//",
    "/api/v1/../v1/people",
    "/api/v1/people/..%2faccounts",
    "/api/v1/people%2f..%2faccounts",
    "/api/v1/./people",
    "/API/v1/people",
    "/api/v1/people;x=1",
    "/api/v1/people%3fq=1",
    "/api/v1/people%00",
    "/api/v1/people/%2e%2e/accounts",
    "/scim/v2/Users/%2e%2e/Groups",
    "/api/v1/people/" + "a" * 7000,
    "/api/v1/" + "a/" * 3000,
]
METHODS = ["GET", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "FOO", "PUT", "get"]


@pytest.mark.parametrize("path", PATHS, ids=range(len(PATHS)))
async def test_strange_paths_lead_nowhere(served: Served, path: str):
    for method in METHODS:
        for headers in ((served.key,), ()):
            raw = request(method, path, *headers)
            said = await send(served.port, raw) if method != "HEAD" else await headed(served, raw)
            assert said.status in {400, 401, 404, 405, 200}, (method, path, said)
            assert said.status != 200 or path in {"/api/v1/./people", "/api/v1/../v1/people"}, (method, path)
            hardened(said)


async def headed(served: Served, raw: bytes) -> Said:
    """An answer without its body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(raw)
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)).decode("latin-1").split("\r\n")
    headers = {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in head[1:] if line)}
    writer.write_eof()
    rest = await asyncio.wait_for(reader.read(), 10)
    assert rest == b"", "a HEAD has no body"
    writer.close()
    return Said(int(head[0].split()[1]), headers, b"")


async def test_every_route_refuses_other_methods_by_name(served: Served):
    paths = {r.path for r in served.office.routes}
    for path, method in itertools.product(paths, ("TRACE", "OPTIONS", "PROPFIND", "HEAD")):
        target = path.replace("{", "").replace("}", "")
        raw = request(method, target, served.key)
        said = await (headed(served, raw) if method == "HEAD" else send(served.port, raw))
        assert said.status == 405, (method, path, said)
        assert said.headers["allow"]
        hardened(said)


async def test_no_override_of_a_method_is_followed(served: Served):
    for header in (b"X-HTTP-Method-Override: DELETE", b"X-Method-Override: PATCH", b"X-HTTP-Method: PUT"):
        said = await served.ask("GET", "/api/v1/people", header)
        assert said.status == 200
    assert (await served.ask("GET", "/api/v1/people?_method=DELETE")).status == 400


async def people(served: Served, count: int) -> None:
    for i in range(count):
        body = b'{"number":"%d","name":"P%d","department":"D%d"}' % (i, i, i % 2)
        assert (await served.ask("POST", "/api/v1/people", JSON, body=body)).status == 201


async def test_cursors_cut_forged_or_of_another_order_are_refused(served: Served):
    await people(served, 5)
    base = "/api/v1/people?limit=2&"
    cursor = (await served.ask("GET", base + "sort=name")).json()["next_cursor"]
    by_number = (await served.ask("GET", base + "sort=number")).json()["next_cursor"]
    flipped = cursor[:10] + ("A" if cursor[10] != "A" else "B") + cursor[11:]
    bad = [cursor[:n] for n in (0, 1, 5, len(cursor) // 2, len(cursor) - 1)]
    bad += [flipped, cursor + "A", cursor + "=", by_number, "A" * 1999, "A" * 5000, "%00", "'", "💥", "null"]
    for one in bad:
        said = await served.ask("GET", f"{base}sort=name&cursor={quote(one, safe='%')}")
        assert said.status in {400, 404}, (one, said)
        assert said.json()["code"] in {"no_such_page", "bad_request"}, one
    for other in ("sort=name&order=desc", "sort=number", "sort=created_at"):
        said = await served.ask("GET", f"{base}{other}&cursor={cursor}")
        assert (said.status, said.json()["code"]) == (404, "no_such_page")
    assert (await served.ask("GET", f"{base}sort=name&cursor={cursor}")).status == 200


NASTY = ["'", "''", '"', "%", "_", "\\", "\\%", "';--", "' OR '1'='1", "$1", "{}", "%s", "\u202e", "💥"]
FILTERS = ("q", "number", "user_name", "external_id", "department", "profile", "sort", "order", "status")


@pytest.mark.parametrize("text", NASTY, ids=range(len(NASTY)))
async def test_filters_are_values_and_nothing_else(served: Served, text: str):
    await people(served, 3)
    for name in FILTERS:
        said = await served.ask("GET", f"/api/v1/people?{name}={quote(text)}")
        assert said.status in {200, 400, 404}, (name, said)
        if said.status == 200:
            assert said.json()["items"] == [], (name, text)
    for filtered in ('userName eq "%s"', 'userName co "%s"', '%s eq "a"', 'userName %s "a"'):
        said = await served.ask("GET", "/scim/v2/Users?filter=" + quote(filtered % text.replace("%", "%%")))
        assert said.status in {200, 400}, said
    assert len((await served.ask("GET", "/api/v1/people")).json()["items"]) == 3

"""Bytes that are no HTTP, no text, no JSON, or too many of it: refused in our own words, never a fault."""

import gzip
import logging
import zlib
from collections.abc import AsyncIterator

import psutil
import pytest

from gateway.domain.accounts import Role
from gateway.domain.tokens import csrf
from gateway.storage.pool import Database
from tests.fakes.raw_http import Said, request, send
from tests.fakes.served_office import JSON, SCIM, Served, served_office

NOT_TEXT = [b"\xff", b"\xed\xa0\x80", b"%00", b"%ff", b"%ed%a0%80", b"a\xffb", "é".encode("latin-1")]


@pytest.fixture
async def served(database: Database) -> AsyncIterator[Served]:
    async with served_office(database) as made:
        yield made


def refused(said: Said) -> None:
    assert 400 <= said.status < 500, (said.status, said.body)
    kind = said.headers["content-type"].partition(";")[0]
    assert kind in {"application/problem+json", "application/scim+json"}, said.body
    assert int(said.json()["status"]) == said.status
    assert said.headers["x-content-type-options"] == "nosniff"
    assert said.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("bad", NOT_TEXT)
async def test_what_is_no_text_in_a_path_is_refused(served: Served, bad: bytes):
    for base in (
        b"/api/v1/people/",
        b"/api/v1/accounts/",
        b"/api/v1/profiles/",
        b"/api/v1/imports/",
        b"/api/v1/people/0b3c7f8e-45a2-4f0e-9a52-3f6f1c1f7f11/cards/",
        b"/scim/v2/Users/",
        b"/scim/v2/Groups/",
        b"/",
    ):
        for method in ("GET", "DELETE"):
            refused(await served.ask(method, base + bad))


@pytest.mark.parametrize("bad", NOT_TEXT)
async def test_what_is_no_text_in_a_query_is_refused(served: Served, bad: bytes):
    for target in (
        b"/api/v1/people?department=%s",
        b"/api/v1/people?cursor=%s",
        b"/api/v1/people?updated_since=%s",
        b"/api/v1/people?%s=1",
        b"/api/v1/session?%s=1",
        b"/api/v1/imports?before=%s",
    ):
        said = await served.ask("GET", target % bad)
        if said.status != 200:  # text in another spelling is text, and nobody is found
            refused(said)
    for name in (b"filter", b"sortBy", b"attributes", b"startIndex"):
        said = await served.ask("GET", b"/scim/v2/Users?%s=%s" % (name, bad))
        if said.status != 200:
            refused(said)


@pytest.mark.parametrize("bad", [b"\xff", b"\xed\xa0\x80", b"\xc3\xa9"])
async def test_what_is_no_text_in_a_header_is_refused(served: Served, bad: bytes):
    body = b'{"number":"1","name":"A"}'
    for headers in (
        (b"Content-Type: " + bad,),
        (b"Content-Type: application/json; charset=" + bad,),
        (JSON, b"Idempotency-Key: " + bad),
        (JSON, b"Content-Encoding: " + bad),
    ):
        said = await served.ask("POST", "/api/v1/people", *headers, body=body)
        if said.status != 201:
            refused(said)
    refused(await served.ask("PATCH", "/api/v1/people/x", JSON, b"If-Match: " + bad, body=b"{}"))
    refused(await served.ask("POST", "/api/v1/imports", b"Content-Type: " + bad, body=b"x"))
    multipart = b"Content-Type: multipart/form-data; boundary=" + bad
    refused(await served.ask("POST", "/api/v1/imports", multipart, body=b"--" + bad + b"--\r\n"))
    refused(await served.ask("POST", "/scim/v2/Users", b"Content-Type: " + bad, body=b"{}"))
    for header in (b"Authorization: Bearer " + bad, b"Authorization: " + bad, b"Cookie: facegate=" + bad):
        refused(await send(served.port, request("GET", "/api/v1/people", header)))
    assert (await served.ask("GET", "/api/v1/session", b"X-Request-Id: aaaaaaaa" + bad)).status == 200


async def test_a_csrf_token_that_is_no_text_is_a_wrong_one(served: Served):
    _, token = await served.session(Role.HR)
    cookie = b"Cookie: facegate=" + token.encode()
    for sent in (b"\xff", b"\xed\xa0\x80", csrf(token).encode() + b"\xff"):
        ask = request("POST", "/api/v1/people", cookie, JSON, b"X-CSRF-Token: " + sent, body=b"{}")
        said = await send(served.port, ask)
        refused(said)
        assert said.json()["code"] == "csrf"


DEEP = 100_000
NOT_JSON = [
    b"[" * DEEP,
    b"[" * DEEP + b"]" * DEEP,
    b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    b'{"number":"1","name":' + b"[" * DEEP + b"]" * DEEP + b"}",
    b'{"number":"1","name":"A","valid_from":' + b"9" * 5000 + b"}",
    b'{"number":NaN,"name":Infinity}',
    b'{"number":"1","name":"\xff"}',
    b'{"number":"1","name":"\\ud800"}',
    b'{"number":"1","name":"\\udc00x"}',
    b'{"number":"1","name":"\xed\xa0\x80"}',
    b'{"number":"1","name":"\\u0000"}',
    b'{"number":"1","name":"A\x00"}',
    b'{"number":"1","name":"A","' + b"x" * 900_000 + b'":1}',
    b'{"number":"1","name":"A","\\ud800":1}',
    b'\xff\xfe{\x00"\x00',
    b'\xef\xbb\xbf{"number":"1","name":"A"}x',
    b"1e999999",
]


@pytest.mark.parametrize("body", NOT_JSON, ids=range(len(NOT_JSON)))
async def test_what_is_no_json_or_too_deep_is_refused(served: Served, body: bytes):
    refused(await served.ask("POST", "/api/v1/people", JSON, body=body))
    anyone = b"/api/v1/session"
    refused(await send(served.port, request("POST", anyone, JSON, body=body)))
    for path in ("/scim/v2/Users", "/scim/v2/Groups"):
        refused(await served.ask("POST", path, SCIM, body=body))
    patch = b'{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[' + body + b"]}"
    refused(await served.ask("PATCH", "/scim/v2/Users/x", SCIM, body=patch))


async def test_scim_values_that_cannot_be_stored_are_refused(served: Served):
    for name in (b"\\u0000", b"a\\u0000b", b"x" * 100_000, b"\\u202e", b"\\ufdd0"):
        body = b'{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"%s"}' % name
        said = await served.ask("POST", "/scim/v2/Users", SCIM, body=body)
        if said.status != 201:
            refused(said)


def bombs() -> list[tuple[bytes, bytes]]:
    plain = b'{"number":"1","name":"' + b"A" * 200_000_000 + b'"}'
    deflated = zlib.compressobj(9, zlib.DEFLATED, -15)
    return [
        (b"gzip", gzip.compress(plain)),
        (b"deflate", zlib.compress(plain, 9)),
        (b"deflate", deflated.compress(plain) + deflated.flush()),
        (b"gzip", gzip.compress(b'{"number":"1","name":"A"}')),
        (b"gzip", b"no gzip at all"),
        (b"br", b"x"),
        (b"zstd", b"x"),
        (b"gzip, gzip", b"x"),
    ]


async def test_packed_bodies_are_not_taken_and_cost_nothing(served: Served):
    packed = bombs()
    form = b"Content-Type: multipart/form-data; boundary=x"
    before = psutil.Process().memory_info().rss
    for coding, body in packed:
        for path, kind in (
            ("/api/v1/people", JSON),
            ("/api/v1/session", JSON),
            ("/api/v1/imports", b"Content-Type: text/csv"),
            ("/api/v1/imports", form),
            ("/api/v1/people/0b3c7f8e-45a2-4f0e-9a52-3f6f1c1f7f11/photographs", form),
            ("/api/v1/verify", form),
            ("/scim/v2/Users", SCIM),
        ):
            said = await served.ask("POST", path, kind, b"Content-Encoding: " + coding, body=body)
            refused(said)
            assert said.status == 415, (path, coding, said.body)
    assert psutil.Process().memory_info().rss - before < 50_000_000


NO_HTTP = [
    b"\x16\x03\x01\x02\x00\x01\x00",
    b"GET\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"G\xffT / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nBad Header: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nA: \x01\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"POST /api/v1/session HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\nx",
    b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 9000 + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: a\r\n" * 500 + b"\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nExpect: miracles\r\n\r\n",
    b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n",
]


@pytest.mark.parametrize("raw", NO_HTTP, ids=range(len(NO_HTTP)))
async def test_what_is_no_http_is_refused_as_everything_else(served: Served, raw: bytes):
    refused(await send(served.port, raw))


async def test_a_key_in_a_broken_request_is_in_no_log(
    served: Served, caplog: pytest.LogCaptureFixture, capfd
):
    secret = served.key.rpartition(b" ")[2]
    with caplog.at_level(logging.DEBUG):
        for raw in (
            b"GET / HTTP/1.1\r\nHost: x\r\n%s\x01\r\n\r\n" % served.key,
            b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization : Bearer %s\r\n\r\n" % secret,
            b"GET / HTTP/1.1\r\nHost: x\r\n%s%s\r\n\r\n" % (served.key, b"x" * 9000),
            b"GET /api/v1/people?key=%s HTTP/1.1\r\nHost: x\r\n\r\n" % secret,
            b"GET /api/v1/people/%s HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n" % (secret, served.key),
            b"%s / HTTP/1.1\r\nHost: x\r\n\r\n" % secret,
        ):
            await send(served.port, raw)
    out = "".join(capfd.readouterr()) + caplog.text + "".join(str(r.__dict__) for r in caplog.records)
    assert secret[4:40].decode() not in out


async def test_a_key_in_the_query_is_no_key(served: Served):
    secret = served.key.rpartition(b" ")[2]
    for name in (b"key", b"access_token", b"api_key", b"token", b"Authorization"):
        said = await send(served.port, request("GET", b"/api/v1/people?%s=%s" % (name, secret)))
        refused(said)
        assert said.status == 401

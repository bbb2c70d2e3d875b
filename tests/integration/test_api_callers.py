"""Cookies, keys and addresses of callers who want to be somebody else."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.domain.accounts import Role
from gateway.domain.tokens import csrf
from gateway.storage.pool import Database
from tests.fakes.raw_http import request, send
from tests.fakes.served_office import JSON, ROOT, Served, served_office


@pytest.fixture
async def served(database: Database) -> AsyncIterator[Served]:
    async with served_office(database) as made:
        yield made


async def test_every_change_by_cookie_needs_its_token(served: Served):
    _, token = await served.session(*Role)
    cookie = b"Cookie: facegate=" + token.encode()
    _, foreign = await served.session(*Role)
    walked = 0
    for route in served.office.routes:
        if route.method == "GET" or route.roles is None:
            continue
        target = route.path.replace("{", "").replace("}", "")
        for header in (
            b"",
            b"X-CSRF-Token: ",
            b"X-CSRF-Token: " + csrf(foreign).encode(),
            b"X-CSRF-Token: null",
        ):
            said = await send(
                served.port, request(route.method, target, cookie, *([header] if header else []))
            )
            assert (said.status, said.json()["code"]) == (403, "csrf"), route
        walked += 1
    assert walked > 25
    for method, target in (
        ("POST", "/scim/v2/Users"),
        ("PUT", "/scim/v2/Users/x"),
        ("DELETE", "/scim/v2/Groups/x"),
    ):
        assert (await send(served.port, request(method, target, cookie))).status == 403
    signing = request("POST", "/api/v1/session", cookie, JSON, body=b'{"login":"a","password":"b"}')
    assert (await send(served.port, signing)).status == 401


async def test_a_form_of_another_site_signs_nobody_in(served: Served):
    """What a page can send without asking first (simple requests of the Fetch standard)."""
    for kind in (b"text/plain", b"application/x-www-form-urlencoded", b"multipart/form-data; boundary=x"):
        raw = request(
            "POST", "/api/v1/session", b"Content-Type: " + kind, body=b'{"login":"a","password":"b"}'
        )
        said = await send(served.port, raw)
        assert (said.status, said.json()["code"]) == (415, "unsupported_media_type")


async def test_a_token_given_beforehand_is_no_session(served: Served):
    for value in (b"fgs_" + b"a" * 51, b"x", b"fgs_;facegate=y", b'"quoted"', b"\x80"):
        said = await send(served.port, request("GET", "/api/v1/session", b"Cookie: facegate=" + value))
        assert said.status == 401
        assert "set-cookie" not in said.headers


async def test_two_cookies_of_one_name_are_no_way_around(served: Served):
    _, token = await served.session(Role.HR)
    for cookies in (f"facegate=x; facegate={token}", f"facegate={token}; facegate=x"):
        said = await send(served.port, request("GET", "/api/v1/session", b"Cookie: " + cookies.encode()))
        assert said.status in {200, 401}


async def test_rights_that_end_end_open_sessions_at_once(served: Served):
    services = served.office.office.services()
    for change in (
        {"roles": frozenset({Role.GUARD})},
        {"disabled": True},
        {"password": "another long secret"},
    ):
        who, token = await served.session(Role.HR, Role.GUARD)
        raw = request("GET", "/api/v1/people", b"Cookie: facegate=" + token.encode())
        assert (await send(served.port, raw)).status == 200
        await services.accounts.change(ROOT, who, **change)  # type: ignore[arg-type]
        assert (await send(served.port, raw)).status == 401, change


async def test_signing_out_ends_the_session_on_the_server_and_no_other(served: Served):
    _, token = await served.session(Role.HR)
    _, other = await served.session(Role.HR)
    cookie = b"Cookie: facegate=" + token.encode()
    out = request("DELETE", "/api/v1/session", cookie, b"X-CSRF-Token: " + csrf(token).encode())
    said = await send(served.port, out)
    assert said.status == 204
    assert "Max-Age=0" in said.headers["set-cookie"]
    assert (await send(served.port, request("GET", "/api/v1/session", cookie))).status == 401
    still = request("GET", "/api/v1/session", b"Cookie: facegate=" + other.encode())
    assert (await send(served.port, still)).status == 200


async def test_a_key_revoked_in_the_middle_of_its_work_is_over(served: Served):
    services = served.office.office.services()
    asked = [asyncio.create_task(served.ask("GET", "/api/v1/people")) for _ in range(10)]
    await services.keys.revoke(ROOT, served.key_id)
    assert {s.status for s in await asyncio.gather(*asked)} <= {200, 401}
    assert (await served.ask("GET", "/api/v1/people")).status == 401


@pytest.mark.parametrize(
    "header",
    [b"X-Forwarded-For: 198.51.100.%d", b"Forwarded: for=198.51.100.%d", b"X-Real-IP: 198.51.100.%d"],
)
async def test_no_header_makes_another_address_of_a_caller(served: Served, header: bytes, database: Database):
    body = b'{"login":"nobody","password":"a wrong guess"}'
    codes = []
    for i in range(14):
        said = await send(served.port, request("POST", "/api/v1/session", JSON, header % i, body=body))
        codes.append(said.status)
        if said.status == 429:
            break
    assert codes[-1] == 429, codes
    assert b"198.51.100" not in b"".join(c for _, c in served.office.journal.events)
    said = await send(served.port, request("GET", "/api/v1/session", header % 1))
    assert said.status == 401, "others of that address are not slowed down"


async def test_a_host_of_another_name_is_not_written_into_answers(served: Served):
    raw = b"POST /api/v1/people HTTP/1.1\r\nHost: evil.example\r\n%s\r\n%s\r\nContent-Length: 25\r\n\r\n" % (
        served.key,
        JSON,
    )
    said = await send(served.port, raw + b'{"number":"1","name":"A"}')
    assert said.status == 201
    assert b"evil" not in said.body + "".join(said.headers.values()).encode()

"""What every route gets from its frame, whatever it does itself."""

import asyncio
import io
from collections.abc import AsyncIterator
from typing import Annotated

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from msgspec import Meta

from gateway.api.frame import Frame
from gateway.api.limits import RateLimit
from gateway.api.problems import Refusal
from gateway.api.routing import Answer, Call, Route
from gateway.domain.accounts import Actor, Role
from gateway.domain.errors import DatabaseUnavailable, InvalidInput, InvariantBroken, Rejected
from gateway.telemetry.clock import SystemClock
from tests.fakes.idempotency import FakeIdempotency

HR = frozenset({Role.HR})


class ThingIn(msgspec.Struct, forbid_unknown_fields=True):
    name: Annotated[str, Meta(min_length=1, max_length=5)]
    deep: list[dict[str, int]] = []


class ThingOut(msgspec.Struct):
    name: str
    made: int


class ThingQuery(msgspec.Struct, forbid_unknown_fields=True):
    limit: Annotated[int, Meta(ge=1, le=9)] = 3
    tag: list[str] = []


class Things:
    """A resource that does as it is told."""

    def __init__(self) -> None:
        self.made = 0
        self.error: Exception | None = None
        self.held: asyncio.Event | None = None

    async def read(self, call: Call) -> Answer:
        if self.error is not None:
            raise self.error
        return Answer(body=ThingOut(name=f"{call.query.limit}{call.query.tag}", made=self.made), version=7)

    async def make(self, call: Call) -> ThingOut:
        if self.held is not None:
            await self.held.wait()
        if self.error is not None:
            raise self.error
        self.made += 1
        return ThingOut(name=call.body.name, made=self.made)

    async def change(self, call: Call) -> ThingOut:
        return ThingOut(name=str(call.if_match), made=0)

    async def load(self, call: Call) -> ThingOut:
        size = 0
        async for part in call.stream():
            size += len(part)
        return ThingOut(name="", made=size)

    def table(self) -> tuple[Route, ...]:
        common = {"tag": "t", "summary": "s", "roles": HR, "scope": "things:write", "path": "/things"}
        return (
            Route(method="GET", handler=self.read, query=ThingQuery, answer=ThingOut, **common),
            Route(
                method="POST",
                handler=self.make,
                body=ThingIn,
                answer=ThingOut,
                status=201,
                creates=True,
                **common,
            ),
            Route(method="PATCH", handler=self.change, conditional=True, answer=ThingOut, **common),
            Route(
                method="PUT",
                handler=self.load,
                upload=("text/csv",),
                most_bytes=1000,
                answer=ThingOut,
                **common,
            ),
        )


class Caller:
    def __init__(self) -> None:
        self.actor: Actor | None = Actor(id="account:1", roles=HR)

    async def __call__(self, request: web.Request) -> Actor:
        if self.actor is None:
            raise Refusal("sign in", code="unauthenticated")
        return self.actor


@pytest.fixture
def things() -> Things:
    return Things()


@pytest.fixture
def caller() -> Caller:
    return Caller()


@pytest.fixture
async def client(things: Things, caller: Caller) -> AsyncIterator[TestClient]:
    frame = Frame(identify=caller, requests=FakeIdempotency(), limit=RateLimit(SystemClock(), 1000, 1000))
    async with TestClient(TestServer(frame.application(things.table()))) as client:
        yield client


async def problem(response: "object", status: int, code: str) -> dict[str, object]:
    assert response.status == status, await response.text()
    assert response.content_type == "application/problem+json"
    body = await response.json()
    assert (body["status"], body["code"], body["type"]) == (status, code, f"urn:facegate:problem:{code}")
    assert body["request_id"] == response.headers["X-Request-Id"]
    assert response.headers["Cache-Control"] == "no-store"
    return body


async def test_nobody_gets_in_without_a_name_role_and_scope(client: TestClient, caller: Caller):
    caller.actor = None
    refused = await client.get("/things")
    await problem(refused, 401, "unauthenticated")
    assert refused.headers["WWW-Authenticate"].startswith("Bearer")
    for actor in (
        Actor(id="a", roles=frozenset(Role) - HR),
        Actor(id="a", roles=HR, scopes=frozenset({"things:read"})),
    ):
        caller.actor = actor
        await problem(await client.get("/things"), 403, "forbidden")
    caller.actor = Actor(id="a", roles=HR, scopes=frozenset({"things:write"}))
    assert (await client.get("/things")).status == 200


async def test_who_may_not_call_learns_nothing_of_what_is_wrong_with_the_body(
    client: TestClient, caller: Caller
):
    caller.actor = Actor(id="a", roles=frozenset({Role.GUARD}))
    await problem(await client.post("/things", data=b"{"), 403, "forbidden")


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("limit=0", "query/limit"),
        ("limit=x", "query/limit"),
        ("what=1", "query"),
        ("limit=1&limit=2", "query/limit"),
    ],
)
async def test_a_bad_query_is_refused_with_its_place(client: TestClient, query: str, pointer: str):
    body = await problem(await client.get(f"/things?{query}"), 400, "bad_request")
    assert body["errors"][0]["pointer"] == pointer


async def test_lists_are_given_by_repeating(client: TestClient):
    assert (await (await client.get("/things?tag=a&tag=b")).json())["name"] == "3['a', 'b']"


@pytest.mark.parametrize(
    ("sent", "pointer"),
    [
        (b'{"name": ""}', "/name"),
        (b'{"name": "a", "deep": [{"x": "y"}]}', "/deep/0"),
        (b'{"name": "a", "more": 1}', "/"),
        (b"[]", "/"),
    ],
)
async def test_a_bad_body_is_refused_with_its_place(client: TestClient, sent: bytes, pointer: str):
    headers = {"Content-Type": "application/json"}
    body = await problem(await client.post("/things", data=sent, headers=headers), 400, "bad_request")
    assert body["errors"][0]["pointer"] == pointer


@pytest.mark.parametrize("sent", [b"", b"{", b"\xff", b"[" * 5000, b'{"name": "a"} x'])
async def test_what_is_no_json_is_refused(client: TestClient, sent: bytes):
    headers = {"Content-Type": "application/json"}
    await problem(await client.post("/things", data=sent, headers=headers), 400, "bad_request")


async def test_another_media_type_or_too_much_is_refused(client: TestClient, things: Things):
    await problem(await client.post("/things", data=b"name=a"), 415, "unsupported_media_type")
    big = io.BytesIO(b'{"name": "' + b"a" * 2_000_000 + b'"}')
    headers = {"Content-Type": "application/json"}
    await problem(await client.post("/things", data=big, headers=headers), 413, "too_large")

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 100

    headers = {"Content-Type": "text/csv"}
    await problem(await client.put("/things", data=endless(), headers=headers), 413, "too_large")
    assert things.made == 0


async def test_a_version_is_an_etag_and_what_is_known_is_not_sent_again(client: TestClient):
    first = await client.get("/things")
    assert first.headers["ETag"] == '"v7"'
    again = await client.get("/things", headers={"If-None-Match": '"v1", W/"v7"'})
    assert (again.status, await again.read()) == (304, b"")


async def test_a_change_needs_the_version_it_is_made_on(client: TestClient):
    await problem(await client.patch("/things"), 428, "condition_needed")
    await problem(await client.patch("/things", headers={"If-Match": '"other"'}), 400, "bad_request")
    for sent, seen in (('"v12"', "12"), ("*", "None")):
        said = await client.patch("/things", headers={"If-Match": sent})
        assert (await said.json())["name"] == seen


async def test_the_same_key_gives_the_same_answer_and_makes_one_thing(client: TestClient, things: Things):
    sent = {"json": {"name": "a"}, "headers": {"Idempotency-Key": "k1"}}
    first, again = await client.post("/things", **sent), await client.post("/things", **sent)
    assert (first.status, again.status) == (201, 201)
    assert await first.read() == await again.read()
    assert again.headers["Idempotency-Replayed"] == "true"
    assert things.made == 1
    other = await client.post("/things", json={"name": "b"}, headers={"Idempotency-Key": "k1"})
    await problem(other, 409, "idempotency_key_reused")


async def test_a_request_that_failed_leaves_its_key_free(client: TestClient, things: Things):
    sent = {"json": {"name": "a"}, "headers": {"Idempotency-Key": "k1"}}
    things.error = Rejected("no", code="number_taken")
    await problem(await client.post("/things", **sent), 409, "number_taken")
    things.error = None
    assert (await client.post("/things", **sent)).status == 201


async def test_of_two_at_once_with_one_key_one_is_carried_out(client: TestClient, things: Things):
    things.held = asyncio.Event()
    sent = {"json": {"name": "a"}, "headers": {"Idempotency-Key": "k1"}}
    first = asyncio.create_task(client.post("/things", **sent))
    await asyncio.sleep(0.05)
    await problem(await client.post("/things", **sent), 409, "request_under_way")
    things.held.set()
    assert (await first).status == 201
    assert things.made == 1


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (InvalidInput("x", code="no_such_thing"), 404, "no_such_thing"),
        (InvalidInput("x"), 400, "invalid_input"),
        (Rejected("x", code="name_taken"), 409, "name_taken"),
        (Rejected("x", code="version_differs"), 412, "version_differs"),
        (DatabaseUnavailable("x"), 503, "database_unavailable"),
        (InvariantBroken("secret"), 500, "invariant_broken"),
        (KeyError("secret"), 500, "internal"),
        (ZeroDivisionError("secret"), 500, "internal"),
        (RuntimeError("secret"), 500, "internal"),
    ],
)
async def test_every_error_is_a_problem_with_its_code(
    client: TestClient, things: Things, error: Exception, status: int, code: str
):
    things.error = error
    said = await client.get("/things")
    body = await problem(said, status, code)
    assert "secret" not in body["detail"]
    assert ("Retry-After" in said.headers) == (status == 503)


async def test_paths_and_methods_that_are_not_there_are_problems_too(client: TestClient):
    await problem(await client.get("/nothing"), 404, "not_found")
    said = await client.delete("/things")
    await problem(said, 405, "method_not_allowed")
    assert said.headers["Allow"] == "GET, PATCH, POST, PUT"


@pytest.mark.parametrize(("given", "kept"), [("abc-12345", True), ("x\ty", False), ("a" * 65, False)])
async def test_a_request_id_of_the_caller_is_kept_when_it_is_harmless(
    client: TestClient, given: str, kept: bool
):
    said = await client.get("/things", headers={"X-Request-Id": given})
    assert (said.headers["X-Request-Id"] == given) is kept


def test_a_caller_is_slowed_down_alone(monkeypatch: pytest.MonkeyPatch):
    class Still:
        now = 0

        def monotonic_ns(self) -> int:
            return self.now

    clock = Still()
    limit = RateLimit(clock, per_s=2, burst=3)  # type: ignore[arg-type]
    assert [limit.wait_s("a") for _ in range(4)] == [0, 0, 0, 0.5]
    assert limit.wait_s("b") == 0
    clock.now = 500_000_000
    assert [limit.wait_s("a"), limit.wait_s("a")] == [0, 0.5]


async def test_too_many_at_once_are_told_when_to_come_back(things: Things, caller: Caller):
    frame = Frame(identify=caller, requests=FakeIdempotency(), limit=RateLimit(SystemClock(), 0.1, 2))
    async with TestClient(TestServer(frame.application(things.table()))) as client:
        for _ in range(2):
            assert (await client.get("/things")).status == 200
        said = await client.get("/things")
        await problem(said, 429, "too_many_requests")
        assert 0 < int(said.headers["Retry-After"]) <= 11
        caller.actor = None
        for _ in range(2):  # who guesses keys is counted by address
            assert (await client.get("/things")).status == 401
        await problem(await client.get("/things"), 429, "too_many_requests")


def test_two_handlers_for_one_path_are_a_bug(things: Things, caller: Caller):
    frame = Frame(identify=caller, requests=FakeIdempotency(), limit=RateLimit(SystemClock(), 1, 1))
    with pytest.raises(InvariantBroken):
        frame.application([*things.table(), *things.table()])

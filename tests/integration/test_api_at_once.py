"""The same thing asked many times at once, by callers who hang up, repeat themselves, or borrow a key."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
import pytest

from gateway.api import once
from gateway.domain.errors import DatabaseUnavailable
from gateway.rehearsal import portraits
from gateway.storage.idempotency import PostgresIdempotency
from gateway.storage.pool import Database
from gateway.vision.photo import PhotoAnalyser
from tests.fakes.asking_office import Asking, asking
from tests.fakes.office import engine
from tests.fakes.raw_http import request, send

JSON = b"Content-Type: application/json"
CSV = b"Content-Type: text/csv"
ADA = {"number": "7", "name": "Ada"}


@pytest.fixture
async def served(database: Database, state: Path) -> AsyncIterator[Asking]:
    async with asking(database, state) as made:
        yield made


@pytest.mark.parametrize(
    ("path", "body", "id_of", "action"),
    [
        ("/api/v1/people", ADA, "id", "person.change"),
        ("/api/v1/profiles", {"key": "lab", "name": "Lab"}, "key", "profile.change"),
        ("/api/v1/accounts", {"login": "ada", "name": "A", "roles": ["hr"]}, "id", "account.change"),
    ],
)
async def test_of_many_changes_of_one_version_one_wins(
    served: Asking, path: str, body: dict[str, Any], id_of: str, action: str
):
    made = await served.made(path, body)
    one = f"{path}/{made[id_of]}"
    said = await asyncio.gather(
        *(served.ask("PATCH", one, json={"name": f"N{i}"}, headers={"If-Match": '"v1"'}) for i in range(8))
    )
    assert Counter(status for status, _ in said) == {200: 1, 412: 7}
    assert {b["code"] for status, b in said if status == 412} == {"version_differs"}
    (won,) = [b for status, b in said if status == 200]
    assert (await served.ask("GET", one))[1]["name"] == won["name"]
    assert won["version"] == 2
    assert served.done(action) == 1


@pytest.mark.parametrize(
    ("path", "body", "table", "action"),
    [
        ("/api/v1/people", ADA, "people", "person.create"),
        ("/api/v1/api-keys", {"name": "k", "roles": ["hr"]}, "api_keys", "key.create"),
        ("/api/v1/accounts", {"login": "a", "name": "A", "roles": ["hr"]}, "accounts", "account.create"),
        ("/api/v1/profiles", {"key": "lab", "name": "Lab"}, "access_profiles", "profile.create"),
    ],
)
async def test_ten_at_once_with_one_key_make_one(
    served: Asking, path: str, body: dict[str, Any], table: str, action: str
):
    before, recorded = await served.count(table), served.done(action)
    headers = {"Idempotency-Key": "k1"}
    said = await asyncio.gather(*(served.ask("POST", path, json=body, headers=headers) for _ in range(10)))
    assert {status for status, _ in said} <= {201, 409}
    assert {b["code"] for status, b in said if status == 409} <= {"request_under_way"}
    made = [b for status, b in said if status == 201]
    assert made
    assert all(b == made[0] for b in made)
    assert (await served.ask("POST", path, json=body, headers=headers)) == (201, made[0])
    assert (await served.count(table), served.done(action)) == (before + 1, recorded + 1)
    status, other = await served.ask("POST", path, json={**body, "name": "Other"}, headers=headers)
    assert (status, other["code"]) == (409, "idempotency_key_reused")
    elsewhere = await served.ask("POST", "/api/v1/consent-texts", json={}, headers=headers)
    assert elsewhere[0] in {400, 409}


async def test_a_key_of_another_caller_is_another_thing(served: Asking):
    headers = {"Idempotency-Key": "k1"}
    mine = await served.ask("POST", "/api/v1/people", json=ADA, headers=headers)
    theirs = await served.ask(
        "POST", "/api/v1/people", served.other, json={**ADA, "number": "8"}, headers=headers
    )
    assert (mine[0], theirs[0]) == (201, 201)
    assert mine[1]["id"] != theirs[1]["id"]
    again = await served.ask("POST", "/api/v1/people", served.other, json=ADA, headers=headers)
    assert again[1]["code"] == "idempotency_key_reused"


async def until_answered(served: Asking, path: str, body: bytes, kind: str) -> tuple[int, Any]:
    async with asyncio.timeout(20):
        while True:
            headers = {"Idempotency-Key": "k1", "Content-Type": kind}
            status, said = await served.ask("POST", path, data=body, headers=headers)
            if status != 409:
                return status, said
            assert said["code"] in {"request_under_way", "upload_running"}
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("pause_s", [0.0, 0.002, 0.01, 0.03])
async def test_who_hangs_up_before_the_answer_finds_it_later(served: Asking, pause_s: float):
    body = b'{"number":"7","name":"Ada"}'
    key = b"Authorization: Bearer " + served.key.encode()
    for _ in range(5):
        _, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(request("POST", "/api/v1/people", key, JSON, b"Idempotency-Key: k1", body=body))
        await asyncio.sleep(pause_s)
        writer.transport.abort()
    assert (await until_answered(served, "/api/v1/people", body, "application/json"))[0] == 201
    assert (await served.count("people"), served.done("person.create")) == (1, 1)


async def test_who_hangs_up_in_the_middle_of_an_upload_may_send_it_again(served: Asking):
    body = b"number,name\r\n" + b"".join(b"%d,P\r\n" % i for i in range(5000))
    key = b"Authorization: Bearer " + served.key.encode()
    head = request(
        "POST", "/api/v1/imports", key, CSV, b"Idempotency-Key: k1", b"Content-Length: %d" % len(body)
    )
    for part in (0, 10, 40_000, len(body) - 1):
        _, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(head + body[:part])
        await asyncio.sleep(0.1)
        writer.transport.abort()
    assert (await until_answered(served, "/api/v1/imports", body, "text/csv"))[0] == 202
    assert (await served.count("imports"), served.done("import.begin")) == (1, 1)


async def test_ten_uploads_at_once_with_one_key_are_one_and_another_file_is_refused(served: Asking):
    headers = {"Idempotency-Key": "k1", "Content-Type": "text/csv"}
    csv = b"number,name\r\n1,A\r\n"
    said = await asyncio.gather(
        *(served.ask("POST", "/api/v1/imports", data=csv, headers=headers) for _ in range(10))
    )
    assert {status for status, _ in said} <= {202, 409}
    assert len({b["id"] for status, b in said if status == 202}) == 1
    assert await served.count("imports") == 1
    assert (await served.ask("POST", "/api/v1/imports", data=csv, headers=headers))[0] == 202
    status, other = await served.ask("POST", "/api/v1/imports", data=csv.replace(b"A", b"B"), headers=headers)
    assert (status, other["code"]) == (409, "idempotency_key_reused")
    assert await served.count("imports") == 1


async def test_an_upload_of_photographs_is_compared_by_what_is_in_it(served: Asking):
    collins = portraits.collins(PhotoAnalyser(engine())).png()
    who = (await served.made("/api/v1/people", ADA))["id"]
    async with served.database.connection() as db:
        await db.execute("INSERT INTO consents (person_id, attestation) VALUES ($1, 'paper')", UUID(who))

    async def enrol(picture: bytes, name: str) -> tuple[int, Any]:
        form = aiohttp.FormData()
        form.add_field("photograph", picture, filename=name)  # another boundary, another file name
        headers = {"Idempotency-Key": "k1"}
        return await served.ask("POST", f"/api/v1/people/{who}/photographs", data=form, headers=headers)

    said = await asyncio.gather(*(enrol(collins, f"{i}.png") for i in range(10)))
    assert {status for status, _ in said} <= {201, 409}, said
    assert (await enrol(collins, "again.png"))[0] == 201
    assert (await served.count("templates"), served.done("templates.enrol")) == (1, 1)
    status, other = await enrol(collins + b"x", "a.png")
    assert (status, other["code"]) == (409, "idempotency_key_reused")


async def test_a_long_upload_keeps_its_key_as_long_as_it_goes_on(
    served: Asking, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(once, "HOLD_S", 0.05)
    csv = b"number,name\r\n1,A\r\n"
    key = b"Authorization: Bearer " + served.key.encode()
    head = request(
        "POST", "/api/v1/imports", key, CSV, b"Idempotency-Key: k1", b"Content-Length: %d" % len(csv)
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(head + csv[:-1])
    await asyncio.sleep(0.3)
    async with served.database.connection() as db:
        await db.execute("UPDATE idempotency SET created_at = now() - interval '3 minutes'")
    await asyncio.sleep(0.3)
    headers = {"Idempotency-Key": "k1", "Content-Type": "text/csv"}
    status, said = await served.ask("POST", "/api/v1/imports", data=csv, headers=headers)
    assert (status, said["code"]) == (409, "request_under_way")
    writer.write(csv[-1:])
    assert b" 202 " in await reader.readline()
    writer.close()
    assert await served.count("imports") == 1


async def test_what_was_done_is_said_even_when_the_answer_cannot_be_kept(
    served: Asking, monkeypatch: pytest.MonkeyPatch
):
    async def away(*_: object) -> None:
        raise DatabaseUnavailable("away")

    monkeypatch.setattr(PostgresIdempotency, "settle", away)
    status, _ = await served.ask("POST", "/api/v1/people", json=ADA, headers={"Idempotency-Key": "k1"})
    assert status == 201
    status, said = await served.ask("POST", "/api/v1/people", json=ADA, headers={"Idempotency-Key": "k1"})
    assert (status, said["code"]) == (409, "request_under_way")
    assert served.done("person.create") == 1


async def test_pipelined_requests_with_one_key_make_one(served: Asking):
    key = b"Authorization: Bearer " + served.key.encode()
    raw = request(
        "POST", "/api/v1/people", key, JSON, b"Idempotency-Key: k1", body=b'{"number":"7","name":"Ada"}'
    )
    assert (await send(served.port, raw * 5)).status == 201
    await asyncio.sleep(0.2)
    assert await served.count("people") == 1

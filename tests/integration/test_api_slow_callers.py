"""Callers who send a byte a second, or stop in the middle: they hold up nobody and leave nothing."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.api import pace
from gateway.api.server import listening
from gateway.security.spool import SealedFolder
from gateway.settings import Api
from gateway.storage.pool import Database
from tests.fakes.office import FakeSiteKeys, OfficeRig, office_rig
from tests.fakes.raw_http import Said, request, said_on, send

FORM = b"Content-Type: multipart/form-data; boundary=x"
JSON = b"Content-Type: application/json"
LONG = b"Content-Length: 900000"
PART = b'--x\r\nContent-Disposition: form-data; name="%s"\r\n\r\n'
WHOLE = PART % b"document" + b"no picture\r\n--x--\r\n"


@dataclass
class Served:
    office: OfficeRig
    port: int
    uploads: Path

    def files(self) -> list[Path]:
        return [*self.uploads.iterdir()] if self.uploads.is_dir() else []


@pytest.fixture
async def served(database: Database, state: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    monkeypatch.setattr(pace, "GRACE_S", 1.0)
    async with office_rig(database) as office:
        application = office.office.application(office.identify)
        office.office.imports.files = SealedFolder(state / "uploads", FakeSiteKeys())
        async with listening(Api(port=0), application) as port:
            yield Served(office, port, state / "uploads")


@contextlib.asynccontextmanager
async def dripping(port: int, head: bytes, *first: bytes) -> AsyncIterator[asyncio.Task[Said]]:
    """A request whose body comes byte by byte, until it is answered."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head + b"".join(first))

    async def drip() -> None:
        while True:
            await asyncio.sleep(0.05)
            with contextlib.suppress(ConnectionError):
                writer.write(b"a")

    async with asyncio.TaskGroup() as tasks:
        slowly = tasks.create_task(drip())
        answered = tasks.create_task(said_on(reader))
        try:
            yield answered
            await answered
        finally:
            slowly.cancel()
            writer.close()


def too_slow(said: Said) -> None:
    assert (said.status, int(said.json()["status"])) == (408, 408), said.body
    assert "slowly" in said.json()["detail"]


@pytest.mark.parametrize(
    ("method", "path", "kind", "first"),
    [
        ("POST", "/api/v1/session", JSON, b"{"),
        ("POST", "/api/v1/people", JSON, b""),
        ("POST", "/scim/v2/Users", b"Content-Type: application/scim+json", b"{"),
        ("POST", "/api/v1/imports", b"Content-Type: text/csv", b"number,name\r\n"),
        ("POST", "/api/v1/imports", FORM, b""),
        ("POST", "/api/v1/imports", FORM, b"--x\r\nContent-Disposition: form-"),
        ("POST", "/api/v1/imports", FORM, PART % b"photos" + b"PK\x03\x04"),
        ("POST", "/api/v1/imports", FORM, PART % b"staff" + b"number"),
        ("POST", "/api/v1/verify", FORM, PART % b"document"),
    ],
)
async def test_who_drips_is_sent_away_and_leaves_nothing(
    served: Served, method: str, path: str, kind: bytes, first: bytes
):
    async with asyncio.timeout(15), dripping(served.port, request(method, path, kind, LONG), first) as said:
        too_slow(await said)
    assert served.files() == []
    async with served.office.office.ground.stores.database.connection() as db:
        assert await db.fetchval("SELECT count(*) FROM imports") == 0


async def test_those_behind_slow_uploads_get_their_turn(served: Served):
    head = request("POST", "/api/v1/verify", FORM, LONG)
    async with asyncio.timeout(20), contextlib.AsyncExitStack() as slow:
        for _ in range(5):
            await slow.enter_async_context(dripping(served.port, head, PART % b"document"))
        said = await send(served.port, request("POST", "/api/v1/verify", FORM, body=WHOLE), within_s=15)
        assert (said.status, said.json()["code"]) == (422, "not_two_to_compare")


async def test_who_waits_too_long_for_a_turn_is_told_so(served: Served, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("gateway.api.routes_enrolment.TURN_S", 0.2)
    head = request("POST", "/api/v1/verify", FORM, LONG)
    async with asyncio.timeout(20), contextlib.AsyncExitStack() as slow:
        for _ in range(2):
            await slow.enter_async_context(dripping(served.port, head, PART % b"document"))
        await asyncio.sleep(0.1)
        said = await send(served.port, request("POST", "/api/v1/verify", FORM, body=WHOLE))
        assert (said.status, said.json()["code"]) == (503, "busy")
        assert int(said.headers["retry-after"]) > 0


async def test_an_import_is_taken_after_a_slow_one(served: Served):
    csv = b"number,name\r\n1,A\r\n"
    head = request("POST", "/api/v1/imports", b"Content-Type: text/csv", LONG)
    async with asyncio.timeout(20), dripping(served.port, head, b"number,") as slow:
        too_slow(await slow)
        said = await send(
            served.port, request("POST", "/api/v1/imports", b"Content-Type: text/csv", body=csv)
        )
        assert said.status == 202, said.body
    assert len(served.files()) == 1


@pytest.mark.parametrize("path", ["/api/v1/people", "/api/v1/imports", "/api/v1/verify", "/scim/v2/Users"])
@pytest.mark.parametrize(
    "body",
    [
        b"ZZ\r\n",
        b"5\r\nab",
        b"2\r\n{}\r\n-1\r\n",
        b"ffffffffffffffffffff\r\n{",
        b"1\r\n{\r\n1;" + b"x" * 9000,
    ],
)
async def test_chunks_that_are_none_are_the_callers_fault(served: Served, path: str, body: bytes):
    kinds = {"/api/v1/people": JSON, "/scim/v2/Users": JSON}
    head = request("POST", path, kinds.get(path, FORM), b"Transfer-Encoding: chunked")
    said = await send(served.port, head + body)
    assert said.status in {400, 408}, said.body
    assert said.headers["content-type"].partition(";")[0] in {
        "application/problem+json",
        "application/scim+json",
    }

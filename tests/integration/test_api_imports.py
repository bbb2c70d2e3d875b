"""Imports and exports over the API: taken in sealed, carried out in the background, nothing bad kept."""

import asyncio
import contextlib
import io
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import psutil
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from gateway.api.frame import Frame
from gateway.api.limits import RateLimit
from gateway.api.routes_imports import ImportRoutes
from gateway.domain.accounts import Actor, Role
from gateway.domain.errors import Rejected
from gateway.domain.imports import ImportState
from gateway.security.site_sealer import AesGcmSiteSealer
from gateway.security.spool import SealedFolder
from gateway.services.enrolment import Photographs
from gateway.services.imports.exporting import Exporting
from gateway.services.imports.importing import Importing
from gateway.services.imports.worker import Imports
from gateway.storage.idempotency import PostgresIdempotency
from gateway.storage.photographs import PostgresPhotographs
from gateway.storage.pool import Database
from gateway.telemetry.clock import SystemClock
from tests.fakes.bad_zips import JPEG, bad_zips, packed
from tests.fakes.importing import (
    CONSENT_TEXT,
    MadeUpCheck,
    Recorded,
    a_sealer,
    add_consent_text,
    importing,
    picture,
)
from tests.fakes.site_keys import FakeSiteKeys

AGREED = f"{CONSENT_TEXT},2026-01-31,paper"
HEADER = "number,name,consent_version,consent_given_on,consent_how"
TABLES = ("people", "consents", "templates", "photographs", "imports", "import_lines")


@dataclass
class Acts:
    acted: Recorded


@dataclass
class Rig:
    client: TestClient
    imports: Imports
    folder: Path
    told: Recorded
    database: Database
    roles: frozenset[Role] = frozenset({Role.HR})
    scopes: frozenset[str] = field(default_factory=frozenset)

    async def post(self, staff: bytes | None, photos: bytes | None = None, **query: str) -> tuple[int, dict]:
        form = aiohttp.FormData(default_to_multipart=True)
        for name, data in (("staff", staff), ("photos", photos)):
            if data is not None:
                form.add_field(name, io.BytesIO(data), filename=name)
        said = await self.client.post("/api/v1/imports", data=form, params=query)
        return said.status, await said.json()

    async def over(self, import_id: str) -> dict:
        async with asyncio.timeout(30):
            while True:
                said = await (await self.client.get(f"/api/v1/imports/{import_id}")).json()
                if said["finished_at"] is not None:
                    return dict(said)
                await asyncio.sleep(0.02)

    async def lines(self, import_id: str, **query: str) -> list[tuple[str, str]]:
        said = await self.client.get(f"/api/v1/imports/{import_id}/lines", params=query)
        return [(r["number"], r["code"] or r["state"]) for r in (await said.json())["items"]]

    async def stored(self) -> int:
        async with self.database.connection() as db:
            return sum([await db.fetchval(f"SELECT count(*) FROM {t}") for t in TABLES])  # noqa: S608

    def files(self) -> list[Path]:
        return [*self.folder.iterdir()] if self.folder.is_dir() else []


def of(made: Importing, database: Database, folder: Path, keys: FakeSiteKeys, told: Recorded) -> Imports:
    return Imports(
        store=made.store,
        files=SealedFolder(folder, keys, reserve_bytes=0),
        importing=made,
        gateway_id="gateway-1",
        acted=told,
        look_s=0.05,
    )


@contextlib.asynccontextmanager
async def running(database: Database, folder: Path, *, work: bool = True) -> AsyncIterator[Rig]:
    told, keys = Recorded(), FakeSiteKeys({"imports": b"k" * 32})
    made = importing(database, acted=told, check=MadeUpCheck(keep=True))
    imports = of(made, database, folder, keys, told)
    exporting = Exporting(
        staff=made.desks.staff,
        consents=made.desks.consents,
        photographs=Photographs(PostgresPhotographs(database), a_sealer(), Acts(told)),
        clock=SystemClock(),
        acted=told,
    )
    rig: list[Rig] = []

    async def identify(_request: web.Request) -> Actor:
        return Actor(id="account:hr", roles=rig[0].roles, scopes=rig[0].scopes, address="192.0.2.7")

    frame = Frame(
        identify=identify,
        requests=PostgresIdempotency(database, AesGcmSiteSealer(keys)),
        limit=RateLimit(SystemClock(), 10_000, 100_000),
    )
    routes = ImportRoutes(imports=imports, exporting=exporting).table()
    async with TestClient(TestServer(frame.application(routes))) as client:
        rig.append(Rig(client=client, imports=imports, folder=folder, told=told, database=database))
        worker = asyncio.create_task(imports.run()) if work else None
        try:
            yield rig[0]
        finally:
            if worker is not None:
                worker.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await worker


@pytest.fixture
async def rig(database: Database, state: Path) -> AsyncIterator[Rig]:
    await add_consent_text(database)
    async with running(database, state / "uploads") as made:
        yield made


def staff(*numbers: str) -> bytes:
    return "\n".join([HEADER, *(f"{n},Person {n},{AGREED}" for n in numbers)]).encode()


def photos(*numbers: str) -> bytes:
    return packed(*((f"{n}.jpg", picture(n)) for n in numbers))


async def test_an_upload_is_carried_out_and_reported_line_by_line(rig: Rig):
    status, begun = await rig.post(
        staff("E1", "E2", "E3"), packed(("E1.jpg", picture("E1")), ("E2.jpg", JPEG))
    )
    assert status == 202
    assert (begun["state"], begun["total"]) == ("waiting", 3)
    over = await rig.over(begun["id"])
    assert (over["state"], over["done"], over["counts"]["created"], over["counts"]["refused"]) == (
        "done",
        3,
        2,
        1,
    )
    assert await rig.lines(begun["id"]) == [("E1", "created"), ("E2", "no_face"), ("E3", "created")]
    assert await rig.lines(begun["id"], state="refused") == [("E2", "no_face")]
    assert await rig.lines(begun["id"], after="2", limit="1") == [("E2", "no_face")]
    listed = await (await rig.client.get("/api/v1/imports")).json()
    assert [i["id"] for i in listed["items"]] == [begun["id"]]
    assert rig.told.of("import.begin") == rig.told.of("import.finish") == 1
    await until_empty(rig)


async def until_empty(rig: Rig) -> None:
    async with asyncio.timeout(10):
        while rig.files():
            await asyncio.sleep(0.02)


async def test_a_csv_alone_may_be_sent_as_it_is(rig: Rig):
    said = await rig.client.post(
        "/api/v1/imports?dry_run=true", data=staff("E1"), headers={"Content-Type": "text/csv"}
    )
    begun = await said.json()
    assert (said.status, begun["dry_run"]) == (202, True)
    assert said.headers["Location"] == f"/api/v1/imports/{begun['id']}"
    assert (await rig.over(begun["id"]))["counts"]["created"] == 1
    async with rig.database.connection() as db:
        assert await db.fetchval("SELECT count(*) FROM people") == 0


async def test_what_goes_out_comes_in_again_unchanged(rig: Rig):
    _, begun = await rig.post(staff("E1", "=E2", "'E3"), photos("E1", "=E2"))
    assert (await rig.over(begun["id"]))["counts"]["created"] == 3
    for path, looks in (("/api/v1/export?photographs=true", 2), ("/api/v1/export", 0)):
        before = rig.told.of("photograph.read")
        archive = await (await rig.client.get(path)).read()
        assert rig.told.of("photograph.read") - before == looks
        status, again = await rig.post(None, archive)
        assert status == 202, again
        assert (await rig.over(again["id"]))["counts"]["unchanged"] == 3
    lines = await (await rig.client.get("/api/v1/export.csv")).read()
    assert b'"\'=E2"' in lines
    _, again = await rig.post(lines)
    assert (await rig.over(again["id"]))["counts"]["unchanged"] == 3
    assert rig.told.of("people.export") == 3


async def test_photographs_need_a_scope_of_their_own(rig: Rig):
    rig.scopes = frozenset({"people:export"})
    assert (await rig.client.get("/api/v1/export")).status == 200
    assert (await rig.client.get("/api/v1/export?photographs=true")).status == 403


@pytest.mark.parametrize("role", [Role.AUDITOR, Role.GUARD, Role.OPERATOR])
async def test_only_hr_and_administrators_import_and_export(rig: Rig, role: Role):
    rig.roles = frozenset({role})
    assert (await rig.post(staff("E1")))[0] == 403
    assert (await rig.client.get("/api/v1/export")).status == 403
    assert (await rig.client.get("/api/v1/export.csv")).status == 403


BAD_CSV = (
    (b"", "csv_no_header"),
    (b"PK\x03\x04" * 100, "not_csv"),
    (b"number,naam\n1,Ada\n", "csv_unknown_column"),
    (b'number,name\n1,"Ada\n', "csv_malformed"),
    (b"number,name\n1," + b"x" * 2_000_000, "csv_line_too_long"),
    (b"number,name\n1,\x81\n", "csv_encoding"),
    (b"number,name\n" + b"\n" * 64_000_000, "csv_too_large"),
)


async def test_bad_files_are_refused_with_their_reason_and_nothing_is_kept(rig: Rig):
    for data, code in BAD_CSV:
        status, said = await rig.post(data)
        assert (status, said["code"]) == (413 if code.endswith("_too_large") else 422, code)
    for what, data, code in bad_zips():
        status, said = await rig.post(staff("1", "2"), data)
        if not code:  # what only unpacking shows is refused line by line
            assert status == 202, what
            over = await rig.over(said["id"])
            assert over["counts"]["refused"] >= 1, what
            async with asyncio.timeout(10):
                while rig.files():
                    await asyncio.sleep(0.01)
            continue
        foreign = bool(data) and not data.startswith(b"PK")  # refused at its first bytes already
        assert (status, said["code"]) in {(422, "zip_damaged" if foreign else code), (413, code)}, what
        assert not rig.files(), what
    async with rig.database.connection() as db:
        assert await db.fetchval("SELECT count(*) FROM templates") == 0
    await until_empty(rig)


@pytest.mark.parametrize("size", [100_000_000])
async def test_a_large_upload_takes_no_more_memory_than_a_small_one(rig: Rig, size: int):
    await rig.post(staff("E1"), photos("E1"))
    before = psutil.Process().memory_info().rss
    most = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal most
        yield b'--x\r\nContent-Disposition: form-data; name="photos"\r\n\r\nPK\x03\x04'
        block = os.urandom(1 << 16)
        for _ in range(size >> 16):
            most = max(most, psutil.Process().memory_info().rss)
            yield block
        yield b"\r\n--x--\r\n"

    said = await rig.client.post(
        "/api/v1/imports", data=body(), headers={"Content-Type": "multipart/form-data; boundary=x"}
    )
    assert (said.status, (await said.json())["code"]) == (422, "zip_damaged")
    assert most - before < 30_000_000
    await until_empty(rig)


async def test_an_upload_that_breaks_off_leaves_nothing(rig: Rig):
    async def body() -> AsyncIterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="photos"\r\n\r\nPK\x03\x04' + bytes(500_000)
        await asyncio.sleep(0.1)
        raise OSError("the line is cut")

    with pytest.raises((aiohttp.ClientError, OSError)):
        await rig.client.post(
            "/api/v1/imports", data=body(), headers={"Content-Type": "multipart/form-data; boundary=x"}
        )
    await until_empty(rig)
    assert await rig.stored() == 0
    assert (await rig.post(staff("E1")))[0] == 202


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--x",
        b"--x--\r\n",
        b"no boundary at all",
        b'--x\r\nContent-Disposition: form-data; name="other"\r\n\r\nx\r\n--x--\r\n',
        b'--x\r\nContent-Disposition: form-data; name="staff"\r\n\r\nnumber',
        b'--x\r\nContent-Disposition: form-data; name="staff"\r\n\r\n' + staff("E1") + b"\r\n"
        b'--x\r\nContent-Disposition: form-data; name="staff"\r\n\r\n' + staff("E1") + b"\r\n--x--\r\n",
        b"--x\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\n--y\r\n\r\nx\r\n--y--\r\n--x--\r\n",
    ],
)
async def test_a_malformed_form_is_refused(rig: Rig, body: bytes):
    said = await rig.client.post(
        "/api/v1/imports", data=body, headers={"Content-Type": "multipart/form-data; boundary=x"}
    )
    assert said.status in {400, 422}, await said.text()
    assert not rig.files()
    assert await rig.stored() == 0


async def test_a_full_disk_refuses_the_upload_and_keeps_the_journals_room(database: Database, state: Path):
    async with running(database, state / "uploads", work=False) as rig:
        rig.imports.files = SealedFolder(state / "uploads", FakeSiteKeys(), free=lambda _path: 10)
        status, said = await rig.post(staff("E1"))
        assert (status, said["code"]) == (503, "disk_full")
        assert not rig.files()


async def test_a_restarted_gateway_goes_on_and_sweeps_what_crashed(database: Database, state: Path):
    await add_consent_text(database)
    async with running(database, state / "uploads", work=False) as rig:
        status, begun = await rig.post(staff("E1", "E2"), photos("E1", "E2"))
        assert status == 202
        plain = b"".join(path.read_bytes() for path in rig.files())
        assert len(rig.files()) == 2
        assert b"Person" not in plain
        assert b"face:" not in plain
        (state / "uploads" / "0b3c7f8e-45a2-4f0e-9a52-3f6f1c1f7f11.zip").write_bytes(b"of a crash")
    async with running(database, state / "uploads") as rig:
        over = await rig.over(begun["id"])
        assert (over["state"], over["counts"]["created"]) == ("done", 2)
        await until_empty(rig)
        async with database.connection() as db:
            assert await db.fetchval("SELECT files::text FROM imports") == "{}"


async def test_an_altered_upload_fails_the_import_and_says_so(database: Database, state: Path):
    async with running(database, state / "uploads", work=False) as rig:
        _, begun = await rig.post(staff("E1"))
        (path,) = rig.files()
        data = bytearray(path.read_bytes())
        data[40] ^= 1
        path.write_bytes(bytes(data))
    async with running(database, state / "uploads") as rig:
        over = await rig.over(begun["id"])
        assert (over["state"], over["code"]) == ("failed", "seal_broken")


async def test_a_waiting_import_can_be_cancelled_and_its_files_go(database: Database, state: Path):
    async with running(database, state / "uploads", work=False) as rig:
        _, begun = await rig.post(staff("E1"))
        said = await rig.client.post(f"/api/v1/imports/{begun['id']}/cancel")
        assert (said.status, (await said.json())["state"]) == (200, "cancelled")
        again = await rig.client.post(f"/api/v1/imports/{begun['id']}/cancel")
        assert (again.status, (await again.json())["code"]) == (409, "import_over")
        assert rig.told.of("import.cancel") == 1
    async with running(database, state / "uploads") as rig:
        await until_empty(rig)
        async with database.connection() as db:
            assert await db.fetchval("SELECT count(*) FROM people") == 0


async def test_no_more_than_five_imports_wait(database: Database, state: Path):
    async with running(database, state / "uploads", work=False) as rig:
        assert [(await rig.post(staff("E1")))[0] for _ in range(6)] == [202] * 5 + [409]
        assert len(rig.files()) == 5


async def test_the_worker_ends_when_told_so_even_as_an_import_comes(database: Database, state: Path):
    async with running(database, state / "uploads", work=False) as rig:
        rig.imports.look_s = 30
        task = asyncio.create_task(rig.imports.run())
        await asyncio.sleep(0.5)
        rig.imports._wake.set()
        await asyncio.sleep(0)
        task.cancel()
        ended, _ = await asyncio.wait({task}, timeout=10)
        task.cancel()
        assert ended


async def test_one_upload_at_a_time(database: Database, state: Path):
    async with running(database, state / "uploads", work=False) as rig, rig.imports.upload():
        with pytest.raises(Rejected) as refused:
            async with rig.imports.upload():
                pass
        assert refused.value.code == "upload_running"


async def test_the_same_request_again_is_the_same_import(rig: Rig):
    async def once() -> str:
        said = await rig.client.post(
            "/api/v1/imports",
            data=staff("E1"),
            headers={"Content-Type": "text/csv", "Idempotency-Key": "k1"},
        )
        assert said.status == 202
        return str((await said.json())["id"])

    assert await once() == await once()


@pytest.mark.parametrize("path", ["x", "0b3c7f8e-45a2-4f0e-9a52-3f6f1c1f7f11"])
async def test_an_unknown_import_is_not_found(rig: Rig, path: str):
    for method, rest in (("GET", ""), ("GET", "/lines"), ("POST", "/cancel")):
        said = await rig.client.request(method, f"/api/v1/imports/{path}{rest}")
        assert (said.status, (await said.json())["code"]) == (404, "no_such_import")


async def test_states_are_as_the_database_has_them(rig: Rig):
    assert {*ImportState} == {"waiting", "running", "done", "failed", "cancelled"}
    assert (await rig.client.get("/api/v1/imports?before=nobody")).status == 404

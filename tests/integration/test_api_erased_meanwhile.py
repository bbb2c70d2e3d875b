"""Somebody is erased while everything else happens to them: nothing of them comes back."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
import pytest

from gateway.rehearsal import portraits
from gateway.storage.pool import Database
from gateway.vision.photo import PhotoAnalyser
from tests.fakes.asking_office import Asking, asking
from tests.fakes.office import engine

ADA = {"number": "7", "name": "Ada"}
THEIRS = ("consents", "templates", "photographs", "cards", "pins", "person_profiles")


@pytest.fixture
async def served(database: Database, state: Path) -> AsyncIterator[Asking]:
    async with asking(database, state) as made:
        yield made


async def test_who_is_erased_while_all_else_happens_to_them_stays_erased(served: Asking):
    await served.made("/api/v1/consent-texts", {"version": "1", "language": "en", "body": "I agree."})
    given = {"text_version": "1", "how": "paper"}
    for round_ in range(12):
        one = "/api/v1/people/" + (await served.made("/api/v1/people", {**ADA, "number": str(round_)}))["id"]
        await served.made(f"{one}/consents", given)
        others: list[tuple[str, str, dict[str, Any] | None]] = [
            ("PATCH", one, {"name": "B"}),
            ("POST", f"{one}/consents", given),
            ("POST", f"{one}/cards", {"number": f"AA{round_:02d}", "label": "x"}),
            ("PUT", f"{one}/pin", {"pin": "7302"}),
            ("DELETE", f"{one}/consents", None),
            ("DELETE", f"{one}/templates", None),
            ("GET", f"{one}/export", None),
            ("PATCH", one, {"status": "suspended"}),
            ("PATCH", one, {"profiles": []}),
            ("GET", one, None),
        ]
        others.insert(round_ % 11, ("DELETE", one, None))
        said = await asyncio.gather(
            *(served.ask(m, path, json=body, headers={"If-Match": "*"}) for m, path, body in others)
        )
        assert said[round_ % 11][0] == 200, said
        assert all(status < 500 for status, _ in said), said
        assert (await served.ask("GET", one))[0] == 404
    for table in ("people", *THEIRS):
        assert await served.count(table) == 0, table


async def consenting(served: Asking, number: str) -> str:
    who = str((await served.made("/api/v1/people", {**ADA, "number": number}))["id"])
    async with served.database.connection() as db:
        await db.execute("INSERT INTO consents (person_id, attestation) VALUES ($1, 'paper')", UUID(who))
    return who


@pytest.mark.parametrize("after_s", [0.0, 0.02, 0.1, 0.3, 0.6])
@pytest.mark.parametrize("ending", ["erase", "withdraw"])
async def test_photographs_on_their_way_do_not_outlive_who_they_show(
    served: Asking, after_s: float, ending: str
):
    collins = portraits.collins(PhotoAnalyser(engine())).png()
    one = f"/api/v1/people/{await consenting(served, '7')}"
    form = aiohttp.FormData()
    form.add_field("photograph", collins, filename="a.png")
    headers = {"Idempotency-Key": "k1"}
    enrol = asyncio.create_task(served.ask("POST", f"{one}/photographs", data=form, headers=headers))
    await asyncio.sleep(after_s)
    status, _ = await served.ask("DELETE", one if ending == "erase" else f"{one}/consents")
    assert status == 200
    status, said = await enrol
    assert status in {201, 404, 409}, said
    for table in ("templates", "photographs"):
        assert await served.count(table) == 0, table
    if ending == "erase":
        assert await served.count("idempotency") == 0, "not even in an answer that is kept"


async def test_an_import_and_an_erasure_of_its_people_go_on_side_by_side(served: Asking):
    people = [await consenting(served, str(i)) for i in range(20)]
    csv = b"number,name\r\n" + b"".join(b"%d,B%d\r\n" % (i, i) for i in range(40))
    working = asyncio.create_task(served.office.office.imports.run())
    try:
        headers = {"Content-Type": "text/csv"}
        status, begun = await served.ask("POST", "/api/v1/imports", data=csv, headers=headers)
        assert status == 202
        for who in people:
            assert (await served.ask("DELETE", f"/api/v1/people/{who}"))[0] == 200
        async with asyncio.timeout(60):
            while True:
                _, now = await served.ask("GET", f"/api/v1/imports/{begun['id']}")
                if now["finished_at"] is not None:
                    break
                await asyncio.sleep(0.1)
    finally:
        working.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await working
    assert now["state"] == "done", now
    assert sum(now["counts"].values()) == 40
    for who in people:
        assert (await served.ask("GET", f"/api/v1/people/{who}"))[0] == 404
    async with served.database.connection() as db:
        for table in THEIRS:
            assert (
                await db.fetchval(
                    f"SELECT count(*) FROM {table} WHERE person_id = ANY($1)",  # noqa: S608
                    [UUID(who) for who in people],
                )
                == 0
            ), table

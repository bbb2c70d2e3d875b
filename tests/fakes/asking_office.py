"""The API on a port of its own, asked in JSON by two keys that may everything."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from gateway.api.server import listening
from gateway.domain.accounts import Actor, Role
from gateway.security.spool import SealedFolder
from gateway.settings import Api
from gateway.storage.pool import Database
from tests.fakes.office import FakeSiteKeys, OfficeRig, office_rig

ROOT = Actor(id="command:root", roles=frozenset(Role))


@dataclass
class Asking:
    office: OfficeRig
    database: Database
    port: int
    session: aiohttp.ClientSession
    key: str
    other: str

    async def ask(self, method: str, path: str, key: str = "", **more: Any) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {key or self.key}", **more.pop("headers", {})}
        url = f"http://127.0.0.1:{self.port}{path}"
        async with self.session.request(method, url, headers=headers, **more) as said:
            return said.status, await said.json() if said.content_type.endswith("json") else None

    async def made(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        status, said = await self.ask("POST", path, json=body)
        assert status == 201, said
        return dict(said)

    async def count(self, table: str) -> int:
        async with self.database.connection() as db:
            return int(await db.fetchval(f"SELECT count(*) FROM {table}"))  # noqa: S608

    def done(self, action: str) -> int:
        return sum(a["action"] == action for a in self.office.actions())


@contextlib.asynccontextmanager
async def asking(database: Database, state: Path) -> AsyncIterator[Asking]:
    async with office_rig(database, real_callers=True) as office:
        office.office.imports.files = SealedFolder(state / "uploads", FakeSiteKeys())
        keys = [
            (await office.office.services().keys.create(
                ROOT, name="k", roles=frozenset(Role), scopes=frozenset(), expires_at=None
            ))[1]
            for _ in range(2)
        ]  # fmt: skip
        async with (
            listening(Api(port=0), office.office.application()) as port,
            aiohttp.ClientSession() as session,
        ):
            yield Asking(office, database, port, session, *keys)

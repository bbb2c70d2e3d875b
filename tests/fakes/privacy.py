"""The people's side with its privacy routes, on a real database, a real journal and real seals."""

import contextlib
import hashlib
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from gateway import enrolment_desk, settings
from gateway.api.catalogue import catalogue
from gateway.api.problems import Refusal
from gateway.api.routing import Route
from gateway.bulk import bulk_of
from gateway.domain.accounts import Actor, Role
from gateway.domain.ids import AccessPointId, PersonId
from gateway.foundation import Stores, stores_on
from gateway.ground import Ground
from gateway.office import Office
from gateway.ports import FaceAnalyser
from gateway.privacy_desk import PrivacyDesk
from gateway.security.master_key import MasterKey
from gateway.security.sealing import AesGcmSealer
from gateway.services.enrolment import Judge
from gateway.services.forwarder import Forwarder
from gateway.services.witness import Record
from gateway.settings import Api, Site
from gateway.storage.journal import SqliteJournal
from gateway.storage.pool import Database
from gateway.telemetry.clock import SystemClock
from tests.fakes.drafts import GATEWAY
from tests.fakes.importing import MadeUpAnalyser
from tests.fakes.office import view

TEXT = {"version": "2026-01-en", "language": "en", "body": "I agree that my face opens doors.\n"}
SITE = """
name = "Head office"
state_folder = "{folder}"
[[cameras]]
id = "lobby"
url = "rtsp://192.0.2.1/s"
[[devices]]
id = "d"
profile = "waveshare-relay"
host = "192.0.2.2"
[[doors]]
id = "main"
name = "Main"
device = "d"
channel = 1
[[access_points]]
id = "lobby-in"
name = "Lobby"
camera = "lobby"
door = "main"
"""


def site(folder: Path, more: str = "") -> Site:
    """A site with one door; ``more`` is TOML."""
    path = folder / "site.toml"
    path.write_text(SITE.format(folder=folder) + more)
    return settings.load(path)


class DerivedSiteKeys:
    """Site keys that follow from a master key, so that a test can lose it."""

    def __init__(self, master: bytes) -> None:
        self._master = master

    async def key(self, name: str) -> bytes:
        return hashlib.sha256(self._master + name.encode()).digest()


@dataclass
class PrivacyRig:
    client: TestClient
    desk: PrivacyDesk
    stores: Stores
    journal: SqliteJournal
    forwarder: Forwarder
    sealer: AesGcmSealer
    routes: Sequence[Route]
    roles: frozenset[Role] = frozenset(Role)
    scopes: frozenset[str] = field(default_factory=frozenset)
    signed_in: bool = True

    async def identify(self, request: web.Request) -> Actor:
        if not self.signed_in:
            raise Refusal("sign in first", code="unauthenticated")
        return Actor(id="account:1", roles=self.roles, scopes=self.scopes, address="192.0.2.99")

    async def ask(self, method: str, path: str, *, expect: int = 200, **more: Any) -> Any:
        """The JSON of an answer with the expected status."""
        said = await self.client.request(method, "/api/v1" + path, **more)
        assert said.status == expect, (said.status, await said.text())
        return await said.json() if said.content_length else None

    async def person(self, number: str = "7", name: str = "Ada Lovelace", **more: str) -> PersonId:
        """Somebody new."""
        made = await self.ask("POST", "/people", expect=201, json={"number": number, "name": name, **more})
        return PersonId(made["id"])

    async def consenting(self, number: str = "7", name: str = "Ada Lovelace", **more: str) -> PersonId:
        """Somebody who agreed to the current text."""
        if not (await self.ask("GET", "/consent-texts"))["items"]:
            await self.ask("POST", "/consent-texts", expect=201, json=TEXT)
        who = await self.person(number, name, **more)
        given = {"text_version": TEXT["version"], "how": "paper", "note": "folder 7"}
        await self.ask("POST", f"/people/{who}/consents", expect=201, json=given)
        return who

    async def actions(self) -> list[dict[str, Any]]:
        """What is on record so far, through the ledger."""
        await self.forwarder.flush()
        async with self.stores.database.connection() as db:
            rows = await db.fetch(
                "SELECT convert_from(canonical, 'UTF8')::json -> 'data' AS data FROM events "
                "WHERE kind = 'operator_action' ORDER BY seq"
            )
        return [json.loads(row["data"]) for row in rows]


@contextlib.asynccontextmanager
async def privacy_rig(
    database: Database,
    of: Site,
    folder: Path,
    *,
    master: bytes = b"m" * 32,
    analyser: FaceAnalyser | None = None,
) -> AsyncIterator[PrivacyRig]:
    """The whole API; ``analyser`` judges photographs, by default one of made-up faces."""
    clock, sealer, keys = SystemClock(), AesGcmSealer(MasterKey(master)), DerivedSiteKeys(master)
    stores = stores_on(of, database)
    await stores.people.sync_access_points([(AccessPointId(p.id), p.name) for p in of.access_points])
    journal = await SqliteJournal.open(folder / "journal.db", GATEWAY)
    ground = Ground(
        site=of,
        stores=stores,
        sealer=sealer,
        site_keys=keys,
        record=Record(journal, clock, sealer),
        clock=clock,
    )
    rig: list[PrivacyRig] = []

    async def identify(request: web.Request) -> Actor:
        return await rig[0].identify(request)

    judging = analyser or MadeUpAnalyser()
    office = Office(
        settings=Api(requests_per_s=10_000, burst=100_000),
        ground=ground,
        desk=enrolment_desk.desk(ground, judging),
        imports=bulk_of(ground, Judge(judging)).imports(),
        view=view(),
    )
    try:
        server = TestServer(office.application(identify))
        await server.start_server(access_log=None)  # as ``api.server`` serves: it would log what is asked for
        async with TestClient(server) as client:
            rig.append(
                PrivacyRig(
                    client=client,
                    desk=PrivacyDesk(ground=ground),
                    stores=stores,
                    journal=journal,
                    forwarder=Forwarder(journal, stores.events),
                    sealer=sealer,
                    routes=list(catalogue(office.services())),
                )
            )
            yield rig[0]
    finally:
        await journal.close()

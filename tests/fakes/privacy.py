"""The people's side with its privacy routes, on a real database, a real journal and real seals."""

import contextlib
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from gateway import settings
from gateway.api.catalogue import catalogue
from gateway.api.frame import Frame
from gateway.api.limits import RateLimit
from gateway.api.problems import Refusal
from gateway.api.routing import Route
from gateway.domain.accounts import Actor, Role
from gateway.domain.ids import AccessPointId, PersonId
from gateway.foundation import Stores
from gateway.office import Office
from gateway.privacy_desk import PrivacyDesk
from gateway.security.master_key import MasterKey
from gateway.security.sealing import AesGcmSealer
from gateway.security.site_sealer import AesGcmSiteSealer
from gateway.services.forwarder import Forwarder
from gateway.services.witness import Record
from gateway.settings import Api, Site
from gateway.storage.credentials import PostgresCredentials
from gateway.storage.events import PostgresEvents
from gateway.storage.idempotency import PostgresIdempotency
from gateway.storage.journal import SqliteJournal
from gateway.storage.people import PostgresPeople
from gateway.storage.photographs import PostgresPhotographs
from gateway.storage.pool import Database
from gateway.storage.profiles import PostgresProfiles
from gateway.storage.staff import PostgresStaff
from gateway.storage.templates import PostgresTemplates
from gateway.telemetry.clock import SystemClock
from tests.fakes.drafts import GATEWAY
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


def stores_of(database: Database, of: Site) -> Stores:
    """Stores over a database that the test owns."""
    return Stores(
        site=of,
        database=database,
        embedded=None,
        people=PostgresPeople(database),
        events=PostgresEvents(database),
        staff=PostgresStaff(database),
        profiles=PostgresProfiles(database),
        credentials=PostgresCredentials(database),
        templates=PostgresTemplates(database),
        photographs=PostgresPhotographs(database),
    )


@contextlib.asynccontextmanager
async def privacy_rig(
    database: Database,
    of: Site,
    folder: Path,
    *,
    master: bytes = b"m" * 32,
    more: Callable[[PrivacyDesk], Sequence[Route]] = lambda _desk: (),
) -> AsyncIterator[PrivacyRig]:
    """All routes of people and privacy, and ``more`` besides."""
    clock, sealer, keys = SystemClock(), AesGcmSealer(MasterKey(master)), DerivedSiteKeys(master)
    stores = stores_of(database, of)
    await stores.people.sync_access_points([(AccessPointId(p.id), p.name) for p in of.access_points])
    journal = await SqliteJournal.open(folder / "journal.db", GATEWAY)
    record = Record(journal, clock, sealer)
    rig: list[PrivacyRig] = []

    async def identify(request: web.Request) -> Actor:
        return await rig[0].identify(request)

    desk = PrivacyDesk(site=of, stores=stores, sealer=sealer, site_keys=keys, record=record, clock=clock)
    office = Office(
        settings=Api(requests_per_s=10_000, burst=100_000),
        stores=stores,
        journal=journal,
        sealer=sealer,
        site_keys=keys,
        clock=clock,
        identify=identify,
        view=view(),
    )
    together = [
        *catalogue(office.services()),
        *desk.consent_routes().table(),
        *desk.privacy_routes().table(),
        *more(desk),
    ]
    table = list({(one.method, one.path): one for one in together}.values())
    frame = Frame(
        identify=identify,
        requests=PostgresIdempotency(database, AesGcmSiteSealer(keys)),
        limit=RateLimit(clock, 10_000, 100_000),
    )
    try:
        server = TestServer(frame.application(table))
        await server.start_server(access_log=None)  # as ``api.server`` serves: it would log what is asked for
        async with TestClient(server) as client:
            rig.append(
                PrivacyRig(
                    client=client,
                    desk=desk,
                    stores=stores,
                    journal=journal,
                    forwarder=Forwarder(journal, stores.events),
                    sealer=sealer,
                    routes=table,
                )
            )
            yield rig[0]
    finally:
        await journal.close()

"""The whole API on a real database, with a caller who is whoever the test says."""

import contextlib
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from gateway.api.catalogue import catalogue
from gateway.api.problems import Refusal
from gateway.api.routes_gateway import DoorOut, View
from gateway.api.routing import Route
from gateway.domain.accounts import Actor, Role
from gateway.domain.ids import AccessPointId, PersonId
from gateway.foundation import Stores
from gateway.office import Office
from gateway.security.master_key import MasterKey
from gateway.security.sealing import AesGcmSealer
from gateway.settings import Api
from gateway.storage.credentials import PostgresCredentials
from gateway.storage.events import PostgresEvents
from gateway.storage.people import PostgresPeople
from gateway.storage.photographs import PostgresPhotographs
from gateway.storage.pool import Database
from gateway.storage.profiles import PostgresProfiles
from gateway.storage.staff import PostgresStaff
from gateway.storage.templates import PostgresTemplates
from gateway.telemetry.clock import SystemClock
from tests.fakes.journal import FakeJournal


class FakeSiteKeys:
    async def key(self, name: str) -> bytes:
        return hashlib.sha256(name.encode()).digest()


async def _nothing_waits() -> int:
    return 0


def view() -> View:
    door = DoorOut(
        id="main",
        name="Main",
        link="up",
        ready=True,
        detail="",
        alarms=[],
        pulse_class="A",
        round_trip_p99_ms=1.0,
    )
    return View(
        gateway="gateway-1",
        ready=lambda: True,
        doors=lambda: [door],
        cameras=dict,
        database=lambda: True,
        roster=lambda: "version 1",
        journal_waits=_nothing_waits,
    )


@dataclass
class OfficeRig:
    client: TestClient
    office: Office
    journal: FakeJournal
    sealer: AesGcmSealer
    roles: frozenset[Role] = frozenset(Role)
    scopes: frozenset[str] = field(default_factory=frozenset)
    signed_in: bool = True

    async def identify(self, request: web.Request) -> Actor:
        if not self.signed_in:
            raise Refusal("sign in first", code="unauthenticated")
        return Actor(id="account:1", roles=self.roles, scopes=self.scopes, address=request.remote or "")

    @property
    def routes(self) -> list[Route]:
        return list(catalogue(self.office.services()))

    def actions(self, person_id: str | None = None) -> list[dict[str, object]]:
        """The data of all operator's actions so far."""
        return [
            dict(event.draft.data)
            for event, _ in self.journal.events
            if event.draft.kind == "operator_action" and person_id in {None, event.draft.person_id}
        ]


@contextlib.asynccontextmanager
async def office_rig(database: Database) -> AsyncIterator[OfficeRig]:
    journal, clock = FakeJournal(), SystemClock()
    sealer = AesGcmSealer(MasterKey(b"m" * 32))
    stores = Stores(
        site=None,  # type: ignore[arg-type]  # the embedded server is the test's own
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
    await stores.people.sync_access_points([(AccessPointId("lobby-in"), "Lobby")])
    rig: list[OfficeRig] = []

    async def identify(request: web.Request) -> Actor:
        return await rig[0].identify(request)

    office = Office(
        settings=Api(requests_per_s=10_000, burst=100_000),
        stores=stores,
        journal=journal,
        sealer=sealer,
        site_keys=FakeSiteKeys(),
        clock=clock,
        identify=identify,
        view=view(),
    )
    async with TestClient(TestServer(office.application())) as client:
        rig.append(OfficeRig(client=client, office=office, journal=journal, sealer=sealer))
        yield rig[0]


def person(person_id: str) -> PersonId:
    return PersonId(person_id)

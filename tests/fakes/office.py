"""The whole API on a real database, with a caller who is whoever the test says."""

import contextlib
import functools
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from argon2 import PasswordHasher

from gateway import enrolment_desk, settings
from gateway.api.catalogue import catalogue
from gateway.api.problems import Refusal
from gateway.api.routes_gateway import DoorOut, View
from gateway.api.routing import Route
from gateway.bulk import bulk_of
from gateway.domain.accounts import Actor, Role
from gateway.domain.errors import ModelMissing
from gateway.domain.ids import AccessPointId, PersonId
from gateway.foundation import enrolment_engine, stores_on
from gateway.ground import Ground
from gateway.office import Office
from gateway.security.master_key import MasterKey
from gateway.security.passwords import ArgonPasswords
from gateway.security.sealing import AesGcmSealer
from gateway.services.enrolment import Judge
from gateway.services.witness import Record
from gateway.settings import Api, Oidc, Site
from gateway.storage.pool import Database
from gateway.telemetry.clock import SystemClock
from gateway.vision.engine import FaceEngine
from gateway.vision.photo import PhotoAnalyser
from tests.fakes.journal import FakeJournal

SITE = settings.parse(
    {
        "name": "t",
        "state_folder": "/nowhere",
        "cameras": [{"id": "c", "url": "rtsp://127.0.0.1:1/none"}],
        "devices": [{"id": "d", "profile": "waveshare-relay", "host": "127.0.0.1", "port": 1}],
        "doors": [{"id": "m", "name": "M", "device": "d", "channel": 1}],
        "access_points": [{"id": "p", "name": "P", "camera": "c", "door": "m"}],
    },
    source="test",
    base=Path("/"),
)


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
        keys=lambda: "right",
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


@functools.cache
def engine() -> FaceEngine:
    """One for all tests of a process. Skips the test when the models are not there."""
    try:
        return enrolment_engine(SITE)
    except ModelMissing as error:
        pytest.skip(str(error))


@contextlib.asynccontextmanager
async def office_rig(
    database: Database, *, site: Site = SITE, real_callers: bool = False, oidc: Oidc | None = None
) -> AsyncIterator[OfficeRig]:
    """``real_callers``: sessions and keys decide who asks, as they do for everybody."""
    journal, clock = FakeJournal(), SystemClock()
    sealer = AesGcmSealer(MasterKey(b"m" * 32))
    stores = stores_on(site, database)
    await stores.people.sync_access_points([(AccessPointId("lobby-in"), "Lobby")])
    rig: list[OfficeRig] = []

    async def identify(request: web.Request) -> Actor:
        return await rig[0].identify(request)

    ground = Ground(
        site=site,
        stores=stores,
        sealer=sealer,
        site_keys=FakeSiteKeys(),
        record=Record(journal, clock, sealer),
        clock=clock,
    )
    analyser = PhotoAnalyser(engine())
    office = Office(
        settings=Api(requests_per_s=10_000, burst=100_000, oidc=oidc),
        ground=ground,
        desk=enrolment_desk.desk(ground, analyser),
        imports=bulk_of(ground, Judge(analyser)).imports(),
        view=view(),
        passwords=ArgonPasswords(PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1)),
    )
    async with TestClient(TestServer(office.application(None if real_callers else identify))) as client:
        rig.append(OfficeRig(client=client, office=office, journal=journal, sealer=sealer))
        yield rig[0]


def person(person_id: str) -> PersonId:
    return PersonId(person_id)

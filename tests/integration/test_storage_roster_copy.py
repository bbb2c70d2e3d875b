"""The sealed roster, with what a fake cannot show: writers killed at any instant, a database that is gone."""

import asyncio
import contextlib
import random
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from gateway.domain.access import Rules, Situation, decide
from gateway.domain.decisions import DenyReason
from gateway.domain.enrolment import SealedTemplate
from gateway.domain.events import EventKind
from gateway.domain.identity import Recognised
from gateway.domain.ids import GrantId, PersonId
from gateway.domain.people import PersonStatus
from gateway.foundation import stores_on
from gateway.roster_desk import RosterDesk, described
from gateway.security.roster_file import NAME, STAMP, SealedRosterFile
from gateway.security.sealing import AesGcmSealer
from gateway.services.roster import RosterSync, Source
from gateway.services.roster_opening import to_bytes
from gateway.settings import Site
from gateway.storage.embedded import EmbeddedPostgres
from gateway.storage.migrate import migrate
from gateway.storage.people import PostgresPeople
from gateway.storage.pool import Database
from gateway.telemetry.clock import SystemClock
from tests.contract.test_people_store_contract import DOOR, MODEL, enrol, new_person
from tests.contract.test_roster_copy_contract import MORNING
from tests.fakes.faces import axis
from tests.integration.roster_file_child import KEY

ROOT = Path(__file__).parents[2]
ROUNDS = 15
CLOCK = SystemClock()


def test_a_writer_killed_at_any_instant_leaves_a_whole_roster(tmp_path: Path) -> None:
    """Never a half, never an older one than was reported, and its rubbish goes with the next writing."""
    reported = 0
    for _ in range(ROUNDS):
        child = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.roster_file_child", str(tmp_path), "2000"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
        )
        assert child.stdout is not None
        first = child.stdout.readline()
        assert first, "it never wrote"
        time.sleep(random.uniform(0, 0.2))
        child.kill()
        rest = child.stdout.read()
        child.wait(10)
        child.stdout.close()
        reported = int((first + rest).split()[-1])
        found = SealedRosterFile(tmp_path, "gateway-1", KEY).read()
        assert found is not None
        assert found.version in {reported, reported + 1}
        assert len(found.people) == 2000
        written_at = MORNING + timedelta(minutes=found.version)
        assert found.confirmed_at in {written_at, written_at + timedelta(seconds=1)}
    SealedRosterFile(tmp_path, "gateway-1", KEY).remove()
    assert list(tmp_path.iterdir()) == []
    assert reported >= ROUNDS


@dataclass
class Rig:
    """A gateway's roster on a server of its own, which can be stopped."""

    server: EmbeddedPostgres
    state: Path
    address: str = ""

    def __post_init__(self) -> None:
        self.sealer = AesGcmSealer(KEY)
        self.told: list[dict] = []

    async def url(self) -> str:
        """As for a server elsewhere: nobody here starts it again."""
        return self.address

    @contextlib.asynccontextmanager
    async def gateway(self) -> AsyncIterator[RosterSync]:
        site = Site(
            name="t",
            state_folder=str(self.state),
            cameras=(),
            devices=(),
            access_points=(),
        )
        database = Database(self.url)
        desk = RosterDesk(
            site=site,
            stores=stores_on(site, database),
            sealer=self.sealer,
            model_id=MODEL,
            clock=CLOCK,
        )

        def note(kind: EventKind, data) -> None:
            assert kind is EventKind.ROSTER_SOURCE
            self.told.append(dict(data))

        sync = desk.sync(note)
        task = asyncio.create_task(sync.run())
        try:
            yield sync
            assert not task.done(), task.exception()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await database.close()

    async def somebody(self, people: PostgresPeople, i: int) -> PersonId:
        who = new_person()
        key = self.sealer.new_key(who)
        sealed = self.sealer.seal(key, who, MODEL, to_bytes(axis(i)))
        template = SealedTemplate(model_id=MODEL, sealed=sealed, quality=0.5)
        return await enrol(people, number=f"E{i}", person_id=who, wrapped_key=key, templates=[template])


def reason(sync: RosterSync, i: int) -> DenyReason | str | None:
    """What becomes of who looks like person ``i``: None is a grant."""
    roster, now = sync.current(), CLOCK.monotonic_ns()
    if roster is None:
        return "nobody is known"
    match = roster.gallery.search(axis(i))
    if match.score < 0.9:
        return "a stranger"
    verdict = decide(
        Recognised(person_id=match.person_id, score=match.score, margin=0.5, live=None),
        Rules(
            access_point_id=DOOR,
            liveness_required=False,
            evidence_max_age_ns=10**9,
            roster_max_age_ns=24 * 3600 * 10**9,
            grant_ttl_ns=10**9,
        ),
        Situation(
            now_ns=now,
            now=CLOCK.now(),
            evidence_ns=now,
            roster=roster,
            liveness_available=True,
            door_ready=True,
            door_busy=False,
        ),
        GrantId("g"),
    )
    return getattr(verdict, "reason", None)


async def until(true: Callable[[], object], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.01)


@pytest.fixture
async def rig(state: Path) -> AsyncIterator[Rig]:
    server = EmbeddedPostgres(state / "postgres")
    rig = Rig(server, state)
    rig.address = await server.start()
    try:
        yield rig
    finally:
        await server.stop_server()
        await server.stop()


async def test_a_gateway_whose_database_is_gone_starts_decides_and_follows_again(rig: Rig) -> None:
    direct = Database(rig.url)
    await migrate(direct)
    people = PostgresPeople(direct)
    await people.sync_access_points([(DOOR, "Main")])
    stays, suspended, erased = [await rig.somebody(people, i) for i in range(3)]
    async with rig.gateway() as sync:
        await until(lambda: reason(sync, 0) is None and reason(sync, 2) is None)
        await people.set_status("E1", PersonStatus.SUSPENDED)
        async with direct.connection() as db:
            await db.execute("DELETE FROM people WHERE person_id = $1", UUID(erased))
        began = time.monotonic()
        await until(lambda: reason(sync, 2) == "a stranger")
        await until(lambda: set(_kept(rig)) == {stays, suspended})
        assert time.monotonic() - began < 5, "far more than the second it should take"
    await direct.close()
    await rig.server.stop_server()

    async with rig.gateway() as sync:
        await until(sync.current)
        assert sync.source is Source.COPY
        assert reason(sync, 0) is None
        assert reason(sync, 1) is DenyReason.PERSON_NOT_ACTIVE
        assert reason(sync, 2) == "a stranger"
        assert "FROM THE SEALED COPY" in described(sync, CLOCK)
        assert rig.told[-1]["source"] == "copy"
        assert rig.told[-1]["confirmed_at"]

        rig.address = await rig.server.start()
        await until(lambda: sync.source is Source.DATABASE)
        direct = Database(rig.url)
        await PostgresPeople(direct).set_status("E0", PersonStatus.SUSPENDED)
        await until(lambda: reason(sync, 0) is DenyReason.PERSON_NOT_ACTIVE)
        assert "from the database" in described(sync, CLOCK)
        await rig.server.stop_server()
        await until(lambda: sync.source is Source.MEMORY)
        assert reason(sync, 0) is DenyReason.PERSON_NOT_ACTIVE
        await direct.close()

    for break_it in (_flip, _cut, _other_gateway, lambda r: (r.state / NAME).unlink()):
        whole = (rig.state / NAME).read_bytes()
        break_it(rig)
        async with rig.gateway() as sync:
            await asyncio.sleep(1)
            assert sync.current() is None, break_it
            assert "doors stay shut" in described(sync, CLOCK)
        (rig.state / NAME).write_bytes(whole)


def _kept(rig: Rig) -> list[PersonId]:
    found = SealedRosterFile(rig.state, "gateway-1", KEY).read()
    return [p.person_id for p in found.people] if found else []


def _flip(rig: Rig) -> None:
    whole = bytearray((rig.state / NAME).read_bytes())
    whole[len(whole) // 2] ^= 1
    (rig.state / NAME).write_bytes(whole)


def _cut(rig: Rig) -> None:
    (rig.state / NAME).write_bytes((rig.state / NAME).read_bytes()[:-1])


def _other_gateway(rig: Rig) -> None:
    found = SealedRosterFile(rig.state, "gateway-1", KEY).read()
    assert found is not None
    (rig.state / STAMP).unlink(missing_ok=True)
    SealedRosterFile(rig.state, "gateway-2", KEY).write(found)

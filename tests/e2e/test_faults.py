"""Faults of every part while somebody walks up; the relay's record is held against the ledger."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest

from drivers.simulators.camera import Fault as CameraFault
from drivers.simulators.camera import SimulatedCamera
from drivers.simulators.door_controller import DoorController
from drivers.simulators.modbus_faults import PULSES, Fault, FaultKind
from gateway.app import running
from gateway.domain.decisions import DenyReason
from gateway.domain.doors import Link
from gateway.domain.sightings import CameraState
from gateway.enrolment_desk import enrolling
from gateway.rehearsal import ledger
from gateway.rehearsal.acts import Mark
from gateway.rehearsal.portraits import Portrait
from gateway.rehearsal.stage import Staging, site, until_ready
from gateway.roster_desk import described
from gateway.running_gateway import Gateway, Watch
from gateway.services.enrolment import Photo
from gateway.services.roster import Source
from gateway.settings import Camera, Database, Site
from gateway.storage.embedded import EmbeddedPostgres
from gateway.telemetry.clock import SystemClock
from gateway.walkup.decided import Decided
from tests.e2e import oracle

Film = tuple[Path, list[Mark]]


class Stage:
    """One door with a simulated camera that plays the walk-up again and again."""

    def __init__(self, settings: Site, camera: SimulatedCamera, board: DoorController, state: Path) -> None:
        self.settings, self.camera, self.board, self.state = settings, camera, board, state
        self.decided: list[Decided] = []

    @contextlib.asynccontextmanager
    async def gateway(self) -> AsyncIterator[Gateway]:
        watch = Watch(decided=self.decided.append)
        async with running(self.settings, watch, roster_first=True) as gateway:
            for worker in gateway.workers:
                worker.hung_after_s = 3.0
            await until_ready(gateway)
            yield gateway

    async def grants(self, count: int, timeout_s: float = 30) -> None:
        try:
            await until(lambda: sum(d.kind == "granted" for d in self.decided) >= count, timeout_s)
        except TimeoutError:
            seen = [(d.kind, d.reason, d.score, d.live, d.samples) for d in self.decided]
            pytest.fail(f"not {count} grants in {timeout_s} s: {seen}")

    async def check(self) -> None:
        """The relay against the ledger, after the gateway has stopped."""
        oracle.check(oracle.journal(self.state), self.board.edges)
        checked = await ledger.check(self.settings)
        assert checked.whole, checked


async def until(true: Callable[[], bool], timeout_s: float = 20) -> None:
    async with asyncio.timeout(timeout_s):
        while not true():
            await asyncio.sleep(0.02)


@pytest.fixture
async def stage(walk_up: Film, collins: Portrait, state: Path) -> AsyncIterator[Stage]:
    async with SimulatedCamera(walk_up[0]) as camera, DoorController() as board:
        lens = Camera(
            id="camera", url=camera.rtsp_url, open_timeout_s=3, read_timeout_s=2, frozen_after_s=1.0
        )
        settings = site(state, lens, board, Staging(pulse_ms=500))
        async with enrolling(settings) as enrolment:
            await enrolment.enrol(
                number="1",
                name=collins.name,
                photos=[Photo(name="photo", data=collins.png())],
                consent="test",
            )
        yield Stage(settings, camera, board, state)


async def test_a_walk_up_opens_the_door_once_and_is_recorded(stage: Stage):
    async with stage.gateway() as gateway:
        await stage.grants(2)
        assert gateway.health()["front-door"].ready
    assert stage.board.pulses() == sum(d.kind == "granted" for d in stage.decided)
    await stage.check()


@pytest.mark.parametrize("point", ["before the intent", "after the intent", "after the frame"])
async def test_fault_17_kill_9(stage: Stage, state: Path, point: str):
    site_file = state / "site.toml"
    site_file.write_text(_toml(stage.settings))
    first = await _child(site_file, point)
    async with asyncio.timeout(40):
        assert await first.wait() == -signal.SIGKILL
    died = len([e for e in stage.board.edges if e.on])
    assert died == (1 if point == "after the frame" else 0)
    await asyncio.sleep(0.8)
    assert not stage.board.is_on(), "the board ends the pulse without the gateway"
    second = await _child(site_file, "never")
    try:
        await until(lambda: stage.board.pulses() > died, 40)
    finally:
        second.terminate()
        async with asyncio.timeout(20):
            await second.wait()
    events = oracle.journal(state)
    oracle.check(events, stage.board.edges)
    left = [e for e in events if e.kind == "unlock_outcome" and e.data["outcome"] == "ambiguous"]
    assert len(left) == (0 if point == "before the intent" else 1), "a grant left open is settled, once"


async def test_fault_21_postgres_stopped_during_a_walk_up_and_back(stage: Stage):
    async with stage.gateway() as gateway:
        await stage.grants(1)
        assert gateway.stores.embedded is not None
        await gateway.stores.embedded.stop_server()
        await stage.grants(2)
        await until(lambda: not gateway.forwarder.database_away, 20)
    await stage.check()


async def test_a_gateway_restarted_without_its_database_lets_its_people_in_by_the_sealed_copy(
    stage: Stage, state: Path
):
    async with stage.gateway():
        await stage.grants(1)
        await until((state / "roster.sealed").exists)
    url = state / "url"
    url.write_text("postgresql://nobody@127.0.0.1:1/none")
    embedded, before = stage.settings, len(stage.decided)
    elsewhere = Database(mode="server", url_file=str(url))
    stage.settings = msgspec.structs.replace(embedded, database=elsewhere)
    server = EmbeddedPostgres(state / "postgres")
    try:
        async with stage.gateway() as gateway:
            assert gateway.roster.source is Source.COPY
            assert "FROM THE SEALED COPY" in described(gateway.roster, SystemClock())
            await stage.grants(before + 1)
            url.write_text(await server.start())
            await until(lambda: gateway.roster.source is Source.DATABASE)
            await until(lambda: not gateway.forwarder.database_away)
    finally:
        await server.stop()
    stage.settings = embedded
    told = [e.data["source"] for e in oracle.journal(state) if e.kind == "roster_source"]
    assert told[-2:] == ["copy", "database"]
    await stage.check()


async def test_fault_19_worker_killed_and_hung_mid_track(stage: Stage):
    async with stage.gateway() as gateway:
        worker = gateway.workers[0]
        await stage.grants(1)
        for number in (signal.SIGKILL, signal.SIGSTOP):
            pid, before = worker.pid, len(stage.decided)
            assert pid is not None
            os.kill(pid, number)
            await until(lambda pid=pid: worker.pid not in {None, pid}, 20)
            await until(lambda before=before: any(d.kind == "granted" for d in stage.decided[before:]), 30)
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)
    await stage.check()


@pytest.mark.parametrize(
    ("fault", "seen"),
    [
        (CameraFault.REFUSE, CameraState.DOWN),
        (CameraFault.STALL, CameraState.DOWN),
        (CameraFault.FROZEN, CameraState.FROZEN),
    ],
)
async def test_fault_20_camera_gone_silent_or_frozen(stage: Stage, fault: CameraFault, seen: CameraState):
    async with stage.gateway() as gateway:
        await stage.grants(1)
        await stage.camera.fault(fault)
        if fault is CameraFault.REFUSE:
            await stage.camera.fault(CameraFault.DROP)
            await stage.camera.fault(fault)
        await until(lambda: gateway.cameras["camera"].state is seen, 15)
        quiet = len(stage.decided)
        await asyncio.sleep(1.5)
        assert len(stage.decided) == quiet, "no decision while the camera is not believed"
        await stage.camera.fault(CameraFault.NONE)
        await until(lambda: any(d.kind == "granted" for d in stage.decided[quiet:]), 40)
    kinds = [e.data.get("state") for e in oracle.journal(stage.state) if e.kind == "camera_state"]
    assert seen.value in kinds
    await stage.check()


async def test_fault_3_link_cut_after_the_frame_was_executed(stage: Stage):
    async with stage.gateway():
        stage.board.faults.once(Fault(kind=FaultKind.DROP_AFTER, addresses=PULSES))
        await stage.grants(2)
    await stage.check()


async def test_fault_1_relay_board_gone_means_denied_and_said(stage: Stage):
    async with stage.gateway() as gateway:
        await stage.board.refuse()
        await until(lambda: gateway.health()["front-door"].link is not Link.UP)
        await until(lambda: any(d.reason is DenyReason.DOOR_NOT_READY for d in stage.decided))
        quiet = stage.board.pulses()
        await stage.board.listen()
        await until(lambda: stage.board.pulses() > quiet, 30)
    await stage.check()


async def _child(site_file: Path, point: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.e2e.child", str(site_file), point, cwd=Path(__file__).parents[2]
    )


def _toml(settings: Site) -> str:
    camera, device, point = settings.cameras[0], settings.devices[0], settings.access_points[0]
    door = settings.doors[0]
    return f"""
name = "test"
state_folder = "{settings.state_folder}"
[[cameras]]
id = "{camera.id}"
url = "{camera.url}"
[[devices]]
id = "{device.id}"
profile = "{device.profile}"
host = "{device.host}"
port = {device.port}
[[doors]]
id = "{door.id}"
name = "{door.name}"
device = "{device.id}"
channel = 1
pulse_ms = {door.pulse_ms}
[[access_points]]
id = "{point.id}"
name = "{point.name}"
camera = "{camera.id}"
door = "{door.id}"
"""

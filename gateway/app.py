"""Composition root: settings → adapters → services → tasks. The only file that knows everything."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import structlog

from gateway import __version__, foundation
from gateway.api.metrics import serving
from gateway.domain.doors import DoorHealth
from gateway.domain.errors import DatabaseUnavailable, GatewayError, JournalUnavailable, Unavailable
from gateway.domain.events import EventDraft, EventKind
from gateway.domain.ids import DoorId, GatewayId
from gateway.domain.sightings import CameraReport, CameraState, Sighting
from gateway.doors import Doors
from gateway.eyes import Behind, Eyes, Listeners
from gateway.portals import Portals
from gateway.roster_desk import RosterDesk
from gateway.services.forwarder import Forwarder
from gateway.services.roster import RosterSync
from gateway.settings import Site
from gateway.storage.journal import SqliteJournal
from gateway.telemetry.clock import SystemClock
from gateway.telemetry.door_metrics import registry
from gateway.vision import engine, models
from gateway.vision.supervisor import VisionWorker, WorkerState
from gateway.walkup.decided import Decided
from gateway.walkup.door_actor import Passage, settle_open_grants
from gateway.walkup.recorder import Recorder
from gateway.walkup.supervision import keep_running

_log = structlog.get_logger(__name__)

_TEND_S = 2.0
_DRAIN_S = 3.0
_SERVED_S = 30.0


@dataclass(slots=True, kw_only=True)
class Watch:
    """Callbacks for those who look on; they must be quick and not raise."""

    decided: Callable[[Decided], None] = lambda _decided: None
    camera: Callable[[CameraReport], None] = lambda _report: None
    worker: Callable[[str, WorkerState, str], None] = lambda _name, _state, _why: None
    sighting: Callable[[Sighting], None] = lambda _sighting: None


@dataclass(slots=True, kw_only=True)
class Gateway:
    """A running gateway; made by ``running``."""

    site: Site
    watch: Watch
    journal: SqliteJournal
    stores: foundation.Stores
    roster: RosterSync
    forwarder: Forwarder
    recorder: Recorder
    doors: Doors
    portals: Portals = field(init=False)
    eyes: Eyes = field(default_factory=Eyes)
    cameras: dict[str, CameraReport] = field(default_factory=dict)

    @property
    def workers(self) -> list[VisionWorker]:
        """The vision workers."""
        return self.eyes.workers

    def health(self) -> dict[DoorId, DoorHealth]:
        """Each lock; with what its door says, and with an alarm where no liveness is asked for."""
        found = {}
        for lock_id, health in self.doors.health().items():
            door, _, way = lock_id.partition(".")
            alarms = {str(a) for a in self.portals.portals[door].state.alarms}
            alarms |= self.doors.sensors[door].alarms()
            points = (p for p in self.site.access_points if p.door == door and way in {"", p.direction})
            if any(p.liveness == "off" for p in points):
                alarms.add("liveness_off")
            found[lock_id] = replace(health, alarms=health.alarms | alarms)
        return found

    @property
    def ready(self) -> bool:
        """Every door, camera and the roster are there."""
        seen = {CameraState.UP, CameraState.ENDED}
        return (
            self.doors.ready
            and all(c.id in self.cameras and self.cameras[c.id].state in seen for c in self.site.cameras)
            and self.roster.current() is not None
        )

    @property
    def idle(self) -> bool:
        """No decision and no grant is under way."""
        return self.eyes.idle

    def take_report(self, report: CameraReport) -> None:
        """A worker speaks of a camera."""
        before = self.cameras.get(report.camera_id)
        self.cameras[report.camera_id] = report
        if before is None or before.state is not report.state:
            data = {"camera": report.camera_id, "state": report.state.value, "detail": report.detail}
            self.recorder.note(EventKind.CAMERA_STATE, {**data})
        self.watch.camera(report)

    def take_worker(self, name: str, state: WorkerState, why: str) -> None:
        """A worker came up, or was lost: then nothing is known of its cameras."""
        if state in {WorkerState.RESTARTING, WorkerState.GIVEN_UP}:
            for camera in self.eyes.cameras_of(name):
                self.cameras.pop(camera, None)
        self.recorder.note(EventKind.WORKER_STATE, {"worker": name, "state": state.value, "why": why})
        self.watch.worker(name, state, why)

    def take_door(self, health: DoorHealth) -> None:
        """A door's link or alarms changed."""
        self.recorder.note(
            EventKind.DOOR_STATE,
            {
                "door": health.door_id,
                "link": health.link.value,
                "detail": health.detail,
                "alarms": [*sorted(health.alarms)],
            },
        )

    def take_passage(self, passage: Passage) -> None:
        """A grant has ended: its entrance tells those who watch."""
        self.eyes.entrances[passage.order.grant.access_point_id].passed(passage)

    def take_decided(self, decided: Decided) -> None:
        """A decision has been recorded."""
        self.forwarder.poke()
        self.watch.decided(decided)

    def part_failed(self, name: str, why: str) -> None:
        """One part failed and will start again."""
        self.recorder.note(EventKind.ALARM, {"part": name, "why": why})

    async def tend_database(self) -> None:
        """Keep the database there and its schema ours; say once when it goes and comes."""
        away = False
        while True:
            try:
                await self.stores.prepare()
                if away:
                    _log.info("database_back")
                away = False
            except DatabaseUnavailable as error:
                if not away:
                    _log.warning("database_away", why=str(error))
                away = True
            await asyncio.sleep(_TEND_S)


@contextlib.asynccontextmanager
async def running(
    site: Site, watch: Watch | None = None, *, roster_first: bool = False
) -> AsyncIterator[Gateway]:
    """A whole gateway from entry to exit.

    ``roster_first`` waits for people and doors before the cameras start: a recording plays only once.

    Raises ConfigError, ModelMissing, JournalUnavailable, Rejected when it cannot start; after that trouble
    of a part stays with that part.
    """
    clock = SystemClock()
    state = await asyncio.to_thread(foundation.state_folder, site)
    folder = foundation.models_folder(site)
    await asyncio.to_thread(engine.check_all, folder)
    if not await asyncio.to_thread(engine.liveness_present, folder):
        shut = [p.id for p in site.access_points if p.liveness == "required"]
        _log.error("LIVENESS_MODEL_IS_MISSING", doors_that_stay_shut=shut, fix="facegate models pull")
    doors = Doors.of_site(site)
    async with contextlib.AsyncExitStack() as stack:
        journal = await SqliteJournal.open(state / "journal.db", GatewayId(site.gateway_id))
        stack.push_async_callback(journal.close)
        await settle_open_grants(journal, clock)
        stores = foundation.stores(site)
        stack.push_async_callback(stores.close)
        sealer = await foundation.sealer(site, stores)
        model_id = models.manifest(folder).of("embedder").model_id
        recorder = Recorder(journal, clock)
        desk = RosterDesk(site=site, stores=stores, sealer=sealer, model_id=model_id, clock=clock)
        gateway = Gateway(
            site=site,
            watch=watch or Watch(),
            journal=journal,
            stores=stores,
            roster=desk.sync(recorder.note),
            forwarder=Forwarder(journal, stores.events),
            recorder=recorder,
            doors=doors,
        )
        _compose(gateway, folder, clock)
        await journal.append(_started(gateway, clock))
        if site.metrics is not None:
            found = registry(lambda: gateway.health().values(), clock)
            await stack.enter_async_context(serving(site.metrics, found))
        await doors.start(gateway.take_door)
        stack.push_async_callback(doors.aclose)
        async with asyncio.TaskGroup() as tasks:
            parts = _start_parts(gateway, tasks)
            try:
                if roster_first:
                    await _until_served(gateway)
                parts += _start_eyes(gateway, tasks)
                yield gateway
            finally:
                await _stop(gateway, parts, clock)


def _compose(gateway: Gateway, folder: Path, clock: SystemClock) -> None:
    """Doors, eyes, and who speaks to whom."""
    gateway.portals = Portals(
        site=gateway.site,
        doors=gateway.doors,
        journal=gateway.journal,
        recorder=gateway.recorder,
        clock=clock,
        on_passage=gateway.take_passage,
    ).compose()
    gateway.eyes = Eyes.of_site(
        gateway.site,
        folder,
        Behind(
            actor=lambda point: gateway.portals.actor(point.door, point.direction),
            pulse_ns=lambda point: gateway.doors.pulse_ns(point.door, point.direction),
            roster=gateway.roster,
            journal=gateway.journal,
            clock=clock,
        ),
        Listeners(
            decided=gateway.take_decided,
            sighting=gateway.watch.sighting,
            report=gateway.take_report,
            worker=gateway.take_worker,
        ),
    )


def _start_parts(gateway: Gateway, tasks: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
    """Every task has a name, an owner, and somebody who starts it again."""
    parts: dict[str, Callable[[], Awaitable[None]]] = {
        "database": gateway.tend_database,
        "roster": gateway.roster.run,
        "forwarder": gateway.forwarder.run,
        "recorder": gateway.recorder.run,
    }
    parts |= gateway.portals.parts()
    parts |= {f"entrance-{name}": entrance.run for name, entrance in gateway.eyes.entrances.items()}
    return [_start_part(gateway, tasks, name, part) for name, part in parts.items()]


def _start_eyes(gateway: Gateway, tasks: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
    return [_start_part(gateway, tasks, worker.name, worker.run) for worker in gateway.workers]


def _start_part(
    gateway: Gateway, tasks: asyncio.TaskGroup, name: str, part: Callable[[], Awaitable[None]]
) -> asyncio.Task[None]:
    return tasks.create_task(keep_running(name, part, gateway.part_failed), name=name)


async def _until_served(gateway: Gateway) -> None:
    """Wait for roster and doors. Raises Unavailable saying what is missing."""
    try:
        async with asyncio.timeout(_SERVED_S):
            while gateway.roster.current() is None or not gateway.doors.ready:
                await asyncio.sleep(0.02)
    except TimeoutError:
        doors = "; ".join(f"{p}: {h.link.value} {h.detail}" for p, h in gateway.health().items())
        raise Unavailable(f"not ready after {_SERVED_S:g} s: {doors}") from None


async def _stop(gateway: Gateway, parts: list[asyncio.Task[None]], clock: SystemClock) -> None:
    """Cameras first, then grants under way, then doors OFF, then the record."""
    eyes = {worker.name for worker in gateway.workers}
    await _cancel([t for t in parts if t.get_name() in eyes])
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_DRAIN_S):
            while not gateway.idle:
                await asyncio.sleep(0.02)
    await _cancel([t for t in parts if t.get_name().startswith(("entrance-", "door-actor-", "portal-"))])
    await gateway.doors.aclose()
    await _cancel(parts)
    await gateway.recorder.flush()
    with contextlib.suppress(JournalUnavailable):
        await gateway.journal.append(
            EventDraft(kind=EventKind.GATEWAY_STOPPED, at=clock.now(), mono_ns=clock.monotonic_ns())
        )
    try:
        async with asyncio.timeout(_DRAIN_S):
            await gateway.forwarder.flush()
    except (GatewayError, TimeoutError) as error:  # they wait in the journal for the next start
        _log.warning("events_left_in_the_journal", why=str(error) or "time-out")


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _started(gateway: Gateway, clock: SystemClock) -> EventDraft:
    off = [p.id for p in gateway.site.access_points if p.liveness == "off"]
    return EventDraft(
        kind=EventKind.GATEWAY_STARTED,
        at=clock.now(),
        mono_ns=clock.monotonic_ns(),
        data={"version": __version__, "model": gateway.roster.model_id, "liveness_off": [*off]},
    )

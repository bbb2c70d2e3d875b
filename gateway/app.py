"""Composition root: settings → adapters → services → tasks. The only file that knows everything."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import structlog

from gateway import __version__, foundation
from gateway.domain.access import Rules
from gateway.domain.doors import DoorHealth
from gateway.domain.errors import DatabaseUnavailable, GatewayError, JournalUnavailable, Unavailable
from gateway.domain.events import EventDraft, EventKind
from gateway.domain.identity import Policy
from gateway.domain.ids import AccessPointId, GatewayId
from gateway.domain.sightings import CameraReport, CameraState, Sighting
from gateway.doors import Doors
from gateway.services.forwarder import Forwarder
from gateway.services.roster import RosterSync
from gateway.settings import AccessPoint, Site
from gateway.storage.journal import SqliteJournal
from gateway.telemetry.clock import SystemClock
from gateway.vision import engine, models
from gateway.vision.codec import Setup
from gateway.vision.supervisor import VisionWorker, WorkerState
from gateway.walkup.decided import Decided
from gateway.walkup.door_actor import DoorActor, settle_open_grants
from gateway.walkup.entrance import Entrance
from gateway.walkup.recorder import Recorder
from gateway.walkup.supervision import keep_running

_log = structlog.get_logger(__name__)

LIVE_THRESHOLD = 0.7
"""Mean over a track's judged samples; how it was chosen is in docs/recognition.md."""
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
    workers: list[VisionWorker] = field(default_factory=list)
    entrances: dict[str, Entrance] = field(default_factory=dict)
    cameras: dict[str, CameraReport] = field(default_factory=dict)
    _by_camera: dict[str, tuple[Entrance, VisionWorker]] = field(default_factory=dict)

    def health(self) -> dict[AccessPointId, DoorHealth]:
        """Each access point; a door without liveness says so among its alarms."""
        found = {}
        for point in self.site.access_points:
            health = self.doors.of(point.id).health()
            if point.liveness == "off":
                health = replace(health, alarms=health.alarms | {"liveness_off"})
            found[AccessPointId(point.id)] = health
        return found

    @property
    def ready(self) -> bool:
        """Every door, camera and the roster are there."""
        seen = {CameraState.UP, CameraState.ENDED}
        return (
            all(h.ready for h in self.health().values())
            and all(c.id in self.cameras and self.cameras[c.id].state in seen for c in self.site.cameras)
            and self.roster.current() is not None
        )

    @property
    def idle(self) -> bool:
        """No decision and no grant is under way."""
        return all(e.idle for e in self.entrances.values())

    def take(self, sighting: Sighting) -> None:
        """A worker saw somebody."""
        self.watch.sighting(sighting)
        entrance, _ = self._by_camera[sighting.camera_id]
        entrance.offer(sighting)

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
            for camera, (_, worker) in self._by_camera.items():
                if worker.name == name:
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
        gateway = Gateway(
            site=site,
            watch=watch or Watch(),
            journal=journal,
            stores=stores,
            roster=RosterSync(stores.people, sealer, model_id, clock),
            forwarder=Forwarder(journal, stores.events),
            recorder=Recorder(journal, clock),
            doors=doors,
        )
        _compose(gateway, folder, clock)
        await journal.append(_started(gateway, clock))
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
    """Workers, entrances, and who speaks to whom."""
    site = gateway.site
    workers = _workers(gateway, folder)
    for i, camera in enumerate(site.cameras):
        point = next((p for p in site.access_points if p.camera == camera.id), None)
        if point is None:
            continue
        worker = workers[i % len(workers)]
        entrance = _entrance(gateway, point, worker, folder, clock)
        gateway.entrances[point.id] = entrance
        gateway._by_camera[camera.id] = (entrance, worker)  # noqa: SLF001  # its own composition
    gateway.workers = workers
    for point in site.access_points:
        if point.liveness == "off":
            _log.warning(
                "LIVENESS_IS_OFF",
                access_point=point.id,
                meaning='a photograph of an employee opens this door; set liveness = "required"',
            )


def _workers(gateway: Gateway, folder: Path) -> list[VisionWorker]:
    site, cores = gateway.site, os.cpu_count() or 1
    watched = tuple(c for c in site.cameras if any(p.camera == c.id for p in site.access_points))
    count = min(len(watched), site.vision.workers or cores)
    threads = site.vision.threads or max(1, cores // count)
    strict = tuple(p.camera for p in site.access_points if p.liveness == "required")

    def setup(index: int) -> Callable[[int], Setup]:
        mine = tuple(c for i, c in enumerate(site.cameras) if i % count == index and c in watched)
        return lambda epoch: Setup(
            epoch=epoch,
            cameras=mine,
            liveness=strict,
            vision=site.vision,
            recognition=site.recognition,
            models_folder=str(folder),
            threads=threads,
        )

    return [
        VisionWorker(
            name=f"vision-{i + 1}",
            setup=setup(i),
            max_memory_mb=site.vision.max_memory_mb,
            max_age_s=site.recognition.evidence_max_age_s,
            on_sighting=gateway.take,
            on_report=gateway.take_report,
            on_state=gateway.take_worker,
        )
        for i in range(count)
    ]


def _entrance(
    gateway: Gateway, point: AccessPoint, worker: VisionWorker, folder: Path, clock: SystemClock
) -> Entrance:
    limits = gateway.site.recognition
    manifest = models.manifest(folder)

    @lru_cache(maxsize=64)
    def policy(templates: int) -> Policy:
        return Policy(
            threshold=manifest.threshold(limits.false_positive_target, templates),
            margin=limits.margin,
            agree=limits.agree,
            of=limits.of,
            live_threshold=LIVE_THRESHOLD,
        )

    actor = DoorActor(
        door=gateway.doors.of(point.id),
        journal=gateway.journal,
        clock=clock,
        on_passage=lambda passage: entrance.passed(passage),  # noqa: PLW0108  # it is made below
    )
    entrance = Entrance(
        rules=Rules(
            access_point_id=AccessPointId(point.id),
            liveness_required=point.liveness == "required",
            evidence_max_age_ns=int(limits.evidence_max_age_s * 1e9),
            roster_max_age_ns=int(limits.roster_max_age_s * 1e9),
            grant_ttl_ns=int(limits.grant_ttl_s * 1e9),
        ),
        policy=policy,
        model_id=gateway.roster.model_id,
        roster=gateway.roster.current,
        liveness_available=lambda: worker.has_liveness,
        actor=actor,
        journal=gateway.journal,
        clock=clock,
        on_decided=gateway.take_decided,
        settle=worker.settle,
        pulse_ns=gateway.doors.pulse_ns(point.door),
    )
    return entrance


def _start_parts(gateway: Gateway, tasks: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
    """Every task has a name, an owner, and somebody who starts it again."""
    parts = {
        "database": gateway.tend_database,
        "roster": gateway.roster.run,
        "forwarder": gateway.forwarder.run,
        "recorder": gateway.recorder.run,
    }
    for name, entrance in gateway.entrances.items():
        parts[f"door-actor-{name}"] = entrance.actor.run
        parts[f"entrance-{name}"] = entrance.run
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
            while gateway.roster.current() is None or not all(h.ready for h in gateway.health().values()):
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
    await _cancel([t for t in parts if t.get_name().startswith(("entrance-", "door-actor-"))])
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

"""A running gateway: what it is made of, how it is, and what it is told by its parts."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import structlog

from gateway import foundation
from gateway.domain.doors import DoorHealth
from gateway.domain.errors import DatabaseUnavailable
from gateway.domain.events import EventKind
from gateway.domain.ids import DoorId
from gateway.domain.sightings import CameraReport, CameraState, Sighting
from gateway.doors import Doors
from gateway.eyes import Eyes
from gateway.portals import Portals
from gateway.services.forwarder import Forwarder
from gateway.services.roster import RosterSync
from gateway.settings import Site
from gateway.storage.journal import SqliteJournal
from gateway.vision.supervisor import VisionWorker, WorkerState
from gateway.walkup.decided import Decided
from gateway.walkup.door_actor import Passage
from gateway.walkup.recorder import Recorder

_log = structlog.get_logger(__name__)

_TEND_S = 2.0


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
    database_up: bool = False
    api_port: int | None = None
    """Where the API listens, while it does."""

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
        said = False
        while True:
            try:
                await self.stores.prepare()
                await self.stores.database.check()
                if said:
                    _log.info("database_back")
                self.database_up, said = True, False
            except DatabaseUnavailable as error:
                if not said:
                    _log.warning("database_away", why=str(error))
                self.database_up, said = False, True
            await asyncio.sleep(_TEND_S)

"""A site's eyes: vision workers, and for each access point the entrance that decides on what they see."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import structlog

from gateway.domain.access import Rules
from gateway.domain.identity import Policy
from gateway.domain.ids import AccessPointId
from gateway.domain.readings import Direction
from gateway.domain.sightings import CameraReport, Sighting
from gateway.ports import Clock, Journal
from gateway.services.roster import RosterSync
from gateway.settings import AccessPoint, Site
from gateway.vision import models
from gateway.vision.codec import Setup
from gateway.vision.supervisor import VisionWorker, WorkerState
from gateway.walkup.decided import Decided
from gateway.walkup.door_actor import DoorActor
from gateway.walkup.entrance import Entrance

_log = structlog.get_logger(__name__)

LIVE_THRESHOLD = 0.7
"""Mean over a track's judged samples; how it was chosen is in docs/recognition.md."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Behind:
    """What an entrance stands before: its door, and everything a decision rests on."""

    actor: Callable[[AccessPoint], DoorActor]
    pulse_ns: Callable[[AccessPoint], int]
    roster: RosterSync
    journal: Journal
    clock: Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Listeners:
    """Who hears of it; none may raise."""

    decided: Callable[[Decided], None]
    sighting: Callable[[Sighting], None]
    report: Callable[[CameraReport], None]
    worker: Callable[[str, WorkerState, str], None]


@dataclass(slots=True)
class Eyes:
    """Workers and entrances of a site; made by ``of_site``, nothing runs yet."""

    workers: list[VisionWorker] = field(default_factory=list)
    entrances: dict[str, Entrance] = field(default_factory=dict)
    _by_camera: dict[str, tuple[Entrance, VisionWorker]] = field(default_factory=dict)

    @classmethod
    def of_site(cls, site: Site, folder: Path, behind: Behind, listeners: Listeners) -> "Eyes":
        """``folder`` holds the models."""
        eyes = cls()

        def take(sighting: Sighting) -> None:
            listeners.sighting(sighting)
            eyes._by_camera[sighting.camera_id][0].offer(sighting)

        eyes.workers = _workers(site, folder, listeners, take)
        for i, camera in enumerate(site.cameras):
            point = next((p for p in site.access_points if p.camera == camera.id), None)
            if point is None:
                continue
            worker = eyes.workers[i % len(eyes.workers)]
            entrance = _entrance(site, point, worker, folder, behind, listeners)
            eyes.entrances[point.id] = entrance
            eyes._by_camera[camera.id] = (entrance, worker)
        for point in site.access_points:
            if point.liveness == "off":
                _log.warning(
                    "LIVENESS_IS_OFF",
                    access_point=point.id,
                    meaning='a photograph of an employee opens this door; set liveness = "required"',
                )
        return eyes

    def cameras_of(self, worker: str) -> tuple[str, ...]:
        """The cameras that a worker watches."""
        return tuple(camera for camera, (_, w) in self._by_camera.items() if w.name == worker)

    @property
    def idle(self) -> bool:
        """No decision and no grant is under way."""
        return all(e.idle for e in self.entrances.values())


def _workers(
    site: Site, folder: Path, listeners: Listeners, take: Callable[[Sighting], None]
) -> list[VisionWorker]:
    cores = os.cpu_count() or 1
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
            on_sighting=take,
            on_report=listeners.report,
            on_state=listeners.worker,
        )
        for i in range(count)
    ]


def _entrance(
    site: Site, point: AccessPoint, worker: VisionWorker, folder: Path, behind: Behind, listeners: Listeners
) -> Entrance:
    limits = site.recognition
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

    return Entrance(
        rules=Rules(
            access_point_id=AccessPointId(point.id),
            liveness_required=point.liveness == "required",
            evidence_max_age_ns=int(limits.evidence_max_age_s * 1e9),
            roster_max_age_ns=int(limits.roster_max_age_s * 1e9),
            grant_ttl_ns=int(limits.grant_ttl_s * 1e9),
        ),
        direction=Direction(point.direction),
        policy=policy,
        model_id=behind.roster.model_id,
        roster=behind.roster.current,
        liveness_available=lambda: worker.has_liveness,
        actor=behind.actor(point),
        journal=behind.journal,
        clock=behind.clock,
        on_decided=listeners.decided,
        settle=worker.settle,
        pulse_ns=behind.pulse_ns(point),
    )

"""Enrolment put together: for the routes of a running gateway, and for single commands."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from drivers.cameras.album import Album
from gateway import foundation
from gateway.api.routes_enrolment import Desk, Eye
from gateway.commands import commanding
from gateway.domain.errors import InvalidInput
from gateway.eyes import LIVE_THRESHOLD
from gateway.ground import Ground
from gateway.ports import FaceAnalyser
from gateway.services.enrolment import Enrolment, Photographs
from gateway.services.enrolment.migrate import Migration
from gateway.services.roster import RosterSync
from gateway.services.verify import Verify
from gateway.settings import Site
from gateway.telemetry.clock import SystemClock
from gateway.vision import models
from gateway.vision.photo import PhotoAnalyser
from gateway.vision.photo_process import PhotoProcess


def desk(ground: Ground, analyser: FaceAnalyser) -> Desk:
    """What the enrolment routes stand on.

    Its roster is its own: what is enrolled is compared with the database as it is now.
    """
    site = ground.site
    manifest = models.manifest(foundation.models_folder(site))
    roster = RosterSync(ground.stores.people, ground.sealer, analyser.model_id, ground.clock)
    enrolment = foundation.enrolment(
        site, ground.stores, ground.sealer, analyser, roster, ground.record, live_threshold=LIVE_THRESHOLD
    )
    return Desk(
        enrolment=enrolment,
        photographs=Photographs(ground.stores.photographs, ground.sealer, ground.record),
        verify=Verify(
            judge=enrolment.judge,
            templates=ground.stores.templates,
            roster=roster,
            threshold=manifest.one_to_one,
            record=ground.record,
        ),
        cameras=Album({c.id: c for c in site.cameras}),
        eyes={p.id: Eye(camera=p.camera, liveness=p.liveness == "required") for p in site.access_points},
        seconds=site.enrolment.camera_seconds,
    )


def photo_process(site: Site, threads: int = 1) -> PhotoProcess:
    """Looks at photographs in a process of its own, which starts with the first one. Raises ModelMissing."""
    folder = foundation.models_folder(site)
    return PhotoProcess(
        model_id=models.manifest(folder).of("embedder").model_id,
        models_folder=folder,
        threads=threads,
        min_eye_distance_px=max(foundation.ENROL_EYE_PX, site.recognition.min_eye_distance_px),
    )


@contextlib.asynccontextmanager
async def enrolling(site: Site) -> AsyncIterator[Enrolment]:
    """Enrolment for one command: database, record and face engine, closed at the end.

    Raises ConfigError, ModelMissing, DatabaseUnavailable, JournalUnavailable.
    """
    engine = await asyncio.to_thread(foundation.enrolment_engine, site)
    async with commanding(site) as command:
        roster = RosterSync(command.stores.people, command.sealer, engine.model_id, SystemClock())
        yield foundation.enrolment(
            site, command.stores, command.sealer, PhotoAnalyser(engine), roster, command.record
        )


@contextlib.asynccontextmanager
async def migrating(site: Site, name: str, *, active: bool = False) -> AsyncIterator[Migration]:
    """A change to the embedder called ``name``, for one command.

    ``active``: only if gateways start with it. Raises InvalidInput, and as ``enrolling``.
    """
    now = models.manifest(foundation.models_folder(site))
    if active and now.of("embedder").name != name:
        raise InvalidInput(
            f"{name} is not the active embedder; `facegate models use {name}` and start every gateway first"
        )
    chosen = now.with_embedder(name)
    engine = await asyncio.to_thread(foundation.enrolment_engine, site, chosen)
    target = site.recognition.false_positive_target
    async with commanding(site) as command:
        yield Migration(
            store=command.stores.templates,
            photographs=command.stores.photographs,
            sealer=command.sealer,
            analyser=PhotoAnalyser(engine),
            threshold=lambda templates: chosen.threshold(target, templates),
            record=command.record,
        )

"""Enrolment put together: for the routes of a running gateway, and for single commands."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from drivers.cameras.album import Album
from gateway import foundation
from gateway.api.routes_enrolment import Desk, Eye
from gateway.commands import commanding
from gateway.domain.errors import InvalidInput
from gateway.eyes import LIVE_THRESHOLD
from gateway.foundation import Stores
from gateway.ports import Acts, Sealer
from gateway.services.enrolment import Enrolment, Photographs
from gateway.services.enrolment.migrate import Migration
from gateway.services.roster import RosterSync
from gateway.services.verify import Verify
from gateway.settings import Site
from gateway.telemetry.clock import SystemClock
from gateway.vision import models
from gateway.vision.engine import FaceEngine
from gateway.vision.photo import PhotoAnalyser


@dataclass(frozen=True, slots=True, kw_only=True)
class Behind:
    """What the routes stand on."""

    site: Site
    stores: Stores
    sealer: Sealer
    record: Acts


def desk(behind: Behind, engine: FaceEngine) -> Desk:
    """What the enrolment routes stand on. ``engine`` is of ``foundation.enrolment_engine`` and nobody else's.

    Its roster is its own as well: what is enrolled is compared with the database as it is now.
    """
    site = behind.site
    manifest = models.manifest(foundation.models_folder(site))
    roster = RosterSync(behind.stores.people, behind.sealer, engine.model_id, SystemClock())
    enrolment: Enrolment = foundation.enrolment(
        site, behind.stores, behind.sealer, engine, roster, behind.record, live_threshold=LIVE_THRESHOLD
    )
    return Desk(
        enrolment=enrolment,
        photographs=Photographs(behind.stores.photographs, behind.sealer, behind.record),
        verify=Verify(
            judge=enrolment.judge,
            templates=behind.stores.templates,
            roster=roster,
            threshold=manifest.one_to_one,
            record=behind.record,
        ),
        cameras=Album({c.id: c for c in site.cameras}),
        eyes={p.id: Eye(camera=p.camera, liveness=p.liveness == "required") for p in site.access_points},
        seconds=site.enrolment.camera_seconds,
    )


@contextlib.asynccontextmanager
async def enrolling(site: Site) -> AsyncIterator[Enrolment]:
    """Enrolment for one command: database, record and face engine, closed at the end.

    Raises ConfigError, ModelMissing, DatabaseUnavailable, JournalUnavailable.
    """
    engine = await asyncio.to_thread(foundation.enrolment_engine, site)
    async with commanding(site) as command:
        roster = RosterSync(command.stores.people, command.sealer, engine.model_id, SystemClock())
        yield foundation.enrolment(site, command.stores, command.sealer, engine, roster, command.record)


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

"""Imports and exports put together: stores, judge and record of one gateway or one command."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass

from gateway.api.routes_imports import ImportRoutes
from gateway.commands import Commanding, commanding
from gateway.foundation import ENROL_EYE_PX, Stores, models_folder, state_folder
from gateway.ports import Clock, Sealer, SiteKeys
from gateway.security.spool import SealedFolder
from gateway.services.enrolment import Judge, Photographs
from gateway.services.imports.background import Background, QuietAnalyser
from gateway.services.imports.command import CommandImport
from gateway.services.imports.desks import Consents, Desks, unrecorded
from gateway.services.imports.enrolling import Judging, Templates
from gateway.services.imports.exporting import Exporting
from gateway.services.imports.importing import Importing
from gateway.services.imports.known_faces import KnownFaces
from gateway.services.imports.worker import Imports
from gateway.services.privacy.consents import ConsentDesk
from gateway.services.staff import Staff
from gateway.services.witness import Acted, Record
from gateway.settings import Site
from gateway.storage.consents import PostgresConsents
from gateway.storage.import_people import PostgresTemplateFeed
from gateway.storage.imports import PostgresImports
from gateway.storage.pool import Database
from gateway.telemetry.clock import SystemClock
from gateway.vision import models
from gateway.vision.engine import FaceEngine
from gateway.vision.photo import PhotoAnalyser

_SPOOL = "uploads"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bulk:
    """What imports and exports of one process share."""

    site: Site
    stores: Stores
    sealer: Sealer
    clock: Clock
    record: Record
    judge: Judge
    threshold: Callable[[int], float]

    def importing(self) -> Importing:
        """Carries imports out."""
        return Importing(
            store=PostgresImports(self.stores.database),
            desks=self._desks(self.record.acted),
            rehearsed=self._desks(unrecorded),
            check=Judging(self.judge, self._keep),
            faces=lambda: KnownFaces(
                PostgresTemplateFeed(self.stores.database), self.sealer, self.judge.model_id, self.threshold
            ),
            clock=self.clock,
            acted=self.record.acted,
        )

    def imports(self, gateway_id: str, keys: SiteKeys) -> Imports:
        """Imports over the API; their ``run`` is a task of the application. One a gateway."""
        importing = self.importing()
        return Imports(
            store=importing.store,
            files=SealedFolder(state_folder(self.site) / _SPOOL, keys),
            importing=importing,
            gateway_id=gateway_id,
            acted=self.record.acted,
        )

    def routes(self, imports: Imports) -> ImportRoutes:
        """For the API."""
        return ImportRoutes(
            imports=imports,
            exporting=exporting(self.site, self.stores, self.sealer, self.clock, self.record),
        )

    def command(self) -> CommandImport:
        """Imports of an operator's own files."""
        importing = self.importing()
        return CommandImport(importing.store, importing, self.record.acted)

    @property
    def _keep(self) -> bool:
        return self.site.enrolment.keep_photographs

    def _desks(self, acted: Acted) -> Desks:
        return Desks(
            staff=Staff(self.stores.staff, self.sealer, acted),
            consents=consents(self.site, self.stores.database, self.clock, acted),
            templates=Templates(
                store=self.stores.templates,
                sealer=self.sealer,
                judge=self.judge,
                acted=acted,
                keep_photographs=self._keep,
            ),
        )


def consents(site: Site, database: Database, clock: Clock, acted: Acted) -> Consents:
    """Consents by the rules of the site."""
    desk = ConsentDesk(
        store=PostgresConsents(database),
        acted=acted,
        clock=clock,
        valid_days=site.privacy.consent_valid_days,
    )
    return Consents(desk, clock)


def exporting(site: Site, kept: Stores, seal: Sealer, clock: Clock, record: Record) -> Exporting:
    """Exports; they need no models."""
    return Exporting(
        staff=Staff(kept.staff, seal, record.acted),
        consents=consents(site, kept.database, clock, record.acted),
        photographs=Photographs(kept.photographs, seal, record),
        clock=clock,
        acted=record.acted,
    )


@contextlib.contextmanager
def quiet_judge(site: Site, threads: int = 1) -> Iterator[Judge]:
    """A judge that works in the background, with an engine of its own. Blocking. Raises ModelMissing."""
    engine = FaceEngine.load(
        models_folder(site),
        threads=threads,
        min_eye_distance_px=max(ENROL_EYE_PX, site.recognition.min_eye_distance_px),
    )
    background = Background()
    try:
        yield Judge(QuietAnalyser(PhotoAnalyser(engine), background))
    finally:
        background.close()


def bulk_of(command: Commanding, judge: Judge) -> Bulk:
    """Over what a command stands on."""
    site = command.site
    manifest = models.manifest(models_folder(site))
    target = site.recognition.false_positive_target
    return Bulk(
        site=site,
        stores=command.stores,
        sealer=command.sealer,
        clock=SystemClock(),
        record=command.record,
        judge=judge,
        threshold=lambda templates: manifest.threshold(target, templates),
    )


@contextlib.asynccontextmanager
async def bulk(site: Site) -> AsyncIterator[Bulk]:
    """Everything for one command, closed at its end."""
    with contextlib.ExitStack() as opened:
        judge = await asyncio.to_thread(opened.enter_context, quiet_judge(site, max(1, os.cpu_count() or 1)))
        async with commanding(site) as command:
            yield bulk_of(command, judge)


@contextlib.asynccontextmanager
async def exports(site: Site) -> AsyncIterator[Exporting]:
    """An export for one command."""
    async with commanding(site) as command:
        yield exporting(site, command.stores, command.sealer, SystemClock(), command.record)

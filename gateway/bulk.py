"""Imports and exports put together: stores, judge and record of one gateway or one command."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass

from gateway.foundation import ENROL_EYE_PX, Stores, models_folder, sealer, state_folder, stores
from gateway.ports import Clock, Sealer, SiteKeys
from gateway.security.spool import SealedFolder
from gateway.services.enrolment import Judge, LoggedActs, Photographs
from gateway.services.imports.background import Background, QuietAnalyser
from gateway.services.imports.command import CommandImport
from gateway.services.imports.desks import Consents, Desks, unrecorded
from gateway.services.imports.enrolling import Judging, Templates
from gateway.services.imports.exporting import Exporting
from gateway.services.imports.importing import Importing
from gateway.services.imports.known_faces import KnownFaces
from gateway.services.imports.worker import Imports
from gateway.services.staff import Staff
from gateway.services.witness import Acted
from gateway.settings import Site
from gateway.storage.import_people import PostgresConsentNotes, PostgresTemplateFeed
from gateway.storage.imports import PostgresImports
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
    acted: Acted
    judge: Judge
    threshold: Callable[[int], float]

    def importing(self) -> Importing:
        """Carries imports out."""
        return Importing(
            store=PostgresImports(self.stores.database),
            desks=self._desks(self.acted),
            rehearsed=self._desks(unrecorded),
            check=Judging(self.judge, self._keep),
            faces=lambda: KnownFaces(
                PostgresTemplateFeed(self.stores.database), self.sealer, self.judge.model_id, self.threshold
            ),
            clock=self.clock,
            acted=self.acted,
        )

    def imports(self, gateway_id: str, keys: SiteKeys) -> Imports:
        """Imports over the API; their ``run`` is a task of the application."""
        importing = self.importing()
        return Imports(
            store=importing.store,
            files=SealedFolder(state_folder(self.site) / _SPOOL, keys),
            importing=importing,
            gateway_id=gateway_id,
            acted=self.acted,
        )

    def command(self) -> CommandImport:
        """Imports of an operator's own files."""
        importing = self.importing()
        return CommandImport(importing.store, importing, self.acted)

    @property
    def _keep(self) -> bool:
        return self.site.enrolment.keep_photographs

    def _desks(self, acted: Acted) -> Desks:
        return Desks(
            staff=Staff(self.stores.staff, self.sealer, acted),
            consents=Consents(PostgresConsentNotes(self.stores.database), acted),
            templates=Templates(
                store=self.stores.templates,
                sealer=self.sealer,
                judge=self.judge,
                acted=acted,
                keep_photographs=self._keep,
            ),
        )


def exporting(kept: Stores, seal: Sealer, clock: Clock, acted: Acted) -> Exporting:
    """Exports; they need no models."""
    return Exporting(
        staff=Staff(kept.staff, seal, acted),
        consents=Consents(PostgresConsentNotes(kept.database), acted),
        photographs=Photographs(kept.photographs, seal, _Acts(acted)),
        clock=clock,
        acted=acted,
    )


class _Acts:
    """``ports.Acts`` of an ``Acted``."""

    def __init__(self, acted: Acted) -> None:
        self.acted = acted


async def logged(actor: object, action: str, **what: object) -> None:
    """``Acted`` of a command beside a running gateway, whose journal belongs to that gateway."""
    what.pop("personal", None)
    what.pop("wrapped_key", None)
    await LoggedActs().acted(actor, action, **what)  # type: ignore[arg-type]


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


@contextlib.asynccontextmanager
async def bulk(site: Site, acted: Acted | None = None) -> AsyncIterator[Bulk]:
    """Everything for one command, closed at its end. Without ``acted`` what is done goes to the log."""
    await asyncio.to_thread(state_folder, site)
    manifest = models.manifest(models_folder(site))
    target = site.recognition.false_positive_target
    with contextlib.ExitStack() as opened:
        judge = await asyncio.to_thread(opened.enter_context, quiet_judge(site, max(1, os.cpu_count() or 1)))
        kept = stores(site)
        try:
            await kept.prepare()
            yield Bulk(
                site=site,
                stores=kept,
                sealer=await sealer(site, kept),
                clock=SystemClock(),
                acted=acted or logged,
                judge=judge,
                threshold=lambda templates: manifest.threshold(target, templates),
            )
        finally:
            await kept.close()


@contextlib.asynccontextmanager
async def exports(site: Site, acted: Acted | None = None) -> AsyncIterator[Exporting]:
    """An export for one command."""
    await asyncio.to_thread(state_folder, site)
    kept = stores(site)
    try:
        await kept.prepare()
        yield exporting(kept, await sealer(site, kept), SystemClock(), acted or logged)
    finally:
        await kept.close()

"""Imports and exports put together: stores, judge and record of one gateway or one command."""

import contextlib
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

from gateway.commands import commanding
from gateway.enrolment_desk import photo_process
from gateway.foundation import models_folder
from gateway.ground import Ground
from gateway.security.spool import SealedFolder
from gateway.services.enrolment import Judge, Photographs
from gateway.services.imports.command import CommandImport
from gateway.services.imports.desks import Consents, Desks, unrecorded
from gateway.services.imports.enrolling import Judging, Templates
from gateway.services.imports.exporting import Exporting
from gateway.services.imports.importing import Importing
from gateway.services.imports.known_faces import KnownFaces
from gateway.services.imports.worker import Imports
from gateway.services.privacy.consents import ConsentDesk
from gateway.services.staff import Staff
from gateway.services.witness import Acted
from gateway.settings import Site
from gateway.storage.consents import PostgresConsents
from gateway.storage.import_people import PostgresTemplateFeed
from gateway.storage.imports import PostgresImports
from gateway.vision import models

_SPOOL = "uploads"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bulk:
    """What imports and exports of one process share."""

    ground: Ground
    judge: Judge
    threshold: Callable[[int], float]

    def importing(self) -> Importing:
        """Carries imports out."""
        return Importing(
            store=PostgresImports(self.ground.stores.database),
            desks=self._desks(self.ground.record.acted),
            rehearsed=self._desks(unrecorded),
            check=Judging(self.judge, self._keep),
            faces=lambda: KnownFaces(
                PostgresTemplateFeed(self.ground.stores.database),
                self.ground.sealer,
                self.judge.model_id,
                self.threshold,
            ),
            clock=self.ground.clock,
            acted=self.ground.record.acted,
        )

    def imports(self) -> Imports:
        """Imports over the API; their ``run`` is a task of the application. One a gateway."""
        importing = self.importing()
        return Imports(
            store=importing.store,
            files=SealedFolder(Path(self.ground.site.state_folder) / _SPOOL, self.ground.site_keys),
            importing=importing,
            gateway_id=self.ground.site.gateway_id,
            acted=self.ground.record.acted,
        )

    def command(self) -> CommandImport:
        """Imports of an operator's own files."""
        importing = self.importing()
        return CommandImport(importing.store, importing, self.ground.record.acted)

    def _known_faces(self) -> KnownFaces:
        feed = PostgresTemplateFeed(self.ground.stores.database)
        return KnownFaces(feed, self.ground.sealer, self.judge.model_id, self.threshold)

    @property
    def _keep(self) -> bool:
        return self.ground.site.enrolment.keep_photographs

    def _desks(self, acted: Acted) -> Desks:
        return Desks(
            staff=Staff(self.ground.stores.staff, self.ground.sealer, acted),
            consents=consents(self.ground, acted),
            templates=Templates(
                store=self.ground.stores.templates,
                sealer=self.ground.sealer,
                judge=self.judge,
                acted=acted,
                keep_photographs=self._keep,
            ),
        )


def consents(ground: Ground, acted: Acted) -> Consents:
    """Consents by the rules of the site; ``acted`` records what becomes of them."""
    desk = ConsentDesk(
        store=PostgresConsents(ground.stores.database),
        acted=acted,
        clock=ground.clock,
        valid_days=ground.site.privacy.consent_valid_days,
    )
    return Consents(desk, ground.clock)


def exporting(ground: Ground) -> Exporting:
    """Exports; they need no models."""
    return Exporting(
        staff=Staff(ground.stores.staff, ground.sealer, ground.record.acted),
        consents=consents(ground, ground.record.acted),
        photographs=Photographs(ground.stores.photographs, ground.sealer, ground.record),
        clock=ground.clock,
        acted=ground.record.acted,
    )


def bulk_of(ground: Ground, judge: Judge) -> Bulk:
    """Imports over a ground; ``judge`` should work in the background."""
    manifest = models.manifest(models_folder(ground.site))
    target = ground.site.recognition.false_positive_target
    return Bulk(ground=ground, judge=judge, threshold=lambda templates: manifest.threshold(target, templates))


@contextlib.asynccontextmanager
async def bulk(site: Site) -> AsyncIterator[Bulk]:
    """Everything for one command, closed at its end."""
    with photo_process(site, max(1, os.cpu_count() or 1)) as analyser:
        async with commanding(site) as command:
            yield bulk_of(command, Judge(analyser))


@contextlib.asynccontextmanager
async def exports(site: Site) -> AsyncIterator[Exporting]:
    """An export for one command."""
    async with commanding(site) as command:
        yield exporting(command)

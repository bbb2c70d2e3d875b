"""What a running gateway and a single command both stand on: state folder, key, database, models."""

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path

import structlog

from gateway.domain.errors import ConfigError, DatabaseUnavailable
from gateway.domain.ids import AccessPointId
from gateway.ports import Acts, Sealer
from gateway.security import master_key
from gateway.security.sealing import AesGcmSealer
from gateway.services.enrolment import Enrolment
from gateway.services.roster import RosterSync
from gateway.settings import Site
from gateway.storage.credentials import PostgresCredentials
from gateway.storage.embedded import EmbeddedPostgres, check_reachable
from gateway.storage.events import PostgresEvents
from gateway.storage.migrate import migrate
from gateway.storage.people import PostgresPeople
from gateway.storage.photographs import PostgresPhotographs
from gateway.storage.pool import Database
from gateway.storage.profiles import PostgresProfiles
from gateway.storage.staff import PostgresStaff
from gateway.storage.templates import PostgresTemplates
from gateway.vision import models
from gateway.vision.engine import FaceEngine
from gateway.vision.manifest import Manifest
from gateway.vision.photo import PhotoAnalyser

_log = structlog.get_logger(__name__)

_FIRST_LOOK_S = 20.0
ENROL_EYE_PX = 34.0
"""A template is used for years: its photograph must show more than a passing frame has to."""


@dataclass(slots=True, kw_only=True)
class Stores:
    """Postgres, wherever it is."""

    site: Site
    database: Database
    embedded: EmbeddedPostgres | None
    people: PostgresPeople
    events: PostgresEvents
    templates: PostgresTemplates
    photographs: PostgresPhotographs
    staff: PostgresStaff
    profiles: PostgresProfiles
    credentials: PostgresCredentials
    _ready: bool = False

    async def prepare(self) -> None:
        """Make sure that it runs and its schema is ours. Raises DatabaseUnavailable. Cheap when it is so."""
        if self.embedded is not None:
            await self.embedded.start()
        if not self._ready:
            await migrate(self.database)
            points = [(AccessPointId(p.id), p.name) for p in self.site.access_points]
            await self.people.sync_access_points(points)
            self._ready = True

    async def close(self) -> None:
        """Let go; an embedded server stops with its last user."""
        await self.database.close()
        if self.embedded is not None:
            await self.embedded.stop()


def models_folder(site: Site) -> Path:
    """Where this site's models are."""
    return Path(site.models_folder) if site.models_folder else models.default_folder()


def state_folder(site: Site) -> Path:
    """Make the state folder. Raises ConfigError when it cannot be, or Postgres could not reach it."""
    folder = Path(site.state_folder)
    # The embedded server runs as a user of its own when root starts it: it must be able to pass through.
    mode = 0o711 if os.geteuid() == 0 and site.database.mode == "embedded" else 0o700
    try:
        folder.mkdir(mode=mode, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"state_folder: {folder} cannot be made ({error.strerror})") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError(f"state_folder: {folder} cannot be written by this user")
    if site.database.mode == "embedded":
        check_reachable(folder / "postgres")
    return folder


def stores(site: Site) -> Stores:
    """Nothing is connected yet."""
    embedded = (
        EmbeddedPostgres(Path(site.state_folder) / "postgres") if site.database.mode == "embedded" else None
    )

    async def server_url() -> str:
        return await asyncio.to_thread(_read_url, Path(site.database.url_file or ""))

    database = Database(embedded.start if embedded else server_url)
    return Stores(
        site=site,
        database=database,
        embedded=embedded,
        people=PostgresPeople(database),
        events=PostgresEvents(database),
        templates=PostgresTemplates(database),
        photographs=PostgresPhotographs(database),
        staff=PostgresStaff(database),
        profiles=PostgresProfiles(database),
        credentials=PostgresCredentials(database),
    )


def _read_url(path: Path) -> str:
    try:
        url = path.read_text("utf-8").strip()
    except OSError as error:
        raise DatabaseUnavailable(f"database.url_file: {path} cannot be read ({error.strerror})") from error
    if not url.startswith(("postgresql://", "postgres://")):
        raise DatabaseUnavailable(f"database.url_file: {path} does not hold a postgresql:// URL")
    return url


async def sealer(site: Site, people: Stores) -> AesGcmSealer:
    """The sealer under the master key, made on first start. Raises ConfigError, DatabaseUnavailable."""
    path = Path(site.state_folder) / "master.key"
    in_use = False
    if not path.exists():  # only then it matters whether anybody is enrolled under a lost one
        async with asyncio.timeout(_FIRST_LOOK_S):
            await people.prepare()
            in_use = await people.people.count() > 0
    return AesGcmSealer(await asyncio.to_thread(master_key.read_or_make, path, in_use=in_use))


def enrolment_engine(site: Site, manifest: Manifest | None = None) -> FaceEngine:
    """The engine that judges photographs. Blocking. Raises ModelMissing."""
    return FaceEngine.load(
        models_folder(site),
        threads=max(1, os.cpu_count() or 1),
        min_eye_distance_px=max(ENROL_EYE_PX, site.recognition.min_eye_distance_px),
        manifest=manifest,
    )


def enrolment(
    site: Site,
    kept: Stores,
    seal: Sealer,
    engine: FaceEngine,
    roster: RosterSync,
    record: Acts,
    *,
    live_threshold: float = 1.0,
) -> Enrolment:
    """Enrolment over stores, sealer and an engine of its own."""
    manifest = models.manifest(models_folder(site))
    target = site.recognition.false_positive_target
    return Enrolment(
        store=kept.people,
        templates=kept.templates,
        sealer=seal,
        analyser=PhotoAnalyser(engine),
        roster=roster,
        threshold=lambda templates: manifest.threshold(target, templates),
        record=record,
        keep_photographs=site.enrolment.keep_photographs,
        live_threshold=live_threshold,
    )

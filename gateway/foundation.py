"""What a running gateway and a single command both stand on: state folder, key, database, models."""

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path

import structlog

from gateway.domain.errors import ConfigError, DatabaseUnavailable
from gateway.domain.ids import AccessPointId
from gateway.ports import Acts, Clock, FaceAnalyser, Sealer
from gateway.security.keyring import KeyPlace, KeyRing
from gateway.security.sealing import AesGcmSealer
from gateway.security.wrapping import KeyWrapping
from gateway.services.enrolment import Enrolment
from gateway.services.keys import KeyWatch, admit
from gateway.services.roster import RosterSync
from gateway.settings import Site
from gateway.storage.accounts import PostgresAccounts
from gateway.storage.credentials import PostgresCredentials
from gateway.storage.embedded import EmbeddedPostgres, check_reachable
from gateway.storage.events import PostgresEvents
from gateway.storage.master_keys import PostgresMasterKeys
from gateway.storage.migrate import migrate
from gateway.storage.people import PostgresPeople
from gateway.storage.photographs import PostgresPhotographs
from gateway.storage.pool import Database
from gateway.storage.profiles import PostgresProfiles
from gateway.storage.sessions import PostgresApiKeys, PostgresSessions
from gateway.storage.site_keys import PostgresSiteKeys
from gateway.storage.staff import PostgresStaff
from gateway.storage.templates import PostgresTemplates
from gateway.vision import models
from gateway.vision.engine import FaceEngine
from gateway.vision.manifest import Manifest

_log = structlog.get_logger(__name__)

_FIRST_LOOK_S = 20.0
_SHORT_LOOK_S = 5.0
"""For a server elsewhere: a gateway whose doors wait for it starts without."""
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
    accounts: PostgresAccounts
    sessions: PostgresSessions
    api_keys: PostgresApiKeys
    master_keys: PostgresMasterKeys
    site_keys: PostgresSiteKeys
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
    return stores_on(site, database, embedded)


def beside(kept: Stores) -> Stores:
    """The same database through connections of its own: who waits for those waits in nobody's way.

    Schema and server are looked after by ``kept``; close both.
    """
    return stores_on(kept.site, Database(kept.database.url))


def stores_on(site: Site, database: Database, embedded: EmbeddedPostgres | None = None) -> Stores:
    """All stores of one database."""
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
        accounts=PostgresAccounts(database),
        sessions=PostgresSessions(database),
        api_keys=PostgresApiKeys(database),
        master_keys=PostgresMasterKeys(database),
        site_keys=PostgresSiteKeys(database),
    )


def _read_url(path: Path) -> str:
    try:
        url = path.read_text("utf-8").strip()
    except OSError as error:
        raise DatabaseUnavailable(f"database.url_file: {path} cannot be read ({error.strerror})") from error
    if not url.startswith(("postgresql://", "postgres://")):
        raise DatabaseUnavailable(f"database.url_file: {path} does not hold a postgresql:// URL")
    return url


def key_place(site: Site) -> KeyPlace:
    """Where the master key is."""
    return KeyPlace.of(Path(site.keys.file or Path(site.state_folder) / "master.key"), os.environ)


async def master_keys(site: Site, people: Stores) -> KeyRing:
    """The master keys, one made on first start; checked against the database where that is there.

    Raises ConfigError (code "master_key_missing", "master_key_wrong" …); DatabaseUnavailable when there is no
    key, and so no knowing whether one was lost.
    """
    place, in_use = key_place(site), False
    if place.ours and not await asyncio.to_thread(os.path.lexists, place.path):
        in_use = await _in_use(place, people)
    keys = await asyncio.to_thread(KeyRing.read_or_make, place, in_use=in_use)
    try:
        async with asyncio.timeout(_FIRST_LOOK_S if people.embedded else _SHORT_LOOK_S):
            await people.prepare()
            await admit(people.master_keys, keys, KeyWrapping(keys))
    except (DatabaseUnavailable, TimeoutError) as error:  # doors work without it; ``KeyWatch`` looks later
        _log.warning("master_key_not_checked_yet", why=str(error) or "the database does not answer in time")
    return keys


async def _in_use(place: KeyPlace, people: Stores) -> bool:
    """Whether anything is under a master key already. Raises DatabaseUnavailable naming the missing file."""
    try:
        async with asyncio.timeout(_FIRST_LOOK_S):
            await people.prepare()
            return bool(await people.master_keys.states()) or await people.people.count() > 0
    except (DatabaseUnavailable, TimeoutError) as error:
        raise DatabaseUnavailable(
            f"{place.path}: there is no master key, and the database does not say whether one was lost "
            f"({error or 'it does not answer in time'}); put the key file back, or start again once the "
            "database answers",
            code="master_key_missing",
        ) from None


def key_watch(site: Site, people: Stores, keys: KeyRing, clock: Clock) -> KeyWatch:
    """Follows changed keys while a gateway runs."""
    return KeyWatch(
        store=people.master_keys,
        keys=keys,
        wrapping=KeyWrapping(keys),
        gateway_id=site.gateway_id,
        clock=clock,
    )


async def sealer(site: Site, people: Stores) -> AesGcmSealer:
    """The sealer under the master key. Raises as ``master_keys``."""
    return AesGcmSealer(await master_keys(site, people))


def enrolment_engine(
    site: Site, manifest: Manifest | None = None, *, threads: int | None = None
) -> FaceEngine:
    """The engine that judges photographs. Blocking. Raises ModelMissing."""
    return FaceEngine.load(
        models_folder(site),
        threads=threads or max(1, os.cpu_count() or 1),
        min_eye_distance_px=max(ENROL_EYE_PX, site.recognition.min_eye_distance_px),
        manifest=manifest,
    )


def enrolment(
    site: Site,
    kept: Stores,
    seal: Sealer,
    analyser: FaceAnalyser,
    roster: RosterSync,
    record: Acts,
    *,
    live_threshold: float = 1.0,
) -> Enrolment:
    """Enrolment over stores, sealer and an analyser."""
    manifest = models.manifest(models_folder(site))
    target = site.recognition.false_positive_target
    return Enrolment(
        store=kept.people,
        templates=kept.templates,
        sealer=seal,
        analyser=analyser,
        roster=roster,
        threshold=lambda templates: manifest.threshold(target, templates),
        record=record,
        keep_photographs=site.enrolment.keep_photographs,
        live_threshold=live_threshold,
    )

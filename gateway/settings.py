"""The site file: typed, unknown keys refused, secrets only as files.

Relative paths are relative to the site file. Every error names file, key and fix.
"""

import re
import tomllib
from pathlib import Path
from typing import Annotated, Literal, NoReturn
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from gateway.domain.errors import ConfigError

Ident = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
Port = Annotated[int, Meta(ge=1, le=65535)]
Seconds = Annotated[float, Meta(gt=0, le=3600)]


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of every table of the site file."""


class Database(_Section, frozen=True, kw_only=True):
    """Where Postgres is."""

    mode: Literal["embedded", "server"] = "embedded"
    url_file: str | None = None
    """File with a postgresql:// URL; needed for ``mode = "server"``."""


class Camera(_Section, frozen=True, kw_only=True):
    """One camera."""

    id: Ident
    url: str
    """rtsp://, http(s)://, /dev/videoN, or the path of a recording; never with a password in it."""
    transport: Literal["tcp", "udp"] = "tcp"
    credentials_file: str | None = None
    """File with ``user:password`` on one line."""
    pace: Literal["own", "every-frame"] = "own"
    """Recordings only: at their own speed, or as fast as every frame can be analysed."""
    loop: bool = False
    open_timeout_s: Seconds = 5.0
    read_timeout_s: Seconds = 5.0
    frozen_after_s: Seconds = 3.0
    """Identical pictures for so long mean a frozen camera."""


class Device(_Section, frozen=True, kw_only=True):
    """One Modbus endpoint."""

    id: Ident
    profile: Ident
    host: str
    port: Port = 502
    unit: Annotated[int, Meta(ge=1, le=247)] = 1
    timeout_s: Annotated[float, Meta(ge=0.05, le=5)] = 0.5


class AccessPoint(_Section, frozen=True, kw_only=True):
    """One direction at a door."""

    id: Ident
    name: str
    camera: Ident
    device: Ident
    channel: Annotated[int, Meta(ge=1, le=64)]
    """Relay number as printed on the device, from 1."""
    pulse_ms: Annotated[int, Meta(ge=500, le=30000)] = 3000
    liveness: Literal["required", "off"] = "required"


class Vision(_Section, frozen=True, kw_only=True):
    """The vision workers."""

    workers: Annotated[int, Meta(ge=0, le=64)] = 0
    """0: about one a core, no more than cameras."""
    threads: Annotated[int, Meta(ge=0, le=64)] = 0
    """Inference threads a worker; 0: cores divided by workers."""
    detect_px: Annotated[int, Meta(ge=160, le=1920)] = 640
    """Long side of the picture the detector sees."""
    max_memory_mb: Annotated[int, Meta(ge=256)] = 1500


class Recognition(_Section, frozen=True, kw_only=True):
    """Open-set identification."""

    false_positive_target: Annotated[float, Meta(gt=0, le=0.1)] = 0.001
    """Tolerated share of strangers' looks that match anyone at all (FPIR)."""
    margin: Annotated[float, Meta(ge=0, le=1)] = 0.05
    agree: Annotated[int, Meta(ge=2, le=10)] = 3
    """k: samples of one track that must agree; one frame alone never opens a door."""
    of: Annotated[int, Meta(ge=2, le=10)] = 5
    """n: samples a track may use."""
    min_eye_distance_px: Annotated[float, Meta(ge=16, le=400)] = 30.0
    evidence_max_age_s: Annotated[float, Meta(gt=0, le=5)] = 1.0
    grant_ttl_s: Annotated[float, Meta(gt=0, le=1.5)] = 1.5
    roster_max_age_s: Annotated[float, Meta(gt=0)] = 86400.0


class Site(_Section, frozen=True, kw_only=True):
    """The whole site file."""

    name: str
    gateway_id: Ident = "gateway-1"
    state_folder: str
    models_folder: str | None = None
    database: Database = msgspec.field(default_factory=Database)
    cameras: tuple[Camera, ...]
    devices: tuple[Device, ...]
    access_points: tuple[AccessPoint, ...]
    vision: Vision = msgspec.field(default_factory=Vision)
    recognition: Recognition = msgspec.field(default_factory=Recognition)


def load(path: Path) -> Site:
    """Read and check a site file. Raises ConfigError naming file, key and fix."""
    try:
        raw = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        msg = f"{path}: no such site file; start from config/site.example.toml"
        raise ConfigError(msg) from None
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path}: cannot be read ({error}); it must be UTF-8 text this user may read"
        raise ConfigError(msg) from error
    except tomllib.TOMLDecodeError as error:
        msg = f"{path}: not valid TOML: {error}"
        raise ConfigError(msg) from error
    return parse(raw, source=str(path), base=path.resolve().parent)


def parse(raw: object, *, source: str, base: Path) -> Site:
    """Turn decoded TOML into checked settings with absolute paths. Raises ConfigError."""
    try:
        site = msgspec.convert(raw, Site)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{source}: {_explain(str(error))}") from error
    _check(site, source)
    return _absolute(site, base)


def _explain(message: str) -> str:
    """Put msgspec's path first: ``key: what is wrong``."""
    found = re.fullmatch(r"(.*) - at `\$\.?(.*)`", message)
    if found:
        return f"{found[2] or 'top level'}: {found[1]}"
    unknown = re.fullmatch(r"(Object contains unknown field .*)", message)
    return f"{unknown[1]}; remove it or mend its spelling" if unknown else message


def _check(site: Site, source: str) -> None:
    """Rules between keys."""
    for key, ids in (
        ("cameras", [c.id for c in site.cameras]),
        ("devices", [d.id for d in site.devices]),
        ("access_points", [a.id for a in site.access_points]),
    ):
        for twice in _doubles(ids):
            _fail(source, key, f'id "{twice}" is used twice; give each its own')
    _check_access_points(site, source)
    for i, camera in enumerate(site.cameras):
        _check_camera(camera, source, f"cameras[{i}]")
    if site.database.mode == "server" and not site.database.url_file:
        _fail(source, "database.url_file", 'mode "server" needs a file that holds the postgresql:// URL')
    if site.recognition.agree > site.recognition.of:
        _fail(source, "recognition.agree", "cannot be more than recognition.of")


def _doubles(values: list[str]) -> list[str]:
    return sorted({v for v in values if values.count(v) > 1})


def _check_access_points(site: Site, source: str) -> None:
    cameras = {c.id for c in site.cameras}
    devices = {d.id for d in site.devices}
    outputs: set[tuple[str, int]] = set()
    for i, point in enumerate(site.access_points):
        key = f"access_points[{i}]"
        if point.camera not in cameras:
            _fail(source, f"{key}.camera", f'no camera has the id "{point.camera}"')
        if point.device not in devices:
            _fail(source, f"{key}.device", f'no device has the id "{point.device}"')
        if (point.device, point.channel) in outputs:
            _fail(source, f"{key}.channel", f"relay {point.channel} of {point.device} already has a door")
        outputs.add((point.device, point.channel))
    for twice in _doubles([a.camera for a in site.access_points]):
        _fail(source, "access_points", f'camera "{twice}" serves two; one walk-up would open both')


def _check_camera(camera: Camera, source: str, key: str) -> None:
    try:
        parts = urlsplit(camera.url)
        has_secret = parts.username is not None or parts.password is not None
    except ValueError as error:
        _fail(source, f"{key}.url", f"not an address: {error}")
    if has_secret:
        _fail(
            source,
            f"{key}.url",
            "holds a user name or password; put user:password into a file and name it in credentials_file",
        )
    if "://" in camera.url and parts.scheme not in {"rtsp", "rtsps", "http", "https", "file"}:
        _fail(source, f"{key}.url", f"cannot play {parts.scheme}://; use rtsp, http, a file or /dev/videoN")


def _fail(source: str, key: str, fix: str) -> NoReturn:
    raise ConfigError(f"{source}: {key}: {fix}")


def _absolute(site: Site, base: Path) -> Site:
    """Resolve relative paths against the site file's folder."""

    def path(value: str | None) -> str | None:
        return None if value is None else str((base / Path(value).expanduser()).resolve())

    def camera(c: Camera) -> Camera:
        url = c.url if "://" in c.url or c.url.startswith("/dev/video") else str(path(c.url))
        return msgspec.structs.replace(c, url=url, credentials_file=path(c.credentials_file))

    return msgspec.structs.replace(
        site,
        state_folder=str(path(site.state_folder)),
        models_folder=path(site.models_folder),
        database=msgspec.structs.replace(site.database, url_file=path(site.database.url_file)),
        cameras=tuple(camera(c) for c in site.cameras),
    )

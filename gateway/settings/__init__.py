"""The site file: typed, unknown keys refused, secrets only as files.

Relative paths are relative to the site file. Every error names file, key and fix.
"""

import re
import tomllib
from pathlib import Path

import msgspec

from gateway.domain.errors import ConfigError
from gateway.settings.openings import (
    Door,
    Input,
    Interlock,
    Lane,
    Sensors,
    Turnstile,
    TurnstileSensors,
)
from gateway.settings.rules import check, inputs_of
from gateway.settings.sections import (
    UNSAFE_PULSE,
    AccessPoint,
    Api,
    Camera,
    Database,
    Device,
    Enrolment,
    Keys,
    Metrics,
    Oidc,
    Privacy,
    Recognition,
    Roster,
    Vision,
)
from gateway.settings.site import Site

__all__ = [
    "UNSAFE_PULSE",
    "AccessPoint",
    "Api",
    "Camera",
    "Database",
    "Device",
    "Door",
    "Enrolment",
    "Input",
    "Interlock",
    "Keys",
    "Lane",
    "Metrics",
    "Oidc",
    "Privacy",
    "Recognition",
    "Roster",
    "Sensors",
    "Site",
    "Turnstile",
    "TurnstileSensors",
    "Vision",
    "inputs_of",
    "load",
    "parse",
]


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
    check(site, source)
    return _absolute(site, base)


def _explain(message: str) -> str:
    """Put msgspec's path first, ``key: what is wrong``, and say what to do about a stray key."""
    found = re.fullmatch(r"(.*) - at `\$\.?(.*)`", message)
    text = f"{found[2] or 'top level'}: {found[1]}" if found else message
    if "access_points" in text and re.search(r"unknown field `(device|channel|pulse_ms)`", text):
        return f"{text}; relays belong to a door: write [[doors]] and name it here as door"
    return f"{text}; remove it or mend its spelling" if "unknown field" in text else text


def _absolute(site: Site, base: Path) -> Site:
    """Resolve relative paths against the site file's folder."""

    def path(value: str | None) -> str | None:
        return None if value is None else str((base / Path(value).expanduser()).resolve())

    def camera(c: Camera) -> Camera:
        url = c.url if "://" in c.url or c.url.startswith("/dev/video") else str(path(c.url))
        return msgspec.structs.replace(c, url=url, credentials_file=path(c.credentials_file))

    def device(d: Device) -> Device:
        return msgspec.structs.replace(
            d,
            ca_file=path(d.ca_file),
            certificate_file=path(d.certificate_file),
            key_file=path(d.key_file),
        )

    api = site.api
    if api is not None:
        own = (path(api.certificate_file), path(api.key_file))
        oidc = api.oidc
        if oidc is not None:
            oidc = msgspec.structs.replace(oidc, client_secret_file=path(oidc.client_secret_file))
        api = msgspec.structs.replace(api, certificate_file=own[0], key_file=own[1], oidc=oidc)
    return msgspec.structs.replace(
        site,
        api=api,
        state_folder=str(path(site.state_folder)),
        models_folder=path(site.models_folder),
        profiles_folder=path(site.profiles_folder),
        keys=msgspec.structs.replace(site.keys, file=path(site.keys.file)),
        database=msgspec.structs.replace(site.database, url_file=path(site.database.url_file)),
        cameras=tuple(camera(c) for c in site.cameras),
        devices=tuple(device(d) for d in site.devices),
    )

"""Profile files: found, read and checked, and told in one row each."""

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from drivers.modbus.profile import Profile, Watchdog
from drivers.modbus.profile_rules import check
from drivers.modbus.pulses import DOOR_PULSE_MS, TURNSTILE_PULSE_MS, pulse_lengths
from gateway.domain.errors import ConfigError

_ALL_LENGTHS_MS: Final = (TURNSTILE_PULSE_MS[0], DOOR_PULSE_MS[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileRow:
    """What a list of profiles says of one."""

    file: str
    """What a site file names it by."""
    name: str
    maker: str
    models: tuple[str, ...]
    pulse_class: str
    verified: str
    transports: tuple[str, ...]
    relays: int
    inputs: int
    pulse_ms: tuple[int, int, int]
    """Least, most and step of what a door or turnstile may ask of it."""
    watchdog: str
    """Empty where there is none."""
    spare: bool
    """One relay must stay unused."""
    sources: tuple[str, ...]
    installer: str


def load_profile(folders: Sequence[Path], name: str, *, where: str) -> Profile:
    """Read ``name.toml`` from the folder that has it; the site's own come before the shipped one.

    Raises ConfigError naming file, key and fix: also for a name that two folders have, because a site's
    own file must not replace a shipped one without a word.
    """
    found = [path for folder in folders if (path := folder / f"{name}.toml").is_file()]
    if not found:
        known = ", ".join(sorted({p.stem for f in folders for p in f.glob("*.toml")})) or "none at all"
        places = " or ".join(str(f) for f in folders)
        raise ConfigError(f'{where}: profile: there is no "{name}" in {places}; there is: {known}')
    _only_one(found)
    return read_profile(found[0])


def all_profiles(folders: Sequence[Path]) -> dict[str, Profile]:
    """Every profile by the name of its file, sorted. Raises ConfigError as ``load_profile`` does."""
    found: dict[str, list[Path]] = {}
    for folder in folders:
        for path in folder.glob("*.toml"):
            found.setdefault(path.stem, []).append(path)
    for paths in found.values():
        _only_one(paths)
    return {name: read_profile(found[name][0]) for name in sorted(found)}


def _only_one(paths: Sequence[Path]) -> None:
    if len({path.resolve() for path in paths}) > 1:
        raise ConfigError(f"{paths[0]}: has the name of {paths[1]}, which it would replace; rename it")


def read_profile(path: Path) -> Profile:
    """Read one profile file. Raises ConfigError naming file, key and fix."""
    try:
        raw = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as TOML: {error}; correct it") from error
    return parse_profile(raw, source=str(path))


def parse_profile(raw: object, *, source: str) -> Profile:
    """Turn decoded TOML into a checked profile. Raises ConfigError naming file, key and fix."""
    try:
        profile = msgspec.convert(raw, Profile)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{source}: {_explain(str(error))}") from error
    check(profile, source)
    return profile


def _explain(message: str) -> str:
    """Put msgspec's path first, ``key: what is wrong``, and say what to do."""
    found = re.fullmatch(r"(.*) - at `\$\.?(.*)`", message)
    where, what = (found[2] or "top level", found[1]) if found else ("top level", message)
    if "unknown field" in what:
        return f"{where}: {what}; remove it or mend its spelling"
    return f"{where}: {what}; {'add it' if 'missing required field' in what else 'correct it'}"


def describe(profile: Profile, *, file: str) -> ProfileRow:
    """One row of the list of profiles. ``file`` is the name of its file, without ``.toml``."""
    lengths, dog = pulse_lengths(profile, _ALL_LENGTHS_MS), profile.watchdog
    return ProfileRow(
        file=file,
        name=profile.name,
        maker=profile.maker,
        models=profile.models,
        pulse_class=profile.pulse_class.value,
        verified=profile.verified,
        transports=profile.transports,
        relays=profile.outputs.count,
        inputs=profile.inputs.count if profile.inputs else 0,
        pulse_ms=(lengths[0], lengths[-1], lengths.step),
        watchdog=_watchdog(dog) if dog else "",
        spare=dog.needs_spare if dog else False,
        sources=profile.sources,
        installer=profile.installer.strip(),
    )


def _watchdog(dog: Watchdog) -> str:
    by = "set by hand" if dog.time is None else "set by the gateway"
    proof = "proven with a spare relay" if dog.needs_spare else "says itself that it runs"
    return f"{dog.timeout_ms} ms, {by}, {proof}"

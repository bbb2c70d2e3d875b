"""Profile files: found, read and checked."""

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path

import msgspec

from drivers.modbus.profile import Profile
from drivers.modbus.profile_rules import check
from gateway.domain.errors import ConfigError


def load_profile(folders: Sequence[Path], name: str, *, where: str) -> Profile:
    """Read ``name.toml`` from the first folder that has it. Raises ConfigError naming file, key and fix."""
    for folder in folders:
        path = folder / f"{name}.toml"
        if path.is_file():
            return read_profile(path)
    known = ", ".join(sorted({p.stem for f in folders for p in f.glob("*.toml")})) or "none at all"
    places = " or ".join(str(f) for f in folders)
    raise ConfigError(f'{where}: profile: there is no "{name}" in {places}; there is: {known}')


def read_profile(path: Path) -> Profile:
    """Read one profile file. Raises ConfigError naming file, key and fix."""
    try:
        raw = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as TOML: {error}") from error
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
    """Put msgspec's path first, ``key: what is wrong``, and say what to do about a stray key."""
    found = re.fullmatch(r"(.*) - at `\$\.?(.*)`", message)
    text = f"{found[2] or 'top level'}: {found[1]}" if found else message
    return f"{text}; remove it or mend its spelling" if "unknown field" in message else text

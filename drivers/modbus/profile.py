"""Devices as data: what a profile file says a device's outputs are and how it times a pulse.

A profile exists only for devices that end a pulse by themselves, in one frame. A pulse that a profile
cannot hold exactly is refused when the site is loaded, not rounded.
"""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from drivers.modbus.frames import OFF, READ_COILS, READ_DISCRETE_INPUTS, ReadBits, WriteCoil
from drivers.modbus.guard import Guard, PulseRange
from gateway.domain.errors import ConfigError

PULSE_MS: Final = (500, 30_000)
"""What a door may ask for, whatever a site file or a profile says."""

Word = Annotated[int, Meta(ge=0, le=0xFFFF)]
Positive = Annotated[int, Meta(ge=1, le=0xFFFF)]


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of every table of a profile."""


class Readback(_Table, frozen=True, kw_only=True):
    """Where an output's state is read."""

    function: Literal["coils", "discrete_inputs"] = "coils"
    offset: Annotated[int, Meta(ge=-0xFFFF, le=0xFFFF)] = 0


class TicksPulse(_Table, frozen=True, kw_only=True, tag_field="kind", tag="fc05_ticks"):
    """FC05 at ``base`` + coil with the length in the value field: one frame, timed by the device."""

    base: Word
    unit_ms: Positive
    min_ticks: Positive = 1
    max_ticks: Positive = 0xFFFF


class Outputs(_Table, frozen=True, kw_only=True):
    """A block of relays with consecutive addresses."""

    first: Word
    count: Annotated[int, Meta(ge=1, le=64)]
    readback: Readback = Readback()
    pulse: TicksPulse


class Banned(_Table, frozen=True, kw_only=True):
    """A coil address that must never be written."""

    address: Word
    why: str


@dataclass(frozen=True, slots=True)
class RelayFrames:
    """The three frames one door needs, for one channel and one pulse length."""

    pulse: WriteCoil
    off: WriteCoil
    read: ReadBits


class Profile(_Table, frozen=True, kw_only=True):
    """One kind of device."""

    name: str
    transport: Literal["tcp"]
    verified: Literal["paper", "bench"]
    """Whether the addresses have been measured on the device itself."""
    source: str
    outputs: Outputs
    banned: tuple[Banned, ...] = ()

    def relay(self, *, unit: int, channel: int, pulse_ms: int, where: str) -> RelayFrames:
        """Frames for a relay, numbered from 1 as printed. ``where`` names file and key for errors.

        Raises ConfigError for a channel the device has not, or a pulse it or the door cannot hold.
        """
        out = self.outputs
        if not 1 <= channel <= out.count:
            raise ConfigError(f"{where}: channel: {self.name} has relays 1 to {out.count}, not {channel}")
        coil = out.first + channel - 1
        ticks = self._ticks(pulse_ms, where)
        function = READ_COILS if out.readback.function == "coils" else READ_DISCRETE_INPUTS
        return RelayFrames(
            pulse=WriteCoil(unit, out.pulse.base + coil, ticks),
            off=WriteCoil(unit, coil, OFF),
            read=ReadBits(unit, function, coil + out.readback.offset),
        )

    def guard(self) -> Guard:
        """What may be sent to such a device: OFF, reads, and pulses as long as a door may ask for."""
        out, (low, high) = self.outputs, PULSE_MS
        base, unit = out.pulse.base + out.first, out.pulse.unit_ms
        return Guard(
            pulses=(PulseRange(base, base + out.count - 1, -(-low // unit), high // unit),),
            banned=frozenset(b.address for b in self.banned),
        )

    def _ticks(self, pulse_ms: int, where: str) -> int:
        low, high = PULSE_MS
        pulse = self.outputs.pulse
        if not low <= pulse_ms <= high:
            raise ConfigError(f"{where}: pulse_ms: {pulse_ms} is not within a door's {low} to {high}")
        ticks, rest = divmod(pulse_ms, pulse.unit_ms)
        if rest:
            raise ConfigError(
                f"{where}: pulse_ms: {self.name} times pulses in steps of {pulse.unit_ms} ms; "
                f"write {pulse_ms - rest} or {pulse_ms - rest + pulse.unit_ms} instead of {pulse_ms}"
            )
        if not pulse.min_ticks <= ticks <= pulse.max_ticks:
            least, most = pulse.min_ticks * pulse.unit_ms, pulse.max_ticks * pulse.unit_ms
            raise ConfigError(f"{where}: pulse_ms: {self.name} holds {least} to {most} ms, not {pulse_ms}")
        return ticks


def load_profile(folder: Path, name: str, *, where: str) -> Profile:
    """Read ``folder/name.toml``. Raises ConfigError naming file, key and fix."""
    path = folder / f"{name}.toml"
    try:
        raw = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        known = ", ".join(sorted(p.stem for p in folder.glob("*.toml"))) or "none at all"
        raise ConfigError(f'{where}: profile: there is no "{name}" in {folder}; there is: {known}') from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as TOML: {error}") from error
    return parse_profile(raw, source=str(path))


def parse_profile(raw: object, *, source: str) -> Profile:
    """Turn decoded TOML into a checked profile. Raises ConfigError naming file, key and fix."""
    try:
        profile = msgspec.convert(raw, Profile)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{source}: {_explain(str(error))}") from error
    _check(profile, source)
    return profile


def _check(profile: Profile, source: str) -> None:
    """Rules between keys."""
    out = profile.outputs
    last = out.first + out.count - 1
    for key, first in (
        ("outputs.pulse.base", out.pulse.base + out.first),
        ("outputs.readback.offset", out.first + out.readback.offset),
    ):
        if first < 0 or first + out.count - 1 > 0xFFFF:
            raise ConfigError(f"{source}: {key}: puts an address outside 0x0000 to 0xFFFF; lower it")
    if out.pulse.base <= out.count - 1:
        raise ConfigError(f"{source}: outputs.pulse.base: pulse addresses overlap the coils; raise it")
    if out.pulse.min_ticks > out.pulse.max_ticks:
        raise ConfigError(f"{source}: outputs.pulse.min_ticks: cannot be more than max_ticks")
    pulses = range(out.pulse.base + out.first, out.pulse.base + last + 1)
    for i, ban in enumerate(profile.banned):
        if out.first <= ban.address <= last or ban.address in pulses:
            raise ConfigError(
                f"{source}: banned[{i}].address: 0x{ban.address:04X} is an output's own; "
                "remove the ban or lower outputs.count"
            )


def _explain(message: str) -> str:
    """Put msgspec's path first, ``key: what is wrong``, and say what to do about a stray key."""
    found = re.fullmatch(r"(.*) - at `\$\.?(.*)`", message)
    text = f"{found[2] or 'top level'}: {found[1]}" if found else message
    return f"{text}; remove it or mend its spelling" if "unknown field" in message else text

"""How long a device's pulses can be, and which frames make one."""

from math import gcd
from typing import Final

from drivers.modbus.frames import ON as COIL_ON
from drivers.modbus.frames import Write, WriteCoil, WriteWord
from drivers.modbus.places import number_write
from drivers.modbus.profile import CodePulse, HeldPulse, Outputs, PresetPulse, Profile, TicksPulse
from gateway.domain.errors import ConfigError

DOOR_PULSE_MS: Final = (500, 30_000)
TURNSTILE_PULSE_MS: Final = (100, 500)
"""What a door or a turnstile may ask for, whatever a site file or a profile says."""

TimedPulse = TicksPulse | CodePulse | PresetPulse


def unit_us(pulse: TimedPulse) -> int:
    """The step of a pulse the device times, in microseconds."""
    return pulse.unit_us if isinstance(pulse, PresetPulse) else pulse.unit_ms * 1000


def pulse_lengths(profile: Profile, bounds: tuple[int, int]) -> range:
    """Every length in whole milliseconds that the device holds exactly, within bounds; may be empty."""
    pulse, (low, high) = profile.outputs.pulse, bounds
    if isinstance(pulse, HeldPulse):
        return range(low, high + 1)
    every = 1000 // gcd(unit_us(pulse), 1000)  # ticks that make whole milliseconds
    step = every * unit_us(pulse) // 1000
    least = max(-(-pulse.min_ticks // every), -(-low // step)) * step
    most = min(pulse.max_ticks // every, high // step) * step
    return range(least, most + 1, step)


def check_length(profile: Profile, pulse_ms: int, bounds: tuple[int, int], where: str) -> None:
    """Raise ConfigError for a length that the door may not ask for or the device cannot hold exactly."""
    low, high = bounds
    if not low <= pulse_ms <= high:
        raise ConfigError(
            f"{where}: pulse_ms: {pulse_ms} is not within {low} to {high}; write a length within these bounds"
        )
    held = pulse_lengths(profile, bounds)
    if pulse_ms in held:
        return
    everything = pulse_lengths(profile, (1, 1 << 40))
    holds = f"{profile.name} holds multiples of {everything.step} ms from {everything[0]} to {everything[-1]}"
    if not held:
        raise ConfigError(
            f"{where}: pulse_ms: {holds}, and this needs {low} to {high} ms; take another device for it"
        )
    raise ConfigError(f"{where}: pulse_ms: {holds}; write {_nearest(held, pulse_ms)} instead of {pulse_ms}")


def _nearest(held: range, pulse_ms: int) -> str:
    below = [ms for ms in (pulse_ms - (pulse_ms - held[0]) % held.step,) if ms in held]
    above = [ms for ms in (pulse_ms + -(pulse_ms - held[0]) % held.step,) if ms in held]
    near = below + above or [held[0] if pulse_ms < held[0] else held[-1]]
    return " or ".join(str(ms) for ms in near)


def pulse_frames(
    profile: Profile, unit: int, channel: int, pulse_ms: int
) -> tuple[tuple[Write, ...], Write, tuple[Write, ...]]:
    """What comes before, what opens, what closes. The length must have passed ``check_length``."""
    out, pulse = profile.outputs, profile.outputs.pulse
    off = _switch(out, unit, channel, out.off)
    if isinstance(pulse, HeldPulse):
        return (), _switch(out, unit, channel, out.on), (off,)
    ticks = pulse_ms * 1000 // unit_us(pulse)
    match pulse:
        case TicksPulse():
            return (), WriteCoil(unit, pulse.base + channel - 1, ticks), (off,)
        case CodePulse():
            return (), WriteWord(unit, out.first + channel - 1, pulse.code << 8 | ticks), (off,)
        case PresetPulse():
            start = pulse.start + channel - 1
            prepare = (
                number_write(pulse.count, unit, channel, 1),
                number_write(pulse.on_width, unit, channel, ticks),
                number_write(pulse.off_width, unit, channel, pulse.min_ticks),
            )
            return prepare, WriteCoil(unit, start, COIL_ON), (WriteCoil(unit, start, 0), off)


def _switch(out: Outputs, unit: int, channel: int, value: int) -> Write:
    kind = WriteCoil if out.write == "coil" else WriteWord
    return kind(unit, out.first + channel - 1, value)

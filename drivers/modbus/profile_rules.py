"""What contradicts itself in a profile is refused, with file, key and fix."""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Final

from drivers.modbus.frames import OFF, ON, TOGGLE
from drivers.modbus.places import is_bits
from drivers.modbus.plan import PulseClass
from drivers.modbus.profile import CodePulse, Expect, HeldPulse, Profile, TicksPulse, Watchdog
from drivers.modbus.profile_cells import Problem, cell_problems, place_problems, settings
from drivers.modbus.pulses import DOOR_PULSE_MS, TURNSTILE_PULSE_MS, pulse_lengths, unit_us
from gateway.domain.errors import ConfigError

WATCHDOG_MS: Final = (1000, 10_000)
"""Shorter, and a slow poll opens nothing any more; longer, and a door stays open too long after a crash."""
_MOST_WORDS: Final = 123
"""Of one FC16 (Modbus application protocol 1.1b3, 6.12)."""


def check(profile: Profile, source: str) -> None:
    """Refuse the first contradiction. ``source`` is the file. Raises ConfigError."""
    problems = chain(
        _words(profile),
        _class(profile),
        _pulse(profile),
        place_problems(profile),
        _settings(profile),
        _expectations(profile),
        _watchdog(profile),
        cell_problems(profile),
    )
    for key, what in problems:
        raise ConfigError(f"{source}: {key}: {what}")


def _words(profile: Profile) -> Iterator[Problem]:
    """What people read, and lists that are empty or say a thing twice."""
    for key in ("name", "maker", "installer"):
        if not getattr(profile, key).strip():
            yield key, "is empty; installers read it, so say it"
    for key in ("models", "sources", "transports"):
        row: Sequence[str] = getattr(profile, key)
        if not row or not all(item.strip() for item in row):
            yield key, "is empty; name at least one"
        yield from _twice(key, row)
    yield from _twice("banned", [f"0x{ban.address:04X}" for ban in profile.banned])
    if not all(ban.why.strip() for ban in profile.banned):
        yield "banned", "why is empty; say what the address does"
    if not 1200 <= profile.baud <= 115_200:
        yield "baud", f"{profile.baud} is not within 1200 to 115200; correct it"
    if profile.rtu_tcp_port is not None and "rtu_tcp" not in profile.transports:
        yield "rtu_tcp_port", 'transports has no "rtu_tcp"; add it or remove this key'


def _twice(key: str, row: Sequence[str]) -> Iterator[Problem]:
    for i, item in enumerate(row):
        if item in row[:i]:
            yield f"{key}[{i}]", f"{item} is there twice; remove one"


def _class(profile: Profile) -> Iterator[Problem]:
    held = isinstance(profile.outputs.pulse, HeldPulse)
    match profile.pulse_class:
        case PulseClass.A:
            if held:
                yield (
                    "class",
                    'in class "A" the device ends the pulse, a held one it does not; make it "B" or "C"',
                )
            if profile.watchdog is not None:
                yield "watchdog", 'class "A" needs none, the device ends its pulses; remove it'
        case PulseClass.B:
            if profile.watchdog is None:
                yield "class", '"B" needs [watchdog]; add it, or make the class "C" if there is none'
        case PulseClass.C:
            if profile.watchdog is not None:
                yield "class", 'a device with [watchdog] is class "B"; make it so or remove [watchdog]'
    if profile.pulse_class is not PulseClass.A and not held:
        yield "class", 'a device that ends its pulse by itself is class "A"; make it so'


def _pulse(profile: Profile) -> Iterator[Problem]:
    pulse = profile.outputs.pulse
    yield from _switching(profile)
    if isinstance(pulse, HeldPulse):
        return
    if pulse.min_ticks > pulse.max_ticks:
        yield "outputs.pulse.min_ticks", "is more than max_ticks; correct one of them"
    elif not pulse_lengths(profile, (TURNSTILE_PULSE_MS[0], DOOR_PULSE_MS[1])):
        yield "outputs.pulse", "holds no length that a door or turnstile may ask for; check its unit"
    if isinstance(pulse, TicksPulse) and pulse.max_ticks >= TOGGLE:
        toggle_ms = TOGGLE * unit_us(pulse) // 1000
        if toggle_ms <= DOOR_PULSE_MS[1]:
            yield (
                "outputs.pulse.max_ticks",
                f"{TOGGLE} ticks would read as a toggle; lower it to {TOGGLE - 1}",
            )


def _switching(profile: Profile) -> Iterator[Problem]:
    """The values that switch, and the function they are written with."""
    out, pulse = profile.outputs, profile.outputs.pulse
    if out.write == "coil" and (out.on, out.off) != (ON, OFF):
        yield "outputs.on", "a coil takes 0xFF00 for on and 0x0000 for off; remove on and off"
    if out.on == out.off:
        yield "outputs.off", "is the same as on; correct one of them"
    if isinstance(pulse, CodePulse):
        if out.write != "register":
            yield "outputs.write", 'a pulse of kind "fc06_code" is written to registers; set it to "register"'
        if pulse.code in {out.on >> 8, out.off >> 8}:
            yield "outputs.pulse.code", "is also the high byte of on or off; correct one of them"
    elif not isinstance(pulse, HeldPulse) and out.write != "coil":
        yield "outputs.write", f'must be "coil" for this kind of pulse, not "{out.write}"; remove it'


def _settings(profile: Profile) -> Iterator[Problem]:
    for key, setting in settings(profile):
        if (setting.coil is None) == (setting.register is None):
            yield key, "names a coil or a register, one of the two; correct it"
        elif setting.coil is not None and (setting.value > 1 or setting.words):
            yield key, "a coil takes the value 0 or 1 and no words; correct it"
        elif len(setting.words) >= _MOST_WORDS:
            yield key, f"more than {_MOST_WORDS} registers do not fit one request; split it"


def _expectations(profile: Profile) -> Iterator[Problem]:
    dog = profile.watchdog
    rows: dict[str, tuple[Expect, ...]] = {"checks": profile.checks, "identity": profile.identity}
    if dog is not None:
        rows["watchdog.verify"] = dog.verify
        rows["watchdog.running"] = (dog.running,) if dog.running else ()
    rows["rebooted"] = (profile.rebooted,) if profile.rebooted else ()
    for name, row in rows.items():
        single = name in {"watchdog.running", "rebooted"}
        for i, expect in enumerate(row):
            key = name if single else f"{name}[{i}]"
            yield from _expect(key, expect)
            if any(
                (e.space, e.address, e.mask) == (expect.space, expect.address, expect.mask) for e in row[:i]
            ):
                yield key, f"{expect.space} 0x{expect.address:04X} is there twice; remove one"
    seen = profile.rebooted
    if seen is not None and seen.equals != (1 if is_bits(seen) else seen.mask):
        yield "rebooted", "must be a bit that is set after power-on: equals = 1, in a register equals = mask"


def _expect(key: str, expect: Expect) -> Iterator[Problem]:
    bounds = expect.low is not None or expect.high is not None
    most = 1 if is_bits(expect) else expect.mask
    if not expect.what.strip():
        yield f"{key}.what", "is empty; say what it is and what to set"
    if (expect.equals is not None) == bounds:
        yield key, "needs either equals, or low and high; give one of the two"
    elif expect.equals is not None and (expect.equals > most or expect.equals & ~most):
        yield f"{key}.equals", f"0x{expect.equals:04X} can never be read there; correct it or the mask"
    elif bounds and not (expect.low or 0) <= (most if expect.high is None else expect.high) <= most:
        yield f"{key}.low", "low and high leave nothing that can be read there; correct them"
    if is_bits(expect) and expect.mask != 0xFFFF:
        yield f"{key}.mask", "is for registers, not for bits; remove it"


def _watchdog(profile: Profile) -> Iterator[Problem]:
    dog = profile.watchdog
    if dog is None:
        return
    low, high = WATCHDOG_MS
    if not low <= dog.timeout_ms <= high:
        yield "watchdog.timeout_ms", f"{dog.timeout_ms} is not within {low} to {high}; choose 2000 to 5000"
    if dog.needs_spare and profile.outputs.count < 2:
        yield "outputs.count", "one relay cannot both move a door and prove the watchdog; take another device"
    yield from _watchdog_time(dog)


def _watchdog_time(dog: Watchdog) -> Iterator[Problem]:
    if dog.time is None:
        extra = [key for key in ("before", "after", "verify") if getattr(dog, key)]
        if extra:
            yield f"watchdog.{extra[0]}", "means nothing without time; add time or remove it"
        return
    ticks, rest = divmod(dog.timeout_ms, dog.unit_ms)
    if rest:
        yield "watchdog.timeout_ms", f"{dog.timeout_ms} is no multiple of unit_ms; correct one of them"
    if not dog.min_ticks <= ticks <= dog.max_ticks:
        least, most = dog.min_ticks * dog.unit_ms, dog.max_ticks * dog.unit_ms
        yield (
            "watchdog.timeout_ms",
            f"the register holds {least} to {most} ms, not {dog.timeout_ms}; correct it",
        )

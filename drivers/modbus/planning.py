"""From a profile to plans: addresses, values and frames for one unit, channel and pulse."""

from collections.abc import Collection, Sequence
from typing import Final

from drivers.modbus.frames import ON as COIL_ON
from drivers.modbus.frames import (
    READ_COILS,
    READ_DISCRETE_INPUTS,
    READ_HOLDING,
    READ_INPUT,
    ReadBits,
    ReadWords,
    Write,
    WriteCoil,
    WriteWord,
    WriteWords,
    function_of,
)
from drivers.modbus.guard import Guard
from drivers.modbus.plan import (
    Allow,
    Ban,
    Check,
    Field,
    InputPlan,
    OutputPlan,
    PulseClass,
    UnitPlan,
    UnitRules,
    WatchdogPlan,
)
from drivers.modbus.profile import (
    CodePulse,
    Expect,
    HeldPulse,
    Place,
    PresetPulse,
    Profile,
    Setting,
    TicksPulse,
)
from gateway.domain.errors import ConfigError

DOOR_PULSE_MS: Final = (500, 30_000)
TURNSTILE_PULSE_MS: Final = (100, 500)
"""What a door or a turnstile may ask for, whatever a site file or a profile says."""

_FUNCTIONS: Final = {
    "coils": READ_COILS,
    "discrete_inputs": READ_DISCRETE_INPUTS,
    "holding": READ_HOLDING,
    "input": READ_INPUT,
}


def output_plan(
    profile: Profile,
    *,
    unit: int,
    channel: int,
    pulse_ms: int,
    bounds: tuple[int, int] = DOOR_PULSE_MS,
    where: str,
) -> OutputPlan:
    """One relay, numbered from 1, for one length of pulse. ``where`` names file and key for errors.

    Raises ConfigError for a channel the device has not, or a pulse it or the door cannot hold.
    """
    out = profile.outputs
    _check_channel(profile, channel, where)
    low, high = bounds
    if not low <= pulse_ms <= high:
        raise ConfigError(f"{where}: pulse_ms: {pulse_ms} is not within {low} to {high}")
    prepare, pulse, off = _pulse(profile, unit, channel, pulse_ms, where)
    return OutputPlan(
        channel=channel,
        pulse_ms=pulse_ms,
        timed=profile.pulse_class is PulseClass.A,
        prepare=prepare,
        pulse=pulse,
        off=off,
        state=_field(out.readback, unit, channel),
        cycles=_field(out.cycles, unit, channel) if out.cycles else None,
    )


def _check_channel(profile: Profile, channel: int, where: str) -> None:
    count = profile.outputs.count
    if not 1 <= channel <= count:
        raise ConfigError(f"{where}: channel: {profile.name} has relays 1 to {count}, not {channel}")


def _pulse(
    profile: Profile, unit: int, channel: int, pulse_ms: int, where: str
) -> tuple[tuple[Write, ...], Write, tuple[Write, ...]]:
    """What comes before, what opens, what closes."""
    out, pulse = profile.outputs, profile.outputs.pulse
    own = out.first + channel - 1
    off = _switch(profile, unit, channel, out.off)
    match pulse:
        case TicksPulse():
            ticks = _ticks(profile, pulse_ms * 1000, pulse.unit_ms * 1000, pulse, where)
            return (), WriteCoil(unit, pulse.base + own, ticks), (off,)
        case CodePulse():
            ticks = _ticks(profile, pulse_ms * 1000, pulse.unit_ms * 1000, pulse, where)
            return (), WriteWord(unit, own, pulse.code << 8 | ticks), (off,)
        case PresetPulse():
            ticks = _ticks(profile, pulse_ms * 1000, pulse.unit_us, pulse, where)
            start = pulse.start + channel - 1
            prepare = (
                _write_number(pulse.count, unit, channel, 1),
                _write_number(pulse.on_width, unit, channel, ticks),
                _write_number(pulse.off_width, unit, channel, pulse.min_ticks),
            )
            return prepare, WriteCoil(unit, start, COIL_ON), (WriteCoil(unit, start, 0), off)
        case HeldPulse():
            return (), _switch(profile, unit, channel, out.on), (off,)


def _switch(profile: Profile, unit: int, channel: int, value: int) -> Write:
    address = profile.outputs.first + channel - 1
    kind = WriteCoil if profile.outputs.write == "coil" else WriteWord
    return kind(unit, address, value)


def _ticks(
    profile: Profile, pulse_us: int, unit_us: int, pulse: TicksPulse | CodePulse | PresetPulse, where: str
) -> int:
    ticks, rest = divmod(pulse_us, unit_us)
    step = unit_us / 1000
    if rest:
        near = f"{(pulse_us - rest) / 1000:g} or {(pulse_us - rest + unit_us) / 1000:g}"
        raise ConfigError(
            f"{where}: pulse_ms: {profile.name} times pulses in steps of {step:g} ms; "
            f"write {near} instead of {pulse_us // 1000}"
        )
    if not pulse.min_ticks <= ticks <= pulse.max_ticks:
        least, most = pulse.min_ticks * step, pulse.max_ticks * step
        raise ConfigError(
            f"{where}: pulse_ms: {profile.name} holds {least:g} to {most:g} ms, not {pulse_us // 1000}"
        )
    return ticks


def _field(place: Place, unit: int, channel: int) -> Field:
    """Where the value of a channel is read: the whole row in one request where that is short."""
    function = _FUNCTIONS[place.space]
    if place.packed:
        return Field(read=ReadWords(unit, function, place.first), mask=1 << channel - 1)
    address = place.first + (channel - 1) * place.stride
    if place.space in {"coils", "discrete_inputs"}:
        return Field(read=ReadBits(unit, function, address))
    return Field(
        read=ReadWords(unit, function, address, place.words),
        words=place.words,
        low_word_first=place.low_word_first,
    )


def _write_number(place: Place, unit: int, channel: int, value: int) -> Write:
    address = place.first + (channel - 1) * place.stride
    if place.words == 1:
        return WriteWord(unit, address, value)
    words = (value >> 16, value & 0xFFFF)
    return WriteWords(unit, address, tuple(reversed(words)) if place.low_word_first else words)


def _setting(setting: Setting, unit: int) -> Write:
    if setting.coil is not None:
        return WriteCoil(unit, setting.coil, COIL_ON if setting.value else 0)
    address = setting.register or 0
    if setting.words:
        return WriteWords(unit, address, (setting.value, *setting.words))
    return WriteWord(unit, address, setting.value)


def _expect(expect: Expect, unit: int) -> Check:
    place = Place(space=expect.space, first=expect.address)
    field = _field(place, unit, 1)
    if isinstance(field.read, ReadWords):
        field = Field(read=field.read, mask=expect.mask)
    low = expect.equals if expect.equals is not None else expect.low or 0
    high = expect.equals if expect.equals is not None else (0xFFFF if expect.high is None else expect.high)
    return Check(field=field, low=low, high=high, what=expect.what)


def unit_plan(
    profile: Profile,
    *,
    unit: int,
    outputs: Sequence[OutputPlan],
    inputs: Collection[int] = (),
    spare: int | None = None,
    exclusive: Sequence[Collection[int]] = (),
    where: str,
) -> UnitPlan:
    """Everything a site uses of one device. ``outputs`` may hold two lengths of one channel.

    ``inputs`` are the numbers of the inputs in use, ``spare`` the unused output that proves a watchdog,
    ``exclusive`` groups of channels that must never be ON together. Raises ConfigError.
    """
    owned = sorted({o.channel for o in outputs})
    watchdog = _watchdog(profile, unit, spare, owned, where)
    plans = tuple(_input(profile, unit, n, where) for n in sorted(set(inputs)))
    checks = (
        *(_expect(e, unit) for e in profile.checks),
        *_off_checks(profile.outputs.power_on, unit, owned, "after power returns"),
        *_off_checks(profile.outputs.safe, unit, owned, "after the watchdog expired"),
    )
    return UnitPlan(
        unit=unit,
        pulse_class=profile.pulse_class,
        outputs=tuple(outputs),
        inputs=plans,
        checks=checks,
        watchdog=watchdog,
        rebooted=_expect(profile.rebooted, unit).field if profile.rebooted else None,
        rules=_rules(profile, outputs, plans, watchdog, exclusive),
        min_gap_s=profile.min_gap_ms / 1000,
    )


def _off_checks(place: Place | None, unit: int, owned: Sequence[int], when: str) -> tuple[Check, ...]:
    if place is None:
        return ()
    return tuple(
        Check(field=_field(place, unit, n), low=0, high=0, what=f"output {n} {when}: must be OFF; set it so")
        for n in owned
    )


def _input(profile: Profile, unit: int, number: int, where: str) -> InputPlan:
    inputs = profile.inputs
    count = 0 if inputs is None else inputs.count
    if inputs is None or not 1 <= number <= count:
        have = f"inputs 1 to {count}" if count else "no inputs"
        raise ConfigError(f"{where}: input: {profile.name} has {have}, not {number}")
    counter, latches = inputs.counter, inputs.latches
    prepare: tuple[Write, ...] = ()
    if counter is not None and counter.start is not None:
        prepare = (WriteCoil(unit, counter.start + number - 1, COIL_ON),)
    return InputPlan(
        number=number,
        state=_field(inputs.state, unit, number),
        counter=_field(counter, unit, number) if counter else None,
        latched_high=_field(latches.high, unit, number) if latches else None,
        latched_low=_field(latches.low, unit, number) if latches else None,
        prepare=prepare,
        clear=(_setting(latches.clear_high, unit), _setting(latches.clear_low, unit)) if latches else (),
    )


def _watchdog(
    profile: Profile, unit: int, spare: int | None, owned: Sequence[int], where: str
) -> WatchdogPlan | None:
    dog = profile.watchdog
    if dog is None:
        return None
    if dog.needs_spare and spare is None:
        raise ConfigError(
            f"{where}: spare_channel: {profile.name} cannot say by itself that its watchdog runs; "
            "leave one relay unused and name it here"
        )
    if spare is not None and spare in owned:
        raise ConfigError(f"{where}: spare_channel: relay {spare} moves a door; name one that nothing uses")
    proof = None
    if spare is not None:
        _check_channel(profile, spare, where)
        proof = output_plan(profile, unit=unit, channel=spare, pulse_ms=1000, where=where)
    arm = tuple(_setting(s, unit) for s in dog.before)
    verify = [_expect(e, unit) for e in dog.verify]
    if dog.time is not None:
        ticks = dog.timeout_ms // dog.unit_ms
        arm += (WriteWord(unit, dog.time, ticks),)
        field = Field(read=ReadWords(unit, READ_HOLDING, dog.time))
        verify.insert(0, Check(field=field, low=ticks, high=ticks, what="the watchdog's time"))
    return WatchdogPlan(
        timeout_ms=dog.timeout_ms,
        arm=(*arm, *(_setting(s, unit) for s in dog.after)),
        verify=tuple(verify),
        running=_expect(dog.running, unit) if dog.running else None,
        feed=proof.off[0] if proof and dog.fed_by == "write" else None,
        clear=tuple(_setting(s, unit) for s in dog.clear),
        spare=proof,
    )


def _rules(
    profile: Profile,
    outputs: Sequence[OutputPlan],
    inputs: Sequence[InputPlan],
    watchdog: WatchdogPlan | None,
    exclusive: Sequence[Collection[int]],
) -> UnitRules:
    """Exactly the writes that the plans hold, and none else."""
    writes: list[Write] = []
    spare = (watchdog.spare,) if watchdog and watchdog.spare else ()
    for plan in (*outputs, *spare):
        writes += [*plan.prepare, plan.pulse, *plan.off]
    for known in inputs:
        writes += [*known.prepare, *known.clear]
    if watchdog is not None:
        writes += [*watchdog.arm, *watchdog.clear]
    first = profile.outputs.first
    return UnitRules(
        allowed=tuple(dict.fromkeys(a for w in writes for a in _allow(w))),
        banned=tuple(Ban(address=b.address, why=b.why) for b in profile.banned),
        exclusive=tuple(frozenset(first + n - 1 for n in group) for group in exclusive),
    )


def _allow(write: Write) -> tuple[Allow, ...]:
    values = write.values if isinstance(write, WriteWords) else (write.value,)
    function, first = function_of(write), write.address
    return tuple(
        Allow(function=function, first=first + i, last=first + i, low=value, high=value)
        for i, value in enumerate(values)
    )


def interim_guard(profile: Profile) -> Guard:
    """What may be sent to class A boards of any unit, until the composition gives the rules of its plans."""
    out, (low, high) = profile.outputs, DOOR_PULSE_MS
    allowed = [Allow(function=5, first=out.first, last=out.first + out.count - 1, low=0, high=0)]
    if isinstance(out.pulse, TicksPulse):
        base, unit = out.pulse.base + out.first, out.pulse.unit_ms
        pulses = Allow(
            function=5, first=base, last=base + out.count - 1, low=-(-low // unit), high=high // unit
        )
        allowed.append(pulses)
    banned = tuple(Ban(address=b.address, why=b.why) for b in profile.banned)
    return Guard(dict.fromkeys(range(1, 248), UnitRules(allowed=tuple(allowed), banned=banned)))

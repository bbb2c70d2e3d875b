"""From a profile to plans: addresses, values and frames for one unit, channel and pulse."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from drivers.modbus.frames import ON as COIL_ON
from drivers.modbus.frames import (
    READ_HOLDING,
    ReadWords,
    Write,
    WriteCoil,
    WriteWord,
    WriteWords,
    function_of,
)
from drivers.modbus.guard import Guard
from drivers.modbus.places import check_of, field_of, setting_write
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
from drivers.modbus.profile import Outputs, Place, Profile, TicksPulse, Watchdog
from drivers.modbus.pulses import DOOR_PULSE_MS, TURNSTILE_PULSE_MS, check_length, pulse_frames
from gateway.domain.errors import ConfigError

__all__ = ["DOOR_PULSE_MS", "TURNSTILE_PULSE_MS", "check_of", "output_plan", "unit_plan"]


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
    _check_channel(profile, channel, f"{where}: channel")
    check_length(profile, pulse_ms, bounds, where)
    prepare, pulse, off = pulse_frames(profile, unit, channel, pulse_ms)
    return OutputPlan(
        channel=channel,
        pulse_ms=pulse_ms,
        timed=profile.pulse_class is PulseClass.A,
        prepare=prepare,
        pulse=pulse,
        off=off,
        state=field_of(out.readback, unit, channel),
        cycles=field_of(out.cycles, unit, channel) if out.cycles else None,
    )


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
    ``exclusive`` groups of channels that must never be ON together. A device of which the site uses inputs
    only needs no watchdog. Raises ConfigError.
    """
    owned = sorted({o.channel for o in outputs})
    watchdog = _watchdog(profile, unit, spare, owned, where)
    # The spare proves the watchdog for all only if it is set like all.
    alike = sorted({*owned, watchdog.spare.channel}) if watchdog and watchdog.spare else owned
    plans = tuple(_input(profile, unit, n, inputs, where) for n in sorted(set(inputs)))
    return UnitPlan(
        unit=unit,
        pulse_class=profile.pulse_class,
        outputs=tuple(_read_together(profile.outputs, unit, o, alike) for o in outputs),
        inputs=plans,
        checks=(*(check_of(e, unit) for e in profile.checks), *_output_checks(profile.outputs, unit, alike)),
        watchdog=watchdog,
        rebooted=check_of(profile.rebooted, unit).field if profile.rebooted else None,
        rules=_rules(profile, outputs, plans, watchdog, _groups(profile, exclusive, where)),
        min_gap_s=profile.min_gap_ms / 1000,
    )


def _check_channel(profile: Profile, channel: int, where: str) -> None:
    count = profile.outputs.count
    if not 1 <= channel <= count:
        raise ConfigError(f"{where}: {profile.name} has relays 1 to {count}, not {channel}")


def _read_together(out: Outputs, unit: int, plan: OutputPlan, among: Sequence[int]) -> OutputPlan:
    """The same plan, with one request for the states of all outputs in use."""
    return replace(
        plan,
        state=field_of(out.readback, unit, plan.channel, among),
        cycles=field_of(out.cycles, unit, plan.channel, among) if out.cycles else None,
    )


def _output_checks(out: Outputs, unit: int, channels: Sequence[int]) -> tuple[Check, ...]:
    """What must be set so for each output in use."""
    wanted: list[tuple[Place, int, str]] = [(mode, mode.equals, mode.what) for mode in out.modes]
    if out.power_on is not None:
        wanted.append((out.power_on, 0, "must be OFF after power returns; set it so"))
    if out.safe is not None:
        wanted.append((out.safe, 0, "must be OFF after the watchdog expired; set it so"))
    return tuple(
        Check(field=field_of(place, unit, n, channels), low=value, high=value, what=f"output {n} {what}")
        for place, value, what in wanted
        for n in channels
    )


def _input(profile: Profile, unit: int, number: int, among: Collection[int], where: str) -> InputPlan:
    inputs = profile.inputs
    count = 0 if inputs is None else inputs.count
    if inputs is None or not 1 <= number <= count:
        have = f"inputs 1 to {count}" if count else "no inputs"
        raise ConfigError(f"{where}: input: {profile.name} has {have}, not {number}")
    counter, latches = inputs.counter, inputs.latches
    prepare: tuple[Write, ...] = ()
    if counter is not None and counter.start is not None:
        prepare = (WriteCoil(unit, counter.start + number - 1, COIL_ON),)

    def field(place: Place | None) -> Field | None:
        return field_of(place, unit, number, among) if place else None

    return InputPlan(
        number=number,
        state=field_of(inputs.state, unit, number, among),
        counter=field(counter),
        latched_high=field(latches.high if latches else None),
        latched_low=field(latches.low if latches else None),
        prepare=prepare,
        clear=tuple(setting_write(s, unit) for s in (latches.clear_high, latches.clear_low))
        if latches
        else (),
    )


def _watchdog(
    profile: Profile, unit: int, spare: int | None, owned: Sequence[int], where: str
) -> WatchdogPlan | None:
    dog = profile.watchdog
    if not owned:
        return None
    if dog is None:
        if spare is not None:
            raise ConfigError(
                f"{where}: spare_channel: {profile.name} has no watchdog to prove; remove the key"
            )
        return None
    proof = _spare(profile, dog, unit, spare, owned, where)
    arm, verify = _arming(dog, unit)
    return WatchdogPlan(
        timeout_ms=dog.timeout_ms,
        arm=arm,
        verify=verify,
        running=check_of(dog.running, unit) if dog.running else None,
        feed=proof.off[0] if proof and dog.fed_by == "write" else None,
        clear=tuple(setting_write(s, unit) for s in dog.clear),
        spare=proof,
    )


def _spare(
    profile: Profile, dog: Watchdog, unit: int, spare: int | None, owned: Sequence[int], where: str
) -> OutputPlan | None:
    """The output that nothing is wired to; None where none is needed and none is named."""
    where = f"{where}: spare_channel"
    if spare is None:
        if dog.needs_spare:
            why = "is fed by writes alone" if dog.running else "cannot say by itself that its watchdog runs"
            raise ConfigError(f"{where}: {profile.name} {why}; leave one relay unused and name it here")
        return None
    _check_channel(profile, spare, where)
    if spare in owned:
        raise ConfigError(f"{where}: relay {spare} moves a door; name one that nothing uses")
    length = max(DOOR_PULSE_MS[0], dog.timeout_ms)  # never sent by a timer: the watchdog must end it
    return output_plan(
        profile, unit=unit, channel=spare, pulse_ms=length, bounds=(length, length), where=where
    )


def _arming(dog: Watchdog, unit: int) -> tuple[tuple[Write, ...], tuple[Check, ...]]:
    """What to write, and what must then read back."""
    arm = [setting_write(s, unit) for s in dog.before]
    verify = [check_of(e, unit) for e in dog.verify]
    if dog.time is not None:
        ticks = dog.timeout_ms // dog.unit_ms
        arm.append(WriteWord(unit, dog.time, ticks))
        what = f"the watchdog's time (register {dog.time}): must be {ticks}"
        field = Field(read=ReadWords(unit, READ_HOLDING, dog.time))
        verify.insert(0, Check(field=field, low=ticks, high=ticks, what=what))
    return (*arm, *(setting_write(s, unit) for s in dog.after)), tuple(verify)


def _groups(profile: Profile, exclusive: Sequence[Collection[int]], where: str) -> tuple[frozenset[int], ...]:
    """Groups of channels as groups of output addresses."""
    for group in exclusive:
        for channel in group:
            _check_channel(profile, channel, f"{where}: channel")
    first = profile.outputs.first
    return tuple(frozenset(first + n - 1 for n in group) for group in exclusive)


def _rules(
    profile: Profile,
    outputs: Sequence[OutputPlan],
    inputs: Sequence[InputPlan],
    watchdog: WatchdogPlan | None,
    exclusive: tuple[frozenset[int], ...],
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
    return UnitRules(
        allowed=tuple(dict.fromkeys(a for w in writes for a in _allow(w))),
        banned=tuple(Ban(address=b.address, why=b.why) for b in profile.banned),
        exclusive=exclusive,
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

"""Every shipped profile, channel and pulse: nothing but what is meant is ever written."""

import re
from collections.abc import Sequence
from math import inf
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.modbus.frames import ReadBits, ReadWords, Write, WriteCoil, WriteWord, WriteWords, function_of
from drivers.modbus.plan import OutputPlan, PulseClass, UnitPlan, UnitRules
from drivers.modbus.planning import DOOR_PULSE_MS, TURNSTILE_PULSE_MS, output_plan, unit_plan
from drivers.modbus.profile import CodePulse, HeldPulse, Place, PresetPulse, Profile, Setting, TicksPulse
from drivers.modbus.profiles import all_profiles
from drivers.modbus.pulses import pulse_lengths
from gateway.domain.errors import ConfigError

PROFILES = all_profiles((Path(__file__).parents[3] / "config" / "devices",))
BOUNDS = st.sampled_from([DOOR_PULSE_MS, TURNSTILE_PULSE_MS])
each = pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
Cell = tuple[str, int]


def cells(write: Write) -> set[Cell]:
    """What a frame touches."""
    if isinstance(write, WriteCoil):
        return {("coil", write.address)}
    count = len(write.values) if isinstance(write, WriteWords) else 1
    return {("register", write.address + i) for i in range(count)}


def own(profile: Profile, channel: int) -> set[Cell]:
    """Every cell that is this channel's alone, worked out from the profile by hand."""
    out, pulse, n = profile.outputs, profile.outputs.pulse, channel - 1
    found = {("coil" if out.write == "coil" else "register", out.first + n)}
    if isinstance(pulse, TicksPulse):
        found.add(("coil", pulse.base + n))
    if isinstance(pulse, PresetPulse):
        found.add(("coil", pulse.start + n))
        for place in (pulse.on_width, pulse.off_width, pulse.count):
            found |= number_cells(place, channel)
    return found


def number_cells(place: Place, channel: int) -> set[Cell]:
    first = place.first + (channel - 1) * place.stride
    return {("register", first + i) for i in range(place.words)}


def setting_cells(rows: Sequence[Setting]) -> set[Cell]:
    coils = {("coil", s.coil) for s in rows if s.coil is not None}
    return coils | {
        ("register", s.register + i) for s in rows if s.register is not None for i in range(1 + len(s.words))
    }


def shared(profile: Profile, inputs: Sequence[int]) -> set[Cell]:
    """Cells of the watchdog, and of the counters and latches of these inputs."""
    dog, known, found = profile.watchdog, profile.inputs, set()
    if dog is not None:
        found |= setting_cells((*dog.before, *dog.after, *dog.clear))
        found |= {("register", dog.time)} if dog.time is not None else set()
    if known is not None and known.latches is not None and inputs:
        found |= setting_cells((known.latches.clear_high, known.latches.clear_low))
    if known is not None and known.counter is not None and known.counter.start is not None:
        found |= {("coil", known.counter.start + n - 1) for n in inputs}
    return found


def passes(rules: UnitRules, write: Write) -> bool:
    """As the guard on the send path decides."""
    values = write.values if isinstance(write, WriteWords) else (write.value,)
    return all(
        address not in {ban.address for ban in rules.banned}
        and any(
            a.function == function_of(write) and a.first <= address <= a.last and a.low <= value <= a.high
            for a in rules.allowed
        )
        for address, value in enumerate(values, write.address)
    )


def allowed_cells(rules: UnitRules) -> set[Cell]:
    return {
        ("coil" if a.function in {5, 15} else "register", address)
        for a in rules.allowed
        for address in range(a.first, a.last + 1)
    }


def encoded_ms(profile: Profile, plan: OutputPlan) -> float:
    """The length that the frames say, read as the device would."""
    pulse = profile.outputs.pulse
    match pulse:
        case TicksPulse():
            return plan.pulse.value * pulse.unit_ms
        case CodePulse():
            assert plan.pulse.value >> 8 == pulse.code
            return (plan.pulse.value & 0xFF) * pulse.unit_ms
        case PresetPulse():
            on = next(w for w in plan.prepare if cells(w) == number_cells(pulse.on_width, plan.channel))
            count = next(w for w in plan.prepare if cells(w) == number_cells(pulse.count, plan.channel))
            values = count.values if isinstance(count, WriteWords) else (count.value,)
            assert sum(values) == 1, "one pulse, not more"
            return on.value * pulse.unit_us / 1000
        case HeldPulse():
            return inf


@st.composite
def channels(draw: st.DrawFn, profile: Profile) -> tuple[int, int, int, tuple[int, int]]:
    """A channel, a length it holds, a spare or the same, and whose bounds."""
    bounds = draw(BOUNDS.filter(lambda b: len(pulse_lengths(profile, b)) > 0))
    channel = draw(st.integers(1, profile.outputs.count))
    spare = draw(st.integers(1, profile.outputs.count).filter(lambda n: n != channel))
    return channel, draw(st.sampled_from(pulse_lengths(profile, bounds))), spare, bounds


def plans(profile: Profile, drawn: tuple[int, int, int, tuple[int, int]], unit: int = 9) -> UnitPlan:
    channel, pulse_ms, spare, bounds = drawn
    plan = output_plan(profile, unit=unit, channel=channel, pulse_ms=pulse_ms, bounds=bounds, where="test")
    return unit_plan(
        profile,
        unit=unit,
        outputs=[plan],
        inputs=range(1, profile.inputs.count + 1) if profile.inputs else (),
        spare=spare if profile.watchdog and profile.watchdog.needs_spare else None,
        where="test",
    )


def everything(plan: UnitPlan) -> list[Write]:
    """Every write that a driver may take from a plan."""
    dog = plan.watchdog
    outputs = (*plan.outputs, *((dog.spare,) if dog and dog.spare else ()))
    found = [w for o in outputs for w in (*o.prepare, o.pulse, *o.off)]
    found += [w for i in plan.inputs for w in (*i.prepare, *i.clear)]
    return found + ([*dog.arm, *dog.clear, *((dog.feed,) if dog.feed else ())] if dog else [])


@each
@given(data=st.data())
@settings(max_examples=15, deadline=None)
def test_a_pulse_is_the_channels_own_and_as_long_as_asked(profile: Profile, data: st.DataObject) -> None:
    drawn = data.draw(channels(profile))
    channel, pulse_ms, _, _ = drawn
    plan = plans(profile, drawn)
    output, mine = plan.outputs[0], own(profile, channel)
    others = set().union(*(own(profile, n) for n in range(1, profile.outputs.count + 1) if n != channel))
    for write in (*output.prepare, output.pulse, *output.off):
        assert passes(plan.rules, write)
        assert write.unit == 9
        assert cells(write) <= mine
        assert not cells(write) & others
    assert encoded_ms(profile, output) == (inf if isinstance(profile.outputs.pulse, HeldPulse) else pulse_ms)
    assert output.timed == (profile.pulse_class is PulseClass.A)
    assert output.timed == (encoded_ms(profile, output) < inf)


@each
@given(data=st.data())
@settings(max_examples=15, deadline=None)
def test_off_never_opens(profile: Profile, data: st.DataObject) -> None:
    out = profile.outputs
    output = plans(profile, data.draw(channels(profile))).outputs[0]
    assert output.off
    for write in output.off:
        assert write != output.pulse
        if isinstance(write, WriteCoil):
            assert write.value == 0
        else:
            assert isinstance(write, WriteWord)
            assert write.value == out.off != out.on
    kind = "coil" if out.write == "coil" else "register"
    assert any((kind, out.first + output.channel - 1) in cells(write) for write in output.off)
    for write in output.prepare:
        assert (kind, out.first + output.channel - 1) not in cells(write), "setting a length moves nothing"


@each
@given(data=st.data())
@settings(max_examples=15, deadline=None)
def test_nothing_but_what_is_owned_may_be_written(profile: Profile, data: st.DataObject) -> None:
    drawn = data.draw(channels(profile))
    plan = plans(profile, drawn)
    spare = own(profile, drawn[2]) if plan.watchdog and plan.watchdog.spare else set()
    inputs = [i.number for i in plan.inputs]
    assert allowed_cells(plan.rules) <= own(profile, drawn[0]) | spare | shared(profile, inputs)
    planned = everything(plan)
    assert all(passes(plan.rules, write) for write in planned)
    address = data.draw(
        st.sampled_from(sorted({a for w in planned for _, a in cells(w)})) | st.integers(0, 0xFFFF)
    )
    value = data.draw(
        st.sampled_from([0, 1, 0x0100, 0x0300, 0x0400, 0x5500, 0xFF00]) | st.integers(0, 0xFFFF)
    )
    kind = data.draw(st.sampled_from([WriteCoil, WriteWord]))
    write = kind(9, address, value)
    assert passes(plan.rules, write) == (write in planned)
    for ban in plan.rules.banned:
        assert not passes(plan.rules, kind(9, ban.address, value))


@each
def test_an_on_for_good_is_allowed_only_where_a_watchdog_or_the_site_stands_for_it(profile: Profile) -> None:
    drawn = (1, pulse_lengths(profile, DOOR_PULSE_MS)[0], 2, DOOR_PULSE_MS)
    plan = plans(profile, drawn)
    kind = WriteCoil if profile.outputs.write == "coil" else WriteWord
    held = kind(9, profile.outputs.first, profile.outputs.on)
    assert passes(plan.rules, held) == (profile.pulse_class is not PulseClass.A)
    worst = plan.worst_open_ms(plan.outputs[0])
    match profile.pulse_class:
        case PulseClass.A:
            assert worst == drawn[1]
        case PulseClass.B:
            assert worst is not None
            assert drawn[1] < worst <= drawn[1] + 10_000
        case PulseClass.C:
            assert worst is None


@each
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_a_length_it_cannot_hold_is_refused_with_lengths_it_can(
    profile: Profile, data: st.DataObject
) -> None:
    bounds = data.draw(BOUNDS)
    pulse_ms = data.draw(st.integers(*bounds))

    def plan(length: int) -> OutputPlan:
        return output_plan(profile, unit=1, channel=1, pulse_ms=length, bounds=bounds, where="test")

    held = pulse_lengths(profile, bounds)
    if pulse_ms in held:
        assert plan(pulse_ms).pulse_ms == pulse_ms
        return
    with pytest.raises(ConfigError, match="pulse_ms") as refused:
        plan(pulse_ms)
    named = re.search(r"write ([\d or]+) instead of", str(refused.value))
    assert (named is None) == (not held)
    for length in named[1].split(" or ") if named else ():
        assert plan(int(length)).pulse_ms == int(length)
        assert abs(int(length) - pulse_ms) < 2 * held.step


@each
def test_every_read_stays_within_the_profile(profile: Profile) -> None:
    count = profile.outputs.count
    spare = count if profile.watchdog and profile.watchdog.needs_spare else None
    used = range(1, count if spare else count + 1)
    length = pulse_lengths(profile, DOOR_PULSE_MS)[0]
    outputs = [output_plan(profile, unit=1, channel=n, pulse_ms=length, where="test") for n in used]
    numbers = range(1, profile.inputs.count + 1) if profile.inputs else ()
    plan = unit_plan(profile, unit=1, outputs=outputs, inputs=numbers, spare=spare, where="test")
    fields = [f for o in plan.outputs for f in (o.state, o.cycles) if f]
    fields += [f for i in plan.inputs for f in (i.state, i.counter, i.latched_high, i.latched_low) if f]
    fields += [c.field for c in plan.checks]
    for field in fields:
        read = field.read
        assert read.address + read.count - 1 <= 0xFFFF
        assert field.index + field.words <= read.count
        assert read.count <= (256 if isinstance(read, ReadBits) else 60)
        assert read.function in ({1, 2} if isinstance(read, ReadBits) else {3, 4})
        assert isinstance(read, ReadBits | ReadWords)

"""Profiles become plans: exact frames of the devices that differ most, and what is refused."""

import pytest

from drivers.modbus.frames import Echoed, ReadBits, ReadWords, WriteCoil, WriteWord, WriteWords
from drivers.modbus.plan import Allow, OutputPlan, PulseClass, UnitPlan, reads_of
from drivers.modbus.planning import TURNSTILE_PULSE_MS, output_plan, unit_plan
from drivers.modbus.profile import Profile
from drivers.modbus.profiles import load_profile, parse_profile
from gateway.domain.errors import ConfigError
from tests.unit.modbus.test_profile_rules import DEVICES, bent

WHERE = "site.toml: devices[0]"


def shipped(name: str) -> Profile:
    return load_profile((DEVICES,), name, where="test")


def relay(name: str, channel: int = 1, pulse_ms: int = 3000, unit: int = 1) -> OutputPlan:
    return output_plan(shipped(name), unit=unit, channel=channel, pulse_ms=pulse_ms, where=WHERE)


def unit_of(name: str, *channels: int, spare: int | None = None, inputs: tuple[int, ...] = ()) -> UnitPlan:
    profile = shipped(name)
    outputs = [relay(name, n) for n in channels]
    return unit_plan(profile, unit=1, outputs=outputs, inputs=inputs, spare=spare, where=WHERE)


def bits(*values: bool) -> Echoed:
    return Echoed(sent_ns=0, done_ns=1, bits=values)


def words(*values: int) -> Echoed:
    return Echoed(sent_ns=0, done_ns=1, words=values)


def test_a_length_in_the_value_field() -> None:
    plan = relay("waveshare-relay", 8, unit=3)
    assert plan.prepare == ()
    assert plan.pulse == WriteCoil(unit=3, address=0x0207, value=30)
    assert plan.off == (WriteCoil(unit=3, address=7, value=0),)
    assert plan.state.read == ReadBits(unit=3, function=1, address=7, count=1)
    assert plan.timed


def test_a_base_is_that_of_channel_one_wherever_the_coils_begin() -> None:
    profile = parse_profile(bent("waveshare-relay", {"outputs.first": 0x10}), source="x")
    plan = output_plan(profile, unit=1, channel=2, pulse_ms=500, where=WHERE)
    assert (plan.pulse.address, plan.off[0].address) == (0x0201, 0x11)


def test_a_command_in_the_high_byte() -> None:
    plan = relay("r421a08", 8)
    assert plan.pulse == WriteWord(unit=1, address=8, value=0x0603)
    assert plan.off == (WriteWord(unit=1, address=8, value=0x0200),)
    assert plan.state.read == ReadWords(unit=1, function=3, address=8)
    assert plan.state.bit(words(1))
    assert not plan.state.bit(words(0))


def test_a_length_set_beforehand() -> None:
    plan = relay("moxa-e1214", 6)
    assert plan.prepare == (
        WriteWords(unit=1, address=46, values=(0, 1)),
        WriteWord(unit=1, address=57, value=2),
        WriteWord(unit=1, address=73, value=1),
    )
    assert plan.pulse == WriteCoil(unit=1, address=0x15, value=0xFF00)
    assert plan.off == (WriteCoil(unit=1, address=0x15, value=0), WriteCoil(unit=1, address=5, value=0))
    assert plan.cycles is not None
    assert plan.cycles.read == ReadWords(unit=1, function=4, address=106, count=2)
    assert plan.cycles.number(words(1, 2)) == 0x0001_0002
    assert relay("moxa-e1212", 1, 2345).prepare[1] == WriteWord(unit=1, address=52, value=2345)


def test_a_held_pulse_is_read_back_elsewhere() -> None:
    plan = relay("wago-750", 64, 1234)
    assert plan.pulse == WriteCoil(unit=1, address=63, value=0xFF00)
    assert plan.off == (WriteCoil(unit=1, address=63, value=0),)
    assert plan.state.read == ReadBits(unit=1, function=1, address=0x023F, count=1)
    assert not plan.timed


def test_a_state_packed_in_a_register() -> None:
    plan = relay("isma-sfar-8di8do", 3)
    assert plan.off == (WriteCoil(unit=1, address=818, value=0),)
    assert plan.state.read == ReadWords(unit=1, function=3, address=51)
    assert plan.state.bit(words(0b100))
    assert not plan.state.bit(words(0b11011))


@pytest.mark.parametrize(
    ("name", "pulse_ms", "bounds", "says"),
    [
        ("waveshare-relay", 499, (500, 30_000), "499 is not within 500 to 30000"),
        ("waveshare-relay", 30_100, (500, 30_000), "30100 is not within 500 to 30000"),
        ("waveshare-relay", 600, TURNSTILE_PULSE_MS, "600 is not within 100 to 500"),
        ("kmtronic-8", 99, TURNSTILE_PULSE_MS, "99 is not within 100 to 500"),
        ("waveshare-relay", 1250, (500, 30_000), "write 1200 or 1300 instead of 1250"),
        (
            "moxa-e1214",
            2000,
            (500, 30_000),
            "multiples of 1500 ms from 1500 .*; write 1500 or 3000 instead of 2000",
        ),
        ("moxa-e1214", 600, (500, 30_000), "write 1500 instead of 600"),
        ("moxa-e1214", 29_999, (500, 29_999), "write 28500 instead of 29999"),
        ("moxa-e1214", 300, TURNSTILE_PULSE_MS, "this needs 100 to 500 ms; take another device for it"),
        ("r421a08", 300, TURNSTILE_PULSE_MS, "take another device for it"),
        ("r421a08", 1500, (500, 30_000), "R421A08 relay board holds .*; write 1000 or 2000 instead of 1500"),
    ],
)
def test_a_pulse_the_device_or_the_door_cannot_hold(
    name: str, pulse_ms: int, bounds: tuple[int, int], says: str
) -> None:
    with pytest.raises(ConfigError, match=rf"^site\.toml: devices\[0\]: pulse_ms: .*{says}"):
        output_plan(shipped(name), unit=1, channel=1, pulse_ms=pulse_ms, bounds=bounds, where=WHERE)


@pytest.mark.parametrize("channel", [0, -1, 7])
def test_a_channel_the_device_has_not(channel: int) -> None:
    with pytest.raises(ConfigError, match=rf"channel: Moxa ioLogik E1214 has relays 1 to 6, not {channel}"):
        relay("moxa-e1214", channel)


def test_a_watchdog_is_armed_and_read_back() -> None:
    dog = unit_of("tm-r5", 1).watchdog
    assert dog is not None
    assert dog.arm == (WriteCoil(1, 269, 0xFF00), WriteWord(1, 488, 30), WriteCoil(1, 260, 0xFF00))
    assert dog.clear == (WriteCoil(1, 269, 0xFF00),)
    time, expired = dog.verify
    assert time.field.read == ReadWords(1, 3, 488)
    assert time.holds(words(30))
    assert not time.holds(words(0))
    assert not time.holds(words(31))
    assert expired.holds(bits(False))
    assert not expired.holds(bits(True))
    assert dog.running is not None
    assert dog.running.holds(bits(True))
    assert not dog.running.holds(bits(False))
    assert (dog.feed, dog.spare, dog.timeout_ms) == (None, None, 3000)


def test_a_reset_is_two_writes_to_one_register() -> None:
    dog = unit_of("beckhoff-bk9000", 1, spare=2).watchdog
    assert dog is not None
    reset = (WriteWord(1, 0x1121, 0xBECF), WriteWord(1, 0x1121, 0xAFFE))
    assert dog.arm == (*reset, WriteWord(1, 0x1120, 2000), WriteWord(1, 0x1122, 1))
    assert dog.clear == reset
    assert dog.running is None
    assert dog.spare is not None
    assert (dog.spare.channel, dog.spare.pulse) == (2, WriteCoil(1, 1, 0xFF00))


def test_a_clear_of_its_own_may_leave() -> None:
    profile = parse_profile(bent("tm-r5", {"watchdog.clear": [{"register": 491, "value": 0}]}), source="x")
    outputs = [output_plan(profile, unit=1, channel=1, pulse_ms=500, where=WHERE)]
    plan = unit_plan(profile, unit=1, outputs=outputs, where=WHERE)
    assert plan.watchdog is not None
    assert plan.watchdog.clear == (WriteWord(1, 491, 0),)
    assert Allow(function=6, first=491, last=491, low=0, high=0) in plan.rules.allowed


def test_a_watchdog_set_by_hand_is_proven_not_armed() -> None:
    dog = unit_of("adam-6060", 1, spare=6).watchdog
    assert dog is not None
    assert (dog.arm, dog.verify, dog.clear, dog.timeout_ms) == ((), (), (), 5000)
    assert dog.spare is not None
    assert dog.spare.pulse == WriteCoil(1, 21, 0xFF00)


def test_what_is_fed_by_writes_is_fed_with_the_spares_off() -> None:
    profile = parse_profile(bent("tm-r5", {"watchdog.fed_by": "write"}), source="x")
    outputs = [output_plan(profile, unit=1, channel=1, pulse_ms=500, where=WHERE)]
    with pytest.raises(
        ConfigError, match=r"spare_channel: .* is fed by writes alone; leave one relay unused"
    ):
        unit_plan(profile, unit=1, outputs=outputs, where=WHERE)
    dog = unit_plan(profile, unit=1, outputs=outputs, spare=5, where=WHERE).watchdog
    assert dog is not None
    assert dog.feed == WriteCoil(1, 4, 0)


def test_a_spare_is_needed_unused_and_there() -> None:
    with pytest.raises(
        ConfigError, match=r"devices\[0\]: spare_channel: Beckhoff BK9000 cannot say by itself"
    ):
        unit_of("beckhoff-bk9000", 1)
    with pytest.raises(ConfigError, match=r"spare_channel: relay 1 moves a door; name one that nothing uses"):
        unit_of("beckhoff-bk9000", 1, 2, spare=1)
    with pytest.raises(ConfigError, match=r"spare_channel: .* has relays 1 to 6, not 7"):
        unit_of("adam-6060", 1, spare=7)
    for name in ("waveshare-relay", "kmtronic-8"):
        with pytest.raises(ConfigError, match=r"spare_channel: relay 1 moves a door"):
            unit_of(name, 1, spare=1)
        unused = unit_of(name, 1, spare=8)
        assert unused.watchdog is None
        assert not any(a.first in {7, 0x0207} for a in unused.rules.allowed), (
            "nothing to prove, nothing to write"
        )
    dog = unit_of("wago-750", 1, spare=8).watchdog
    assert dog is not None
    assert dog.spare is not None


def test_a_device_of_which_only_inputs_are_used_needs_no_watchdog() -> None:
    plan = unit_of("adam-6060", inputs=(1,))
    assert (plan.watchdog, plan.outputs, plan.rules.allowed) == (None, (), ())


def test_the_worst_a_dead_gateway_leaves_behind() -> None:
    for name, spare, worst in (
        ("waveshare-relay", None, 3000),
        ("beckhoff-bk9000", 2, 5000),
        ("adam-6060", 2, 8000),
        ("kmtronic-8", None, None),
    ):
        plan = unit_of(name, 1, spare=spare)
        assert plan.worst_open_ms(plan.outputs[0]) == worst
    assert plan.pulse_class is PulseClass.C


def test_values_after_power_on_and_expiry_are_checked_for_what_is_used_and_the_spare() -> None:
    checks = unit_of("icpdas-et-2260", 1, 3, spare=6).checks
    assert [c.what.split(" must")[0] for c in checks[:3]] == ["output 1", "output 3", "output 6"]
    assert reads_of([c.field for c in checks]) == (ReadBits(1, 1, 235, 6), ReadBits(1, 1, 267, 6))
    off, on_third = bits(*[False] * 6), bits(False, False, True, False, False, False)
    assert all(c.holds(off) for c in checks)
    assert [c.holds(on_third) for c in checks[:3]] == [True, False, True]


def test_a_mode_of_each_output_is_checked() -> None:
    checks = unit_of("wirenboard-wb-mr6c", 2, spare=6).checks
    found = {c.what: c.field for c in checks if "safe state in safety" in c.what}
    assert [f.read for f in found.values()] == [ReadWords(1, 3, 939, 5)] * 2
    assert [f.index for f in found.values()] == [0, 4]
    mode = next(c for c in checks if c.what.startswith("output 6 switches"))
    assert mode.holds(words(0, 0, 0, 0, 1))
    assert not mode.holds(words(1, 1, 1, 1, 0))


def test_inputs_are_numbered_as_printed_and_their_counters_started() -> None:
    plan = unit_of("moxa-e1212", inputs=(6, 2))
    assert [i.number for i in plan.inputs] == [2, 6]
    assert [i.state.read for i in plan.inputs] == [ReadBits(1, 2, 1), ReadBits(1, 2, 5)]
    assert [i.counter.read for i in plan.inputs if i.counter] == [ReadWords(1, 4, n, 2) for n in (18, 26)]
    assert [i.prepare for i in plan.inputs] == [(WriteCoil(1, 0x0100 + n - 1, 0xFF00),) for n in (2, 6)]


def test_counters_with_the_low_word_first() -> None:
    field = unit_of("isma-sfar-8di8do", inputs=(2,)).inputs[0].counter
    assert field is not None
    assert field.read == ReadWords(1, 3, 54, 2)
    assert field.number(words(1, 2)) == 0x0002_0001


def test_latches_are_read_and_cleared() -> None:
    plan = unit_of("icpdas-et-2260", inputs=(1, 6)).inputs[1]
    assert plan.latched_high is not None
    assert plan.latched_low is not None
    assert plan.latched_high.read == ReadBits(1, 2, 37)
    assert plan.latched_low.read == ReadBits(1, 2, 69)
    assert plan.clear == (WriteCoil(1, 32, 0xFF00), WriteCoil(1, 33, 0xFF00))


@pytest.mark.parametrize(
    ("name", "number", "have"), [("kmtronic-8", 1, "no inputs"), ("moxa-e1214", 7, "inputs 1 to 6")]
)
def test_an_input_the_device_has_not(name: str, number: int, have: str) -> None:
    with pytest.raises(ConfigError, match=rf"devices\[0\]: input: .* has {have}, not {number}"):
        unit_of(name, inputs=(number,))


def test_groups_of_channels_become_groups_of_addresses() -> None:
    profile = shipped("adam-6060")
    plan = unit_plan(
        profile, unit=1, outputs=[relay("adam-6060", 1)], spare=6, exclusive=[{1, 2}], where=WHERE
    )
    assert plan.rules.exclusive == (frozenset({16, 17}),)
    with pytest.raises(ConfigError, match=r"channel: .* has relays 1 to 6, not 9"):
        unit_plan(profile, unit=1, outputs=[], exclusive=[{1, 9}], where=WHERE)


def test_banned_addresses_come_with_their_reasons() -> None:
    bans = {ban.address: ban.why for ban in unit_of("waveshare-relay", 1).rules.banned}
    assert bans == {0x00FF: "all relays at once", 0x01FF: "toggles all relays"}


def test_a_reboot_is_a_bit() -> None:
    field = unit_of("tm-r5", 1).rebooted
    assert field is not None
    assert field.read == ReadBits(1, 1, 272)
    assert field.bit(bits(True))

"""Profiles that contradict themselves: each is refused, with file, key and fix."""

import copy
import tomllib
from pathlib import Path
from typing import Any

import pytest

from drivers.modbus.profiles import parse_profile
from gateway.domain.errors import ConfigError

DEVICES = Path(__file__).parents[3] / "config" / "devices"
TICKS, CODES, PRESET, LATCHES = "waveshare-relay", "r421a08", "moxa-e1214", "icpdas-et-2260"
READY, SPARE, BY_HAND, PLAIN = "tm-r5", "beckhoff-bk9000", "adam-6060", "kmtronic-8"
PACKED = "isma-sfar-8di8do"
OK = {"space": "coils", "address": 300, "equals": 1, "what": "it is so"}


def raw(name: str) -> dict[str, Any]:
    return tomllib.loads((DEVICES / f"{name}.toml").read_text("utf-8"))


def bent(name: str, changes: dict[str, object]) -> dict[str, Any]:
    """A shipped profile with other values at dotted keys; None removes the key."""
    profile = copy.deepcopy(raw(name))
    for dotted, value in changes.items():
        *path, last = dotted.split(".")
        table = profile
        for key in path:
            table = table.setdefault(key, {})
        if value is None:
            del table[last]
        else:
            table[last] = value
    return profile


CASES: list[tuple[str, dict[str, object], str]] = [
    # What msgspec sees.
    (TICKS, {"outputs.count": 0}, r"outputs\.count: .*>= 1.*; correct it"),
    (TICKS, {"outputs.count": 65}, r"outputs\.count: .*<= 64"),
    (TICKS, {"outputs.first": 0x10000}, r"outputs\.first: .*65535"),
    (TICKS, {"outputs.puls": 1}, r"outputs: .*unknown field `puls`; remove it or mend its spelling"),
    (TICKS, {"colour": "red"}, r"top level: .*unknown field `colour`; remove it"),
    (TICKS, {"outputs.pulse": None}, r"outputs: .*missing required field `pulse`; add it"),
    (TICKS, {"outputs.readback": None}, r"outputs: .*missing required field `readback`; add it"),
    (TICKS, {"transports": ["carrier pigeon"]}, r"transports\[.*\]: "),
    (TICKS, {"outputs.pulse.kind": "none"}, r"outputs\.pulse.*: "),
    (TICKS, {"verified": "surely"}, r"verified: "),
    (TICKS, {"unit": 0}, r"unit: .*>= 1"),
    (TICKS, {"unit": 248}, r"unit: .*<= 247"),
    # Words.
    (TICKS, {"installer": " "}, r"installer: is empty"),
    (TICKS, {"sources": []}, r"sources: is empty"),
    (TICKS, {"models": ["a", "b", "a"]}, r"models\[2\]: a is there twice; remove one"),
    (TICKS, {"transports": ["tcp", "tcp"]}, r"transports\[1\]: tcp is there twice"),
    (TICKS, {"banned": [{"address": 255, "why": "x"}] * 2}, r"banned\[1\]: 0x00FF is there twice"),
    (TICKS, {"banned": [{"address": 255, "why": ""}]}, r"banned: why is empty"),
    (TICKS, {"baud": 50}, r"baud: 50 is not within"),
    (TICKS, {"transports": ["tcp"]}, r"rtu_tcp_port: .*add it or remove this key"),
    # Classes.
    (TICKS, {"class": "B"}, r'class: "B" needs \[watchdog\]'),
    (TICKS, {"class": "C"}, r'class: a device that ends its pulse by itself is class "A"'),
    (PLAIN, {"class": "A"}, r'class: in class "A" the device ends the pulse'),
    (PLAIN, {"class": "B"}, r'class: "B" needs \[watchdog\]'),
    (SPARE, {"class": "C"}, r'class: a device with \[watchdog\] is class "B"'),
    (SPARE, {"class": "A"}, r'class: in class "A"'),
    (TICKS, {"watchdog.timeout_ms": 2000}, r'watchdog: class "A" needs none'),
    # Pulses.
    (TICKS, {"outputs.pulse.base": 3}, r"outputs\.pulse\.base: 0x0003 is also in outputs\.first"),
    (TICKS, {"outputs.pulse.base": 0xFFFF}, r"outputs\.pulse\.base: .*beyond 0xFFFF"),
    (
        TICKS,
        {"outputs.pulse.min_ticks": 70, "outputs.pulse.max_ticks": 69},
        r"min_ticks: is more than max_ticks",
    ),
    (TICKS, {"outputs.pulse.max_ticks": 0x10000}, r"outputs\.pulse\.max_ticks"),
    (TICKS, {"outputs.pulse.unit_ms": 60_000}, r"outputs\.pulse: holds no length"),
    (
        TICKS,
        {"outputs.pulse.unit_ms": 1},
        r"max_ticks: 21760 ticks would read as a toggle; lower it to 21759",
    ),
    (TICKS, {"outputs.write": "register"}, r"outputs\.write: must be \"coil\""),
    (TICKS, {"outputs.on": 0x5500}, r"outputs\.on: a coil takes 0xFF00"),
    (TICKS, {"outputs.on": 0, "outputs.off": 0xFF00}, r"outputs\.on: a coil takes 0xFF00 for on"),
    (CODES, {"outputs.write": "coil"}, r"outputs\.on: a coil takes"),
    (
        CODES,
        {"outputs.write": "coil", "outputs.on": 0xFF00, "outputs.off": 0},
        r"outputs\.write: .*registers",
    ),
    (CODES, {"outputs.off": 0x0100}, r"outputs\.off: is the same as on"),
    (CODES, {"outputs.pulse.code": 0x02}, r"outputs\.pulse\.code: is also the high byte"),
    (PRESET, {"outputs.pulse.start": 5}, r"outputs\.pulse\.start: 0x0005 is also in outputs\.first"),
    (PRESET, {"outputs.pulse.off_width.first": 57}, r"off_width: 0x0039 is also in outputs\.pulse\.on_width"),
    (PRESET, {"outputs.pulse.count.stride": 1}, r"count: numbers of 2 registers overlap; set stride = 2"),
    (PRESET, {"outputs.pulse.on_width.space": "input"}, r"on_width: cannot be written there"),
    (PRESET, {"outputs.pulse.on_width.packed": True}, r"on_width: cannot be written there"),
    (PRESET, {"outputs.pulse.count.first": 0xFFFA}, r"outputs\.pulse\.count: .*beyond 0xFFFF"),
    (
        PRESET,
        {"inputs.counter.start": 0x0011},
        r"inputs\.counter\.start: 0x0011 is also in outputs\.pulse\.start",
    ),
    (PRESET, {"inputs.counter.start": 0xFFFE}, r"inputs\.counter\.start: .*beyond 0xFFFF"),
    # Places.
    (TICKS, {"outputs.first": 0xFFF0}, r"outputs\.first: .*beyond 0xFFFF"),
    (TICKS, {"outputs.readback.first": 0xFFF0}, r"outputs\.readback: .*beyond 0xFFFF"),
    (TICKS, {"outputs.readback.packed": True}, r"outputs\.readback: .*for registers, not for bits"),
    (TICKS, {"outputs.readback": {"space": "input", "first": 0, "packed": True}}, r"16 bits, not 30"),
    (PACKED, {"outputs.readback.words": 2}, r"outputs\.readback: a packed register has neither"),
    (PACKED, {"inputs.counter.words": 1}, r"inputs\.counter: low_word_first means nothing"),
    (
        PACKED,
        {"inputs.state": {"space": "holding", "first": 51, "packed": True}},
        r"inputs\.state: 0x0033 is also",
    ),
    (READY, {"outputs.safe.first": 0xFFFF}, r"outputs\.safe: .*beyond 0xFFFF"),
    (READY, {"outputs.power_on.first": 65533}, r"outputs\.power_on: .*beyond 0xFFFF"),
    (READY, {"outputs.safe.first": 0}, r"outputs\.safe: 0x0000 is also in outputs\.readback"),
    (
        LATCHES,
        {"inputs.latches.low.first": 34},
        r"inputs\.latches\.low: 0x0022 is also in inputs\.latches\.high",
    ),
    (LATCHES, {"inputs.latches.clear_low.coil": 5}, r"clear_low: 0x0005 is also in outputs\.first"),
    # Settings.
    (LATCHES, {"inputs.latches.clear_high.register": 1}, r"clear_high: names a coil or a register"),
    (LATCHES, {"inputs.latches.clear_high": {"value": 1}}, r"clear_high: names a coil or a register"),
    (LATCHES, {"inputs.latches.clear_high.value": 2}, r"clear_high: a coil takes the value 0 or 1"),
    (
        LATCHES,
        {"inputs.latches.clear_high.words": [1]},
        r"clear_high: a coil takes the value 0 or 1 and no words",
    ),
    (
        READY,
        {"watchdog.after": [{"coil": 4, "value": 1}]},
        r"watchdog\.after\[0\]: 0x0004 is also in outputs",
    ),
    (
        READY,
        {"watchdog.after": [{"register": 1, "value": 1, "words": [0] * 123}]},
        r"after\[0\]: .*do not fit",
    ),
    # Bans.
    (
        TICKS,
        {"banned": [{"address": 2, "why": "x"}]},
        r"banned\[0\]\.address: 0x0002 is needed for outputs\.first",
    ),
    (
        TICKS,
        {"banned": [{"address": 0x21D, "why": "x"}]},
        r"banned\[0\]\.address: 0x021D is needed for outputs\.pul",
    ),
    (
        READY,
        {"banned": [{"address": 488, "why": "x"}]},
        r"banned\[0\]\.address: 0x01E8 is needed for watchdog\.time",
    ),
    # Watchdogs.
    (SPARE, {"watchdog.timeout_ms": 999}, r"watchdog\.timeout_ms: 999 is not within 1000 to 10000"),
    (SPARE, {"watchdog.timeout_ms": 10_001}, r"watchdog\.timeout_ms: 10001 is not within"),
    (READY, {"watchdog.timeout_ms": 2050}, r"watchdog\.timeout_ms: 2050 is no multiple of unit_ms"),
    (READY, {"watchdog.max_ticks": 29}, r"watchdog\.timeout_ms: the register holds 100 to 2900 ms, not 3000"),
    ("icpdas-et-7060", {"watchdog.timeout_ms": 4000}, r"watchdog\.timeout_ms: the register holds 5000 to"),
    (BY_HAND, {"watchdog.after": [{"coil": 99, "value": 1}]}, r"watchdog\.after: means nothing without time"),
    (BY_HAND, {"watchdog.verify": [OK]}, r"watchdog\.verify: means nothing without time"),
    (SPARE, {"outputs.count": 1}, r"outputs\.count: one relay cannot both"),
    # Expectations.
    (
        READY,
        {"checks": [{"space": "coils", "address": 300, "what": "x"}]},
        r"checks\[0\]: needs either equals, or",
    ),
    (READY, {"checks": [OK | {"low": 0}]}, r"checks\[0\]: needs either equals, or low and high"),
    (READY, {"checks": [OK | {"equals": 2}]}, r"checks\[0\]\.equals: 0x0002 can never be read there"),
    (READY, {"checks": [OK | {"mask": 1}]}, r"checks\[0\]\.mask: is for registers"),
    (READY, {"checks": [OK | {"what": ""}]}, r"checks\[0\]\.what: is empty"),
    (READY, {"checks": [OK, OK]}, r"checks\[1\]: coils 0x012C is there twice"),
    (
        READY,
        {"checks": [{"space": "input", "address": 9, "mask": 0xF0, "equals": 0x11, "what": "x"}]},
        r"checks\[0\]\.equals: 0x0011 can never",
    ),
    (
        READY,
        {"checks": [{"space": "input", "address": 9, "low": 5, "high": 4, "what": "x"}]},
        r"checks\[0\]\.low: low and high leave nothing",
    ),
    (READY, {"watchdog.running": OK | {"equals": 7}}, r"watchdog\.running\.equals: 0x0007"),
    (READY, {"rebooted": OK | {"equals": 0}}, r"rebooted: must be a bit that is set after power-on"),
    (READY, {"identity": [{"space": "input", "address": 1, "what": "x"}]}, r"identity\[0\]: needs either"),
]


@pytest.mark.parametrize(("name", "changes", "says"), CASES, ids=[f"{n}-{list(c)}" for n, c, _ in CASES])
def test_a_contradiction_names_file_key_and_fix(name: str, changes: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=rf"^wrong\.toml: .*{says}"):
        parse_profile(bent(name, changes), source="wrong.toml")


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        (READY, {"checks": [{"space": "input", "address": 9, "low": 4, "what": "x"}]}),
        (READY, {"checks": [{"space": "input", "address": 9, "high": 4, "what": "x"}]}),
        (READY, {"checks": [{"space": "holding", "address": 9, "mask": 0x0F, "equals": 5, "what": "x"}]}),
        (READY, {"rebooted": {"space": "input", "address": 9, "mask": 4, "equals": 4, "what": "x"}}),
        (SPARE, {"watchdog.before": [{"register": 0x1120, "value": 0}]}),
        (LATCHES, {"inputs.latches.clear_low.coil": 32}),
        (TICKS, {"outputs.pulse.unit_ms": 1, "outputs.pulse.max_ticks": 21_759}),
        (PLAIN, {"outputs.readback.space": "discrete_inputs"}),
    ],
)
def test_what_only_looks_odd_is_taken(name: str, changes: dict[str, object]) -> None:
    parse_profile(bent(name, changes), source="odd.toml")

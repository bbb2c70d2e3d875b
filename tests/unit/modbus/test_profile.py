"""Device profiles: what they turn into frames, and what they refuse."""

import copy
import tomllib
from pathlib import Path

import pytest

from drivers.modbus.frames import ReadBits, WriteCoil
from drivers.modbus.profile import load_profile, parse_profile
from gateway.domain.errors import ConfigError
from tests.fakes.modbus_rig import DEVICES, profile

RAW = tomllib.loads((DEVICES / "waveshare-relay.toml").read_text("utf-8"))


def test_the_frames_of_a_relay() -> None:
    frames = profile().relay(unit=3, channel=8, pulse_ms=3000, where="site")
    assert frames.pulse == WriteCoil(unit=3, address=0x0207, value=30)
    assert frames.off == WriteCoil(unit=3, address=7, value=0)
    assert frames.read == ReadBits(unit=3, function=1, address=7, count=1)


@pytest.mark.parametrize("pulse_ms", [500, 30_000])
def test_the_bounds_of_a_pulse_are_allowed(pulse_ms: int) -> None:
    assert profile().relay(unit=1, channel=1, pulse_ms=pulse_ms, where="s").pulse.value == pulse_ms // 100


@pytest.mark.parametrize(
    ("channel", "pulse_ms", "says"),
    [
        (0, 3000, r"channel: .* relays 1 to 30, not 0"),
        (31, 3000, r"channel: .* not 31"),
        (1, 400, r"pulse_ms: 400 is not within a door's 500 to 30000"),
        (1, 30_100, r"pulse_ms: 30100"),
        (1, 1250, r"pulse_ms: .* steps of 100 ms; write 1200 or 1300 instead of 1250"),
    ],
)
def test_what_the_device_cannot_hold_is_refused_with_key_and_fix(
    channel: int, pulse_ms: int, says: str
) -> None:
    with pytest.raises(ConfigError, match=rf"site\.toml: access_points\[0\]: {says}"):
        profile().relay(unit=1, channel=channel, pulse_ms=pulse_ms, where="site.toml: access_points[0]")


def test_a_device_with_a_coarse_timer_refuses_a_short_pulse() -> None:
    raw = copy.deepcopy(RAW)
    raw["outputs"]["pulse"] |= {"unit_ms": 500, "min_ticks": 3}
    coarse = parse_profile(raw, source="coarse.toml")
    with pytest.raises(ConfigError, match="holds 1500 to"):
        coarse.relay(unit=1, channel=1, pulse_ms=500, where="site")


def test_a_read_back_elsewhere_is_data() -> None:
    raw = copy.deepcopy(RAW)
    raw["outputs"]["readback"] = {"function": "discrete_inputs", "offset": 0x200}
    frames = parse_profile(raw, source="x").relay(unit=1, channel=2, pulse_ms=500, where="s")
    assert frames.read == ReadBits(unit=1, function=2, address=0x201, count=1)


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        (("outputs", "count"), 0, r"outputs\.count: .*>= 1"),
        (("outputs", "puls"), 1, r"outputs.*unknown field `puls`.*mend its spelling"),
        (("colour",), "red", "unknown field `colour`"),
        (("transport",), "carrier pigeon", "transport: "),
        (("outputs", "pulse", "kind"), "none", r"outputs\.pulse\.kind: "),
        (("outputs", "pulse", "base"), 3, "overlap the coils"),
        (("outputs", "pulse", "base"), 0xFFFF, "outside 0x0000 to 0xFFFF"),
        (("outputs", "pulse", "min_ticks"), 0xFFFF + 1, "min_ticks"),
        (("outputs", "readback", "offset"), -1, "outside 0x0000 to 0xFFFF"),
        (("banned",), [{"address": 2, "why": "x"}], r"banned\[0\]\.address: 0x0002 is an output's own"),
    ],
)
def test_a_wrong_profile_names_file_key_and_fix(path: tuple[str, ...], value: object, says: str) -> None:
    raw = copy.deepcopy(RAW)
    table = raw
    for key in path[:-1]:
        table = table[key]
    table[path[-1]] = value
    with pytest.raises(ConfigError, match=f"wrong.toml: .*{says}"):
        parse_profile(raw, source="wrong.toml")


def test_a_missing_key_is_named() -> None:
    raw = copy.deepcopy(RAW)
    del raw["outputs"]["pulse"]
    with pytest.raises(ConfigError, match=r"outputs: .*`pulse`"):
        parse_profile(raw, source="x.toml")


def test_an_unknown_profile_names_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"site: profile: there is no \"wavesher\".*waveshare-relay"):
        load_profile(DEVICES, "wavesher", where="site")


def test_a_file_that_is_not_toml(tmp_path: Path) -> None:
    (tmp_path / "broken.toml").write_text("name = ")
    with pytest.raises(ConfigError, match=r"broken\.toml: cannot be read as TOML"):
        load_profile(tmp_path, "broken", where="site")


@pytest.mark.parametrize("path", sorted(DEVICES.glob("*.toml")), ids=lambda p: p.stem)
def test_every_shipped_profile_is_right(path: Path) -> None:
    shipped = load_profile(DEVICES, path.stem, where="test")
    shipped.relay(unit=1, channel=shipped.outputs.count, pulse_ms=3000, where="test")

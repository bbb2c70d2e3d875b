"""Profile files: found, refused when two have one name, told in a row."""

import re
import shutil
import tomllib
from pathlib import Path

import pytest

from drivers.modbus.profiles import all_profiles, describe, load_profile, parse_profile
from gateway.domain.errors import ConfigError
from tests.unit.modbus.test_profile_rules import DEVICES

PROMISED = {
    "waveshare-relay", "waveshare-relay-di", "r421a08", "moxa-e1212", "moxa-e1214", "adam-6060",
    "adam-6060-fc02", "icpdas-et-7060", "icpdas-et-7060-2009", "icpdas-et-7067", "icpdas-et-7067-2009",
    "icpdas-et-2260", "tm-r5", "wago-750", "beckhoff-bk9000", "beckhoff-ek9000", "isma-sfar-8di8do",
    "wirenboard-wb-mr6c", "wirenboard-wb-mrm2", "brainboxes-ed-588", "brainboxes-ed-538", "kmtronic-8",
    "wellpro-wp8025",
}  # fmt: skip


def test_every_promised_device_is_there_and_only_on_paper() -> None:
    profiles = all_profiles((DEVICES,))
    assert set(profiles) == PROMISED
    assert list(profiles) == sorted(profiles)
    for name, profile in profiles.items():
        assert profile.verified == "paper", "nobody has measured one yet"
        assert "Not known:" in profile.installer, f"{name} knows everything?"
        assert load_profile((DEVICES,), name, where="test") == profile


def test_an_unknown_profile_names_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^site: profile: there is no \"wavesher\" in .*waveshare-relay"):
        load_profile((DEVICES,), "wavesher", where="site")
    with pytest.raises(ConfigError, match="there is: none at all"):
        load_profile((tmp_path,), "waveshare-relay", where="site")


def test_a_sites_own_profile_is_found_beside_the_shipped(tmp_path: Path) -> None:
    own = (DEVICES / "kmtronic-8.toml").read_text("utf-8").replace("KMtronic 8 channel", "Our own")
    (tmp_path / "ours.toml").write_text(own, "utf-8")
    assert load_profile((tmp_path, DEVICES), "ours", where="site").name == "Our own RS485 relay"
    assert load_profile((tmp_path, DEVICES), "kmtronic-8", where="site").maker == "KMtronic"
    assert set(all_profiles((tmp_path, DEVICES))) == PROMISED | {"ours"}


def test_a_sites_own_profile_replaces_no_shipped_one_without_a_word(tmp_path: Path) -> None:
    shutil.copy(DEVICES / "tm-r5.toml", tmp_path)
    for read in (
        lambda: load_profile((tmp_path, DEVICES), "tm-r5", where="site"),
        lambda: all_profiles((tmp_path, DEVICES)),
    ):
        with pytest.raises(
            ConfigError, match=rf"^{re.escape(str(tmp_path))}/tm-r5\.toml: has the name of .*; rename it$"
        ):
            read()
    assert load_profile((tmp_path, DEVICES), "r421a08", where="site").outputs.count == 8


def test_the_same_folder_twice_is_no_quarrel() -> None:
    assert load_profile((DEVICES, DEVICES), "tm-r5", where="site").name == "ICP DAS tM-R5"


@pytest.mark.parametrize(
    "text", ["name = ", "\udce4".encode("utf-8", "surrogateescape").decode("latin-1") + "="]
)
def test_a_file_that_is_not_toml(tmp_path: Path, text: str) -> None:
    (tmp_path / "broken.toml").write_text(text, "latin-1")
    with pytest.raises(ConfigError, match=r"broken\.toml: cannot be read as TOML: .*; correct it"):
        load_profile((tmp_path,), "broken", where="site")


def test_a_row_says_what_an_installer_asks_first() -> None:
    rows = {name: describe(name, profile) for name, profile in all_profiles((DEVICES,)).items()}
    moxa = rows["moxa-e1214"]
    assert (moxa.file, moxa.name, moxa.pulse_class, moxa.verified) == (
        "moxa-e1214",
        "Moxa ioLogik E1214",
        "A",
        "paper",
    )
    assert (moxa.relays, moxa.inputs, moxa.transports) == (6, 6, ("tcp",))
    assert (moxa.pulse_ms, moxa.pulse) == ((1500, 30_000, 1500), "1500 to 30000 ms by 1500")
    assert (moxa.watchdog, moxa.spare) == ("", False)
    assert moxa.sources
    assert rows["wago-750"].watchdog == "2000 ms, set by the gateway, says itself that it runs"
    assert rows["adam-6060"].watchdog == "5000 ms, set by hand, proven with a spare relay"
    assert rows["adam-6060"].spare
    assert rows["kmtronic-8"].pulse == "100 to 30000 ms"
    assert rows["kmtronic-8"].inputs == 0


def test_rtu_over_tcp_has_its_own_port_where_the_device_has_one() -> None:
    waveshare, moxa = (load_profile((DEVICES,), n, where="test") for n in ("waveshare-relay", "moxa-e1212"))
    assert [waveshare.port_of(t) for t in ("tcp", "rtu_tcp", "tls")] == [502, 4196, 802]
    assert [moxa.port_of(t) for t in ("tcp", "rtu_tcp", "tls")] == [502, 502, 802]


def test_the_installers_page_names_every_profile_as_it_is() -> None:
    page = (DEVICES.parents[1] / "docs" / "devices.md").read_text("utf-8")
    rows = {line.split("`")[1]: line.split(" | ") for line in page.splitlines() if line.startswith("| `")}
    for name, profile in all_profiles((DEVICES,)).items():
        row = describe(name, profile)
        _, _, pulse_class, transports, channels, pulse, watchdog, spare = rows[name]
        assert pulse_class == row.pulse_class
        assert tuple(transports.split(", ")) == row.transports
        assert channels.removesuffix(" latched") == f"{row.relays}, {row.inputs}"
        assert pulse == f"steps of {row.pulse_ms[2]}" or (row.pulse_ms[2] == 1 and pulse.startswith("any"))
        assert watchdog.startswith("-" if not row.watchdog else f"{row.watchdog.split('000 ms')[0]} s")
        assert ("by hand" in watchdog) == ("by hand" in row.watchdog)
        assert spare.startswith("yes") == row.spare


def test_the_installers_pages_example_is_a_profile() -> None:
    page = (DEVICES.parents[1] / "docs" / "devices.md").read_text("utf-8")
    example = page.split("```toml\n")[1].split("```")[0]
    assert parse_profile(tomllib.loads(example), source="docs/devices.md").pulse_class == "B"

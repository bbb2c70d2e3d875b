"""From a site file to what is wired to what: contradictions between devices name file, key and fix."""

from pathlib import Path

import pytest

from gateway import settings
from gateway.domain.errors import ConfigError
from gateway.wiring import wire
from tests.unit.test_settings import GOOD, write

SECOND = '\n[[devices]]\nid = "e"\nprofile = "waveshare-relay"\nhost = "192.0.2.2"\nunit = 2\n'


def test_two_units_may_share_an_address(tmp_path: Path):
    assert set(wire(settings.load(write(tmp_path, GOOD + SECOND))).devices) == {"d", "e"}


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("unit = 1", ["devices[1].unit", "d", "e", "share unit 1"]),
        ("unit = 2\ntimeout_s = 1.0", ["devices[1]", "timeout_s"]),
        ('unit = 2\ntransport = "rtu_tcp"\nport = 502', ["devices[1].transport", "one port speaks one way"]),
    ],
)
def test_two_devices_that_cannot_share_an_address_are_refused(tmp_path: Path, more: str, words: list[str]):
    site = settings.load(write(tmp_path, GOOD + SECOND.replace("unit = 2", more)))
    with pytest.raises(ConfigError) as caught:
        wire(site)
    assert all(word in str(caught.value) for word in words), str(caught.value)

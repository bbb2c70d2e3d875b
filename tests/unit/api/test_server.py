"""Where the API may listen, and with what."""

import ssl
from pathlib import Path

import pytest

from gateway.api.server import loopback, tls
from gateway.domain.errors import ConfigError
from gateway.settings import Api
from tests.fakes.certificates import Authority


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),  # the very thing to refuse
        ("::", False),
        ("192.0.2.1", False),
        ("localhost.example.org", False),
        ("", False),
    ],
)
def test_loopback_is_what_nobody_outside_reaches(host: str, expected: bool):
    assert loopback(host) is expected


def test_plain_http_is_for_loopback_alone():
    assert tls(Api()) is None
    with pytest.raises(ConfigError, match="certificate_file and key_file"):
        tls(Api(host="0.0.0.0"))


def test_a_certificate_with_another_key_is_refused(tmp_path: Path):
    authority = Authority("site")
    one, other = (authority.issue(tmp_path, name, host="gate.test") for name in ("one", "other"))
    with pytest.raises(ConfigError, match="the key belongs to the certificate"):
        tls(Api(certificate_file=str(one.certificate), key_file=str(other.key)))
    with pytest.raises(ConfigError, match=r"api\.certificate_file"):
        tls(Api(certificate_file=str(one.certificate)))
    locked = one.locked(tmp_path / "locked.key", b"secret")
    with pytest.raises(ConfigError, match="no passphrase"):
        tls(Api(certificate_file=str(one.certificate), key_file=str(locked)))
    with pytest.raises(ConfigError, match=r"api\.certificate_file"):
        tls(Api(certificate_file=str(tmp_path / "none.pem"), key_file=str(one.key)))


def test_old_tls_is_not_spoken(tmp_path: Path):
    pair = Authority("site").issue(tmp_path, "gate", host="gate.test")
    context = tls(Api(host="0.0.0.0", certificate_file=str(pair.certificate), key_file=str(pair.key)))
    assert context is not None
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2

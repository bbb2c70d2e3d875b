import base64

import pytest

from drivers.cameras import http_auth
from drivers.cameras.credentials import Credentials
from drivers.cameras.http_auth import answer, challenges

MUFASA = Credentials("Mufasa", "Circle of Life")
NONCE, OPAQUE = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"
RFC7616 = tuple(
    f'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={algorithm}, '
    f'nonce="{NONCE}", opaque="{OPAQUE}"'
    for algorithm in ("SHA-256", "MD5")
)


@pytest.fixture
def rfc_cnonce(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
    monkeypatch.setattr(http_auth.secrets, "token_hex", lambda _: wanted)


@pytest.mark.usefixtures("rfc_cnonce")
@pytest.mark.parametrize(
    ("offered", "response"),
    [
        (RFC7616, "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
        (RFC7616[1:], "8ca523f5e9506fed4657c9700eebdbec"),
    ],
)
def test_the_examples_of_rfc_7616(offered: tuple[str, ...], response: str) -> None:
    header = answer(challenges(offered), "GET", "/dir/index.html", MUFASA)
    assert header is not None
    assert f'response="{response}"' in header
    assert "qop=auth" in header
    assert "nc=00000001" in header
    assert 'opaque="FQhe' in header


def test_the_example_of_rfc_2069_as_old_cameras_have_it() -> None:
    offered = challenges(['Digest realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093"'])
    header = answer(offered, "GET", "/dir/index.html", Credentials("Mufasa", "CircleOfLife"))
    assert header is not None
    assert 'response="1949323746fe6a43ef61f9606e7febea"' in header
    assert "qop" not in header


def test_several_challenges_in_one_header() -> None:
    found = challenges(['Basic realm="a, b", Digest realm="c \\"d\\"", nonce="n", qop="auth"'])
    assert [(c.scheme, c.params["realm"]) for c in found] == [("basic", "a, b"), ("digest", 'c "d"')]


def test_basic_is_used_only_when_nothing_better_is_offered() -> None:
    basic = answer(challenges(['Basic realm="x"']), "GET", "/", Credentials("u", "pä"))
    assert basic == "Basic " + base64.b64encode("u:pä".encode()).decode()
    both = answer(challenges(['Basic realm="x"', 'Digest realm="x", nonce="n"']), "GET", "/", MUFASA)
    assert both is not None
    assert both.startswith("Digest ")


@pytest.mark.parametrize("header", ["Negotiate", 'Digest realm="x", nonce="n", algorithm=SHA-1', "", "=,="])
def test_what_is_not_known_is_not_answered(header: str) -> None:
    assert answer(challenges([header]), "GET", "/", MUFASA) is None

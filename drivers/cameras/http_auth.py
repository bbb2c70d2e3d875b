"""Answers to 401 for HTTP and RTSP: Basic (RFC 7617) and Digest (RFC 7616, and RFC 2069 for old cameras)."""

import base64
import hashlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.request import parse_http_list

from drivers.cameras.credentials import Credentials

_HASHES = {"SHA-256": "sha256", "MD5": "md5"}
"""Best first."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way a server would accept credentials."""

    scheme: str
    params: dict[str, str]

    @property
    def algorithm(self) -> str:
        """Of a digest, without ``-sess``, in capitals."""
        return self.params.get("algorithm", "MD5").upper().removesuffix("-SESS")


def challenges(headers: Sequence[str]) -> list[Challenge]:
    """The challenges of all WWW-Authenticate headers of a reply, as many as each may hold."""
    found: list[Challenge] = []
    for item in (i for header in headers for i in parse_http_list(header)):
        start = re.match(r"([A-Za-z][\w-]*)(?:\s+|$)(?!=)(.*)", item)
        pair = item
        if start:
            found.append(Challenge(start[1].lower(), {}))
            pair = start[2]
        name, equals, value = pair.partition("=")
        if equals and found:
            found[-1].params[name.strip().lower()] = _unquoted(value.strip())
    return found


def answer(offered: Sequence[Challenge], method: str, uri: str, who: Credentials) -> str | None:
    """The Authorization header for the strongest challenge that can be met; None if there is none."""
    for name in _HASHES:
        for one in offered:
            qop = one.params.get("qop")
            if one.scheme == "digest" and one.algorithm == name and (qop is None or "auth" in _list(qop)):
                return _digest(one, method, uri, who)
    if any(one.scheme == "basic" for one in offered):
        return "Basic " + base64.b64encode(f"{who.user}:{who.password}".encode()).decode("ascii")
    return None


def _digest(one: Challenge, method: str, uri: str, who: Credentials) -> str:
    def digest(text: str) -> str:
        return hashlib.new(_HASHES[one.algorithm], text.encode(), usedforsecurity=False).hexdigest()

    realm, nonce = one.params.get("realm", ""), one.params.get("nonce", "")
    cnonce, count = secrets.token_hex(8), "00000001"
    secret = digest(f"{who.user}:{realm}:{who.password}")
    if one.params.get("algorithm", "").upper().endswith("-SESS"):
        secret = digest(f"{secret}:{nonce}:{cnonce}")
    what = digest(f"{method}:{uri}")
    fields = {"username": who.user, "realm": realm, "nonce": nonce, "uri": uri}
    plain: dict[str, str] = {}
    if "qop" in one.params:
        fields |= {"cnonce": cnonce}
        plain |= {"qop": "auth", "nc": count}
        response = digest(f"{secret}:{nonce}:{count}:{cnonce}:auth:{what}")
    else:
        response = digest(f"{secret}:{nonce}:{what}")
    fields["response"] = response
    if "opaque" in one.params:
        fields["opaque"] = one.params["opaque"]
    if "algorithm" in one.params:
        plain["algorithm"] = one.params["algorithm"]
    parts = [f"{k}={_quoted(v)}" for k, v in fields.items()] + [f"{k}={v}" for k, v in plain.items()]
    return "Digest " + ", ".join(parts)


def _list(text: str) -> list[str]:
    return [t.strip().lower() for t in text.split(",")]


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _unquoted(text: str) -> str:
    if len(text) >= 2 and text[0] == text[-1] == '"':
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    return text

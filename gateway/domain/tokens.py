"""Tokens: 256 random bits with a prefix that scanners know and a checksum that catches slips of the hand."""

import base64
import hashlib
import hmac
import re
import secrets
import zlib

KEY = "fgk_"
SESSION = "fgs_"
_FORM = re.compile(r"(fg[ks]_)([A-Za-z0-9_-]{43})([0-9a-f]{8})")


def new(prefix: str) -> str:
    """A new token."""
    body = prefix + base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")
    return body + f"{zlib.crc32(body.encode()):08x}"


def digest(token: str, prefix: str) -> bytes | None:
    """What is stored and looked up; None for what was never one of ours. Random enough to need no salt."""
    match = _FORM.fullmatch(token)
    if match is None or match[1] != prefix or f"{zlib.crc32((match[1] + match[2]).encode()):08x}" != match[3]:
        return None
    return hashlib.sha256(token.encode()).digest()


def csrf(session: str) -> str:
    """What a page must send along with a change, besides the cookie the browser adds by itself.

    Only who can read the session's answers knows it (OWASP: HMAC-based token bound to the session).
    """
    return (
        base64.urlsafe_b64encode(hmac.digest(session.encode(), b"csrf", hashlib.sha256)).decode().rstrip("=")
    )

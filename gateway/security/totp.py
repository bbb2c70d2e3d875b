"""One-time codes: TOTP of RFC 6238 with SHA-1, six digits, steps of 30 s, as authenticator apps have it."""

import secrets

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor import InvalidToken
from cryptography.hazmat.primitives.twofactor.totp import TOTP

_STEP_S = 30
_SECRET = 20


class Totp:
    """``ports.OneTimeCodes``."""

    def new_secret(self) -> bytes:
        """160 bits (RFC 4226 §4 R6)."""
        return secrets.token_bytes(_SECRET)

    def uri(self, secret: bytes, login: str) -> str:
        """An otpauth:// URI for an authenticator app."""
        return _of(secret).get_provisioning_uri(login, "Facegate")

    def step(self, secret: bytes, code: str, unix_s: float) -> int | None:
        """The time step a code belongs to, now or one step off; None when it is wrong."""
        now = int(unix_s) // _STEP_S
        if not (code.isascii() and code.isdigit()):
            return None
        for step in (now, now - 1, now + 1):
            try:
                _of(secret).verify(code.encode(), step * _STEP_S)
            except InvalidToken:
                continue
            return step
        return None


def _of(secret: bytes) -> TOTP:
    return TOTP(secret, 6, SHA1(), _STEP_S)  # noqa: S303  # what the apps speak; RFC 6238 §1.2

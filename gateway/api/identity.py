"""Who asks: an API key in the Authorization header, or a session's cookie with its CSRF token."""

import hmac
from dataclasses import dataclass

from aiohttp import web

from gateway.api.problems import Fault, Refusal
from gateway.domain import tokens
from gateway.domain.accounts import Actor
from gateway.services.signin import SignIn

COOKIE = "__Host-facegate"
OPEN_COOKIE = "facegate"
"""On loopback without TLS, where a browser keeps no ``__Host-`` cookie."""
CSRF_HEADER = "X-CSRF-Token"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Identity:
    """``frame.Identify``."""

    sign_in: SignIn

    async def __call__(self, request: web.Request) -> Actor:
        """Raises Refusal (code "unauthenticated", "csrf")."""
        address = request.remote or ""
        given = request.headers.get("Authorization")
        if given is not None:
            kind, _, token = given.partition(" ")
            actor = await self.sign_in.by_key(token.strip(), address) if kind.lower() == "bearer" else None
            if actor is None:
                raise Refusal(
                    "the Authorization header holds no API key that is in force", code="unauthenticated"
                )
            return actor
        session = session_of(request)
        if session is None:
            raise Refusal("sign in, or send an API key as a bearer token", code="unauthenticated")
        actor = await self.sign_in.by_session(session, address)
        if actor is None:
            raise Refusal("the session has ended; sign in again", code="unauthenticated")
        if request.method not in _SAFE:
            _check_csrf(request, session)
        return actor


def session_of(request: web.Request) -> str | None:
    """The session's token as the browser sent it."""
    return request.cookies.get(COOKIE if request.secure else OPEN_COOKIE)


def _check_csrf(request: web.Request, session: str) -> None:
    """Another site can make a browser send our cookie, but not this header."""
    sent = request.headers.get(CSRF_HEADER, "")
    if not hmac.compare_digest(sent.encode("utf-8", "surrogateescape"), tokens.csrf(session).encode()):
        raise Refusal(
            f"{CSRF_HEADER} is missing or of another session; GET /api/v1/session gives it",
            code="csrf",
            faults=[Fault(pointer=f"header/{CSRF_HEADER}", detail="missing or wrong")],
        )

"""``/api/v1/session/oidc``: signing in at the organisation's identity provider."""

from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from gateway.api.routes_session import session_cookie
from gateway.api.routing import Answer, Call, Route
from gateway.domain.errors import InvalidInput, Rejected, SealBroken
from gateway.ports import Clock, SiteSealer
from gateway.ports.oidc import IdentityProvider, Journey
from gateway.services.signin import SignIn

_PATH = "/api/v1/session/oidc"
_COOKIE = "facegate-journey"
_PURPOSE = "oidc"
_VSCHAR = r"^[\x20-\x7e]*$"
"""RFC 6749, appendix A."""
_LASTS_S = 600
_PAGE = b"""<!doctype html><html lang=en><meta charset=utf-8><meta http-equiv=refresh content="0;url=/">
<title>Signed in</title><p>Signed in. <a href="/">Go on</a></p>"""
"""A page, not a redirect: the session's cookie is sent only with what this site itself asks for."""


class CallbackQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What the provider sends along; more than these two is let pass."""

    code: Annotated[str, Meta(max_length=4000, pattern=_VSCHAR)] | None = None
    state: Annotated[str, Meta(max_length=200, pattern=_VSCHAR)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """The provider, if the site has one, and what seals the journey there."""

    provider: IdentityProvider | None
    sealer: SiteSealer
    clock: Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcRoutes:
    """There and back."""

    sign_in: SignIn
    outside: Outside

    def table(self) -> tuple[Route, ...]:
        """The routes."""
        common: dict[str, Any] = {"method": "GET", "tag": "session", "roles": None}
        return (
            Route(
                path=_PATH,
                handler=self.go,
                summary="Sign in at the identity provider",
                description="Sends the browser there.",
                status=303,
                errors=("no_such_provider", "provider_unavailable"),
                **common,
            ),
            Route(
                path=_PATH + "/callback",
                handler=self.come_back,
                summary="Come back from the identity provider",
                query=CallbackQuery,
                produces="text/html",
                errors=(
                    *("no_such_provider", "provider_unavailable", "sign_in_refused", "login_taken"),
                    *("bad_login", "last_administrator"),
                ),
                **common,
            ),
        )

    async def go(self, call: Call) -> Answer:
        """Send the browser there; what it must bring back goes along sealed."""
        uri, journey = await self._provider().begin(self._now())
        sealed = await self.outside.sealer.seal(_PURPOSE, msgspec.json.encode(journey))
        return Answer(
            status=303,
            headers={"Location": uri, "Set-Cookie": _cookie(call, sealed.hex(), _LASTS_S)},
        )

    async def come_back(self, call: Call) -> Answer:
        """Believe the provider, if everything fits, and begin a session."""
        provider, asked = self._provider(), call.query
        journey = await self._journey(call.request.cookies.get(_COOKIE, ""))
        outsider = await provider.finish(journey, asked.state or "", asked.code or "", self._now())
        opened = await self.sign_in.open_outsider(outsider, call.actor.address)
        cookie = session_cookie(call, opened.token, int(opened.lasts.total_seconds()))
        return Answer(
            body=_PAGE,
            media_type="text/html",
            headers={"Set-Cookie": cookie},
        )

    def _provider(self) -> IdentityProvider:
        if self.outside.provider is None:
            raise InvalidInput(
                "this site has no identity provider; sign in with a password", code="no_such_provider"
            )
        return self.outside.provider

    async def _journey(self, cookie: str) -> Journey:
        try:
            plain = await self.outside.sealer.open(_PURPOSE, bytes.fromhex(cookie))
            return msgspec.json.decode(plain, type=Journey)
        except (SealBroken, ValueError, msgspec.MsgspecError):
            raise Rejected(
                "this sign-in was not begun in this browser; begin again", code="sign_in_refused"
            ) from None

    def _now(self) -> float:
        return self.outside.clock.now().timestamp()


def _cookie(call: Call, value: str, max_age_s: int) -> str:
    """Lax: the provider sends the browser back, and that must bring it along."""
    secure = "; Secure" if call.request.secure else ""
    return f"{_COOKIE}={value}; Path={_PATH}; Max-Age={max_age_s}; HttpOnly; SameSite=Lax{secure}"

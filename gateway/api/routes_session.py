"""``/api/v1/session``: signing in and out."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from gateway.api.identity import COOKIE, OPEN_COOKIE, session_of
from gateway.api.limits import RateLimit
from gateway.api.problems import Refusal
from gateway.api.routing import EVERY_ROLE, Answer, Call, Route
from gateway.domain import tokens
from gateway.domain.accounts import Role
from gateway.domain.addresses import neighbourhood
from gateway.services.signin import SignedIn, SignIn

Code = Annotated[str, Meta(pattern="^[0-9]{6}$", description="Of the authenticator app.")]


Password = Annotated[str, Meta(min_length=1, max_length=200)]


class SignInBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who, and how they prove it."""

    login: Annotated[str, Meta(min_length=1, max_length=200)]
    password: Password
    code: Code | None = None


class SessionOut(msgspec.Struct, frozen=True, kw_only=True):
    """Who is calling, and what they may."""

    id: str
    roles: Sequence[Role]
    scopes: Sequence[str]
    csrf: str | None = None
    """For X-CSRF-Token with every change; null for API keys."""


class ProofBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The caller once more: a session may be somebody else's by now."""

    password: Password
    code: Code | None = None
    """Where signing in takes one."""


class PasswordBody(ProofBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """And the password to come."""

    new_password: Password


class TotpOut(msgspec.Struct, frozen=True, kw_only=True):
    """For an authenticator app, this once."""

    uri: str


class TotpBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The app's first code."""

    code: Code


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRoutes:
    """Sessions, and the caller's own second factor."""

    sign_in: SignIn
    tries: RateLimit
    """Of one address."""
    _path: str = field(default="/api/v1/session", init=False)

    def table(self) -> tuple[Route, ...]:
        """The routes."""
        common: dict[str, Any] = {"tag": "session"}
        own: dict[str, Any] = {"roles": EVERY_ROLE, **common}
        return (
            Route(
                method="POST",
                path=self._path,
                handler=self.open_session,
                summary="Sign in",
                description="Sets the session's cookie and gives its CSRF token.",
                roles=None,
                body=SignInBody,
                answer=SessionOut,
                status=201,
                errors=("sign_in_refused",),
                **common,
            ),
            Route(
                method="GET",
                path=self._path,
                handler=self.read_session,
                summary="Who is calling",
                answer=SessionOut,
                **own,
            ),
            Route(
                method="DELETE",
                path=self._path,
                handler=self.close_session,
                summary="Sign out",
                errors=("csrf",),
                **own,
            ),
            Route(
                method="POST",
                path=self._path + "/totp",
                handler=self.new_totp,
                summary="A secret for an authenticator app",
                body=ProofBody,
                answer=TotpOut,
                errors=("csrf", "sign_in_refused", "not_an_account", "no_such_account"),
                **own,
            ),
            Route(
                method="PUT",
                path=self._path + "/totp",
                handler=self.prove_totp,
                summary="Prove the app; from then on signing in takes a code",
                body=TotpBody,
                errors=("csrf", "code_refused", "not_an_account", "no_such_account"),
                **own,
            ),
            Route(
                method="PUT",
                path=self._path + "/password",
                handler=self.change_password,
                summary="A new password for the caller's own account",
                description="Ends all its sessions and begins a new one.",
                body=PasswordBody,
                answer=SessionOut,
                errors=(
                    *("csrf", "sign_in_refused", "weak_password", "not_an_account", "no_such_account"),
                    "version_differs",
                ),
                **own,
            ),
        )

    async def open_session(self, call: Call) -> Answer:
        """Sign in."""
        self._count(call)
        given: SignInBody = call.body
        opened = await self.sign_in.sign_in(given.login, given.password, given.code, call.actor.address)
        return _begun(call, opened)

    async def change_password(self, call: Call) -> Answer:
        """From now on another one."""
        self._count(call)
        given: PasswordBody = call.body
        return _begun(
            call,
            await self.sign_in.change_password(call.actor, given.password, given.code, given.new_password),
        )

    def _count(self, call: Call) -> None:
        wait_s = self.tries.wait_s(neighbourhood(call.actor.address))
        if wait_s:
            raise Refusal(
                "too many tries from this address; wait a little",
                code="too_many_requests",
                headers={"Retry-After": str(int(wait_s) + 1)},
            )

    async def read_session(self, call: Call) -> SessionOut:
        """Who is calling."""
        actor, token = call.actor, session_of(call.request)
        return SessionOut(
            id=actor.id,
            roles=sorted(actor.roles),
            scopes=sorted(actor.scopes),
            csrf=tokens.csrf(token) if token and actor.id.startswith("account:") else None,
        )

    async def close_session(self, call: Call) -> Answer:
        """Sign out."""
        await self.sign_in.sign_out(session_of(call.request) or "", call.actor)
        return Answer(headers={"Set-Cookie": session_cookie(call, "", 0)})

    async def new_totp(self, call: Call) -> TotpOut:
        """A secret that is not in force yet."""
        self._count(call)
        given: ProofBody = call.body
        return TotpOut(uri=await self.sign_in.new_totp(call.actor, given.password, given.code))

    async def prove_totp(self, call: Call) -> Answer:
        """Put it in force."""
        given: TotpBody = call.body
        await self.sign_in.prove_totp(call.actor, given.code)
        return Answer()


def _begun(call: Call, opened: SignedIn) -> Answer:
    out = SessionOut(
        id=f"account:{opened.account.account_id}",
        roles=sorted(opened.account.roles),
        scopes=[],
        csrf=opened.csrf,
    )
    cookie = session_cookie(call, opened.token, int(opened.lasts.total_seconds()))
    return Answer(body=out, headers={"Set-Cookie": cookie})


def session_cookie(call: Call, token: str, max_age_s: int) -> str:
    """RFC 6265bis: no script reads it, no other site sends it, and only TLS carries it."""
    name, secure = (COOKIE, "; Secure") if call.request.secure else (OPEN_COOKIE, "")
    return f"{name}={token}; Path=/; Max-Age={max_age_s}; HttpOnly; SameSite=Strict{secure}"

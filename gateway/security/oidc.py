"""OpenID Connect sign-in: authorization code with PKCE (RFC 7636), state and nonce.

The token mathematics is authlib's and joserfc's; HTTP is aiohttp's. Checked: signature by the provider's
published keys with an asymmetric algorithm, issuer, audience, azp, expiry, nonce (OpenID Connect Core 1.0,
§3.1.3.7).
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import msgspec
from authlib.common.errors import AuthlibBaseError
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from gateway.domain.accounts import Role
from gateway.domain.errors import Rejected, Unavailable
from gateway.ports.oidc import Journey, Outsider

_TIMEOUT = aiohttp.ClientTimeout(total=10)
_MOST = 1_000_000
_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
_PATIENCE_S = 600.0
_LEEWAY_S = 60


@dataclass(slots=True, kw_only=True)
class OidcProvider:
    """``ports.IdentityProvider``."""

    issuer: str
    client_id: str
    client_secret: str | None = field(repr=False)
    redirect_uri: str
    role_claim: str
    roles: Mapping[str, Role]
    """Values of the claim, and the role each stands for."""
    _found: dict[str, Any] = field(default_factory=dict)

    async def begin(self, now: float) -> tuple[str, Journey]:
        """Where to send the browser."""
        provider = await self._discovered()
        journey = Journey(
            state=secrets.token_urlsafe(32),
            nonce=secrets.token_urlsafe(32),
            verifier=secrets.token_urlsafe(48),
            until=now + _PATIENCE_S,
        )
        uri: str = prepare_grant_uri(
            provider["authorization_endpoint"],
            client_id=self.client_id,
            response_type="code",
            redirect_uri=self.redirect_uri,
            scope="openid profile email",
            state=journey.state,
            nonce=journey.nonce,
            code_challenge=create_s256_code_challenge(journey.verifier),
            code_challenge_method="S256",
        )
        return uri, journey

    async def finish(self, journey: Journey, state: str, code: str, now: float) -> Outsider:
        """Who came back."""
        if now > journey.until or not secrets.compare_digest(state.encode(), journey.state.encode()):
            raise _refused("the sign-in took too long, or was begun elsewhere; begin again")
        provider = await self._discovered()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "client_id": self.client_id,
            "code_verifier": journey.verifier,
        }
        if self.client_secret is not None:
            form["client_secret"] = self.client_secret
        answer = await self._fetch("POST", provider["token_endpoint"], form)
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise _refused("the provider gave no identity; begin again")
        return self._outsider(await self._claims(provider, token, journey, now))

    async def _claims(
        self, provider: Mapping[str, Any], token: str, journey: Journey, now: float
    ) -> Mapping[str, Any]:
        keys = await self._fetch("GET", provider["jwks_uri"])
        try:
            decoded = jwt.decode(token, KeySet.import_key_set(keys), algorithms=_ALGORITHMS)  # type: ignore[arg-type]
            claims = CodeIDToken(
                decoded.claims,
                decoded.header,
                options={
                    "iss": {"essential": True, "value": self.issuer},
                    "aud": {"essential": True, "value": self.client_id},
                },
                params={"nonce": journey.nonce, "client_id": self.client_id},
            )
            claims.validate(now=int(now), leeway=_LEEWAY_S)
        except (AuthlibBaseError, JoseError, ValueError, TypeError, KeyError) as error:
            raise _refused(f"the provider's identity does not hold ({type(error).__name__})") from None
        return dict(claims)

    def _outsider(self, claims: Mapping[str, Any]) -> Outsider:
        given = claims.get(self.role_claim, [])
        values = given if isinstance(given, list) else [given]
        login = str(claims.get("preferred_username") or claims.get("email") or claims["sub"])
        return Outsider(
            subject=f"{self.issuer} {claims['sub']}",
            login=login[:200],
            name=str(claims.get("name") or login)[:200],
            roles=frozenset(self.roles[v] for v in values if isinstance(v, str) and v in self.roles),
        )

    async def _discovered(self) -> Mapping[str, Any]:
        """The provider's own description (OpenID Connect Discovery 1.0 §4)."""
        if not self._found:
            found = await self._fetch("GET", self.issuer.rstrip("/") + "/.well-known/openid-configuration")
            needed = ("authorization_endpoint", "token_endpoint", "jwks_uri")
            if found.get("issuer") != self.issuer or any(not isinstance(found.get(n), str) for n in needed):
                raise Unavailable(
                    f"{self.issuer} does not describe itself so; check api.oidc.issuer to the letter",
                    code="provider_unavailable",
                )
            self._found = dict(found)
        return self._found

    async def _fetch(self, method: str, url: str, form: Mapping[str, str] | None = None) -> dict[str, Any]:
        try:
            async with (
                aiohttp.ClientSession(timeout=_TIMEOUT) as session,
                session.request(method, url, data=form, allow_redirects=False) as said,
            ):
                if said.status in {400, 401, 403}:
                    raise _refused("the provider did not accept this sign-in; begin again")
                if said.status != 200:
                    raise _away(f"answers {said.status}")
                answer = _json(await said.content.read(_MOST))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _away(type(error).__name__) from None
        return answer


def _json(raw: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(raw, type=dict[str, Any])
    except msgspec.MsgspecError:
        raise _away("answers what is no JSON object") from None


def _away(why: str) -> Unavailable:
    return Unavailable(
        f"the identity provider {why}; sign in with a password, or later", code="provider_unavailable"
    )


def _refused(why: str) -> Rejected:
    return Rejected(why, code="sign_in_refused")

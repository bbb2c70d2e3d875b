"""An OpenID Connect provider of one's own, on loopback: real keys, real tokens, and faults to order."""

import base64
import contextlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlparse

from aiohttp import web
from aiohttp.test_utils import TestServer
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc import jwt
from joserfc.jwk import ECKey

CLIENT = "facegate"


class FakeProvider:
    def __init__(self) -> None:
        self.key = ECKey.generate_key("P-256", {"kid": "1", "use": "sig", "alg": "ES256"}, private=True)
        self.claims: dict[str, Any] = {
            "sub": "ada-1",
            "preferred_username": "ada",
            "name": "Ada",
            "groups": ["hr-team"],
        }
        self.forged: dict[str, Any] = {}
        """Claims set after all others."""
        self.signs_with: Any = None
        self.algorithm = "ES256"
        self.by_public_key = False
        self.asked: dict[str, list[str]] = {}
        self.used: set[str] = set()
        self.issuer = ""

    def browse(self, location: str) -> dict[str, str]:
        """Somebody signs in there; what the browser brings back."""
        self.asked = parse_qs(urlparse(location).query)
        return {"code": f"code-{len(self.used)}", "state": self.asked["state"][0]}

    async def describe(self, _request: web.Request) -> web.Response:
        return web.json_response(
            {
                "issuer": self.issuer,
                "authorization_endpoint": self.issuer + "/authorize",
                "token_endpoint": self.issuer + "/token",
                "jwks_uri": self.issuer + "/jwks",
            }
        )

    async def keys(self, _request: web.Request) -> web.Response:
        return web.json_response({"keys": [self.key.as_dict(private=False)]})

    async def token(self, request: web.Request) -> web.Response:
        form = await request.post()
        proof = create_s256_code_challenge(str(form["code_verifier"]))
        if proof != self.asked["code_challenge"][0] or form["code"] in self.used:
            return web.json_response({"error": "invalid_grant"}, status=400)
        self.used.add(str(form["code"]))
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": CLIENT,
            "iat": now,
            "exp": now + 300,
            "nonce": self.asked["nonce"][0],
            **self.claims,
            **self.forged,
        }
        header = {"alg": self.algorithm, "kid": "1"}
        if self.by_public_key:
            token = self._hmac(claims)
        else:
            token = jwt.encode(header, claims, self.signs_with or self.key, algorithms=[self.algorithm])
        return web.json_response({"id_token": token, "access_token": "x", "token_type": "Bearer"})

    def _hmac(self, claims: dict[str, Any]) -> str:
        """Under what everybody knows: taken by verifiers that believe the header's algorithm."""
        parts = [json.dumps(part).encode() for part in ({"alg": "HS256", "kid": "1"}, claims)]
        body = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
        tag = hmac.digest(self.key.as_pem(private=False), body, "sha256")
        return (body + b"." + base64.urlsafe_b64encode(tag).rstrip(b"=")).decode()


@contextlib.asynccontextmanager
async def identity_provider() -> AsyncIterator[FakeProvider]:
    fake = FakeProvider()
    application = web.Application()
    application.router.add_get("/.well-known/openid-configuration", fake.describe)
    application.router.add_get("/jwks", fake.keys)
    application.router.add_post("/token", fake.token)
    async with TestServer(application) as server:
        fake.issuer = str(server.make_url("")).rstrip("/")
        yield fake

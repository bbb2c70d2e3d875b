"""The people's side: who may call, what they may ask for, and where that is served."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from aiohttp import web

from gateway.api.catalogue import Services, catalogue
from gateway.api.frame import Frame, Identify
from gateway.api.identity import Identity
from gateway.api.limits import RateLimit
from gateway.api.paging import Cursors
from gateway.api.routes_enrolment import Desk
from gateway.api.routes_gateway import View
from gateway.api.routes_oidc import Outside
from gateway.api.scim.serving import mount
from gateway.api.scim.table import ScimRoutes
from gateway.api.server import listening, tls
from gateway.bulk import exporting
from gateway.domain.accounts import Role
from gateway.domain.errors import ConfigError
from gateway.ground import Ground
from gateway.ports.accounts import Passwords
from gateway.privacy_desk import PrivacyDesk
from gateway.security.credential_secrets import SiteCredentialSecrets
from gateway.security.oidc import OidcProvider
from gateway.security.passwords import ArgonPasswords
from gateway.security.site_sealer import AesGcmSiteSealer
from gateway.security.totp import Totp
from gateway.services.accounts import Accounts, ApiKeys
from gateway.services.credentials import Credentials
from gateway.services.imports.worker import Imports
from gateway.services.signin import SignIn
from gateway.services.staff import Profiles, Staff
from gateway.settings import Api, Oidc
from gateway.storage.idempotency import PostgresIdempotency

_TRIES_PER_S = 1 / 6
_TRIES = 10
"""Sign-ins from one address: ten at once, then ten a minute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """Everything behind the API of one gateway."""

    settings: Api
    ground: Ground
    desk: Desk
    imports: Imports
    view: View
    passwords: Passwords = field(default_factory=ArgonPasswords)

    def services(self) -> Services:
        """The use cases behind the routes."""
        ground, privacy = self.ground, PrivacyDesk(ground=self.ground)
        stores, acted, clock = ground.stores, ground.record.acted, ground.clock
        passwords, site_sealer = self.passwords, AesGcmSiteSealer(ground.site_keys)
        accounts = Accounts(store=stores.accounts, passwords=passwords, acted=acted, clock=clock)
        return Services(
            staff=Staff(stores.staff, ground.sealer, acted),
            cursors=Cursors(site_sealer),
            profiles=Profiles(stores.profiles, acted),
            credentials=Credentials(
                store=stores.credentials,
                secrets=SiteCredentialSecrets(ground.site_keys),
                acted=acted,
                clock=clock,
            ),
            accounts=accounts,
            keys=ApiKeys(store=stores.api_keys, acted=acted, clock=clock),
            sign_in=SignIn(
                accounts=stores.accounts,
                directory=accounts,
                sessions=stores.sessions,
                keys=stores.api_keys,
                passwords=passwords,
                codes=Totp(),
                sealer=site_sealer,
                acted=acted,
                clock=clock,
                idle=timedelta(minutes=self.settings.session_idle_minutes),
                lasts=timedelta(hours=self.settings.session_hours),
            ),
            outside=Outside(provider=provider_of(self.settings.oidc), sealer=site_sealer, clock=clock),
            tries=RateLimit(clock, _TRIES_PER_S, _TRIES),
            desk=self.desk,
            consents=privacy.consents(),
            erasure=privacy.erasure(),
            access=privacy.access(),
            reporting=privacy.reporting(),
            imports=self.imports,
            exporting=exporting(ground),
            view=self.view,
        )

    def application(self, identify: Identify | None = None) -> web.Application:
        """The routes in their frame; ``identify`` stands in for sessions and keys in tests."""
        services = self.services()
        frame = Frame(
            identify=identify or Identity(services.sign_in),
            requests=PostgresIdempotency(
                self.ground.stores.database, AesGcmSiteSealer(self.ground.site_keys)
            ),
            limit=RateLimit(self.ground.clock, self.settings.requests_per_s, self.settings.burst),
        )
        application = frame.application(catalogue(services))
        mount(application, frame, ScimRoutes(services.staff, services.profiles).table())
        return application

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[int]:
        """Serve from entry to exit; yields the port. Raises ConfigError."""
        async with listening(self.settings, self.application()) as port:
            yield port


def check(settings: Api) -> None:
    """Raises ConfigError for what could never be served: a certificate, a secret, an address."""
    tls(settings)
    provider_of(settings.oidc)


def provider_of(settings: Oidc | None) -> OidcProvider | None:
    """The site's identity provider. Raises ConfigError when its secret cannot be read."""
    if settings is None:
        return None
    secret = None
    if settings.client_secret_file is not None:
        try:
            secret = Path(settings.client_secret_file).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"api.oidc.client_secret_file: {settings.client_secret_file} cannot be read ({error})"
            ) from None
    return OidcProvider(
        issuer=settings.issuer,
        client_id=settings.client_id,
        client_secret=secret,
        redirect_uri=settings.redirect_uri,
        role_claim=settings.role_claim,
        roles={value: Role(role) for value, role in settings.roles.items()},
    )

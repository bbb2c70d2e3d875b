"""The people's side: who may call, what they may ask for, and where that is served."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from aiohttp import web

from gateway.api.catalogue import Services, catalogue
from gateway.api.frame import Frame, Identify
from gateway.api.limits import RateLimit
from gateway.api.routes_gateway import View
from gateway.api.scim.serving import mount
from gateway.api.scim.table import ScimRoutes
from gateway.api.server import listening
from gateway.foundation import Stores
from gateway.ports import Clock, Journal, Sealer, SiteKeys
from gateway.security.credential_secrets import SiteCredentialSecrets
from gateway.security.site_sealer import AesGcmSiteSealer
from gateway.services.credentials import Credentials
from gateway.services.staff import Profiles, Staff
from gateway.services.witness import Record
from gateway.settings import Api
from gateway.storage.idempotency import PostgresIdempotency


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """Everything behind the API of one gateway."""

    settings: Api
    stores: Stores
    journal: Journal
    sealer: Sealer
    site_keys: SiteKeys
    clock: Clock
    identify: Identify
    view: View

    def services(self) -> Services:
        """The use cases behind the routes."""
        record = Record(self.journal, self.clock, self.sealer)
        return Services(
            staff=Staff(self.stores.staff, self.sealer, record.acted),
            profiles=Profiles(self.stores.profiles, record.acted),
            credentials=Credentials(
                store=self.stores.credentials,
                secrets=SiteCredentialSecrets(self.site_keys),
                acted=record.acted,
                clock=self.clock,
            ),
            view=self.view,
        )

    def application(self) -> web.Application:
        """The routes in their frame."""
        frame = Frame(
            identify=self.identify,
            requests=PostgresIdempotency(self.stores.database, AesGcmSiteSealer(self.site_keys)),
            limit=RateLimit(self.clock, self.settings.requests_per_s, self.settings.burst),
        )
        services = self.services()
        application = frame.application(catalogue(services))
        mount(application, frame, ScimRoutes(services.staff, services.profiles).table())
        return application

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[int]:
        """Serve from entry to exit; yields the port. Raises ConfigError."""
        async with listening(self.settings, self.application()) as port:
            yield port

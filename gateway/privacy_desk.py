"""The privacy side of a gateway: its use cases over the site's stores, keys and record."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from gateway import foundation
from gateway.api.routes_consents import ConsentRoutes
from gateway.api.routes_privacy import PrivacyRoutes
from gateway.foundation import Stores
from gateway.ports import Clock, Sealer, SiteKeys
from gateway.security.receipts import Ed25519Receipts
from gateway.services.privacy.consents import ConsentDesk
from gateway.services.privacy.erasure import Erasure
from gateway.services.privacy.processing_record import Reporting
from gateway.services.privacy.retention import Retention
from gateway.services.privacy.subject_access import SubjectAccess
from gateway.services.witness import Record
from gateway.settings import Site
from gateway.storage.consents import PostgresConsents
from gateway.storage.erasure import PostgresErasure
from gateway.storage.figures import PostgresFigures
from gateway.storage.holdings import PostgresHoldings
from gateway.storage.pool import Database
from gateway.storage.retention import PostgresRetention


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivacyDesk:
    """What its parts stand on."""

    site: Site
    stores: Stores
    sealer: Sealer
    site_keys: SiteKeys
    record: Record
    clock: Clock

    @property
    def database(self) -> Database:
        """Where everything is kept."""
        return self.stores.database

    def consents(self) -> ConsentDesk:
        """Texts, consents, withdrawal."""
        return ConsentDesk(
            store=PostgresConsents(self.database),
            acted=self.record.acted,
            clock=self.clock,
            valid_days=self.site.privacy.consent_valid_days,
        )

    def erasure(self) -> Erasure:
        """Erasure with a receipt."""
        return Erasure(
            store=PostgresErasure(self.database),
            signer=Ed25519Receipts(self.site_keys),
            noted=self.record.noted,
        )

    def retention(self) -> Retention:
        """The task that carries out the site's rules; its ``run`` is to be one named part of the gateway."""
        return Retention(
            store=PostgresRetention(self.database),
            erasure=self.erasure(),
            acted=self.record.acted,
            clock=self.clock,
            policy=self.site.privacy,
        )

    def consent_routes(self) -> ConsentRoutes:
        """For the API."""
        return ConsentRoutes(consents=self.consents())

    def privacy_routes(self) -> PrivacyRoutes:
        """For the API."""
        return PrivacyRoutes(
            erasure=self.erasure(),
            access=SubjectAccess(
                store=PostgresHoldings(self.database),
                photographs=self.stores.photographs,
                sealer=self.sealer,
                opens=self.record.open,
                acted=self.record.acted,
                clock=self.clock,
            ),
            reporting=reporting(self.site, self.database),
        )


def reporting(site: Site, database: Database) -> Reporting:
    """The processing record of a site; needs no key."""
    return Reporting(site=site, store=PostgresFigures(database))


@contextlib.asynccontextmanager
async def reporting_alone(site: Site) -> AsyncIterator[Reporting]:
    """The processing record, for one command. Raises DatabaseUnavailable."""
    stores = foundation.stores(site)
    try:
        await stores.prepare()
        yield reporting(site, stores.database)
    finally:
        await stores.close()

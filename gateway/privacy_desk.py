"""The privacy side of a gateway: its use cases over the site's stores, keys and record."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from gateway import foundation
from gateway.ground import Ground
from gateway.security.receipts import Ed25519Receipts
from gateway.services.privacy.consents import ConsentDesk
from gateway.services.privacy.erasure import Erasure
from gateway.services.privacy.processing_record import Reporting
from gateway.services.privacy.retention import Retention
from gateway.services.privacy.subject_access import SubjectAccess
from gateway.settings import Site
from gateway.storage.consents import PostgresConsents
from gateway.storage.erasure import PostgresErasure
from gateway.storage.figures import PostgresFigures
from gateway.storage.holdings import PostgresHoldings
from gateway.storage.pool import Database
from gateway.storage.retention import PostgresRetention


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivacyDesk:
    """Each of its use cases over one ground."""

    ground: Ground

    def consents(self) -> ConsentDesk:
        """Texts, consents, withdrawal."""
        return ConsentDesk(
            store=PostgresConsents(self.ground.stores.database),
            acted=self.ground.record.acted,
            clock=self.ground.clock,
            valid_days=self.ground.site.privacy.consent_valid_days,
        )

    def erasure(self) -> Erasure:
        """Erasure with a receipt."""
        return Erasure(
            store=PostgresErasure(self.ground.stores.database),
            signer=Ed25519Receipts(self.ground.site_keys),
            noted=self.ground.record.noted,
        )

    def retention(self) -> Retention:
        """The task that carries out the site's rules; its ``run`` is to be one named part of the gateway."""
        return Retention(
            store=PostgresRetention(self.ground.stores.database),
            erasure=self.erasure(),
            acted=self.ground.record.acted,
            clock=self.ground.clock,
            policy=self.ground.site.privacy,
        )

    def access(self) -> SubjectAccess:
        """Everything held about one person."""
        return SubjectAccess(
            store=PostgresHoldings(self.ground.stores.database),
            photographs=self.ground.stores.photographs,
            sealer=self.ground.sealer,
            opens=self.ground.record.open,
            acted=self.ground.record.acted,
            clock=self.ground.clock,
        )

    def reporting(self) -> Reporting:
        """The site's processing record."""
        return reporting(self.ground.site, self.ground.stores.database)


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

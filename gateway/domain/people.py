"""People as the doors need to know them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from gateway.domain.gallery import Gallery
from gateway.domain.ids import AccessPointId, PersonId


class PersonStatus(StrEnum):
    """Whether someone works here now."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    LEFT = "left"


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """One employee. ``name`` never leaves for the ledger, a log or a metric."""

    person_id: PersonId
    number: str
    name: str
    status: PersonStatus
    consented: bool
    """A consent to biometric processing was in force when this was read."""
    access_points: frozenset[AccessPointId]
    """Union of the access profiles the person holds."""
    consent_until: datetime | None = None
    """When the last of their consents ends, with its time zone; None when one has no end."""

    def consented_at(self, now: datetime) -> bool:
        """Whether a consent is in force at this moment; at the moment of its end it no longer is."""
        return self.consented and (self.consent_until is None or now < self.consent_until)


@dataclass(frozen=True, slots=True, kw_only=True)
class Roster:
    """Everyone and their templates at one version; immutable, swapped by reference."""

    version: int
    checked_ns: int
    """Monotonic time at which the database last said that this version is the newest."""
    people: Mapping[PersonId, Person]
    gallery: Gallery

"""The record of processing activities (GDPR art. 30) of one site."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """One processing of personal data, as it is done here now."""

    name: str
    purpose: str
    subjects: str
    """Whose data."""
    categories: Sequence[str]
    """What data."""
    legal_basis: str
    numbers: Mapping[str, int]
    """How much there is now."""
    kept: Sequence[str]
    """For how long, by which rule."""
    where: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessingRecord:
    """The whole record. What the site file does not say is listed, not filled in."""

    site: str
    gateway: str
    at: datetime
    controller: str | None
    contact: str | None
    data_protection_officer: str | None
    activities: Sequence[Activity]
    access: Mapping[str, int]
    """Who can look: accounts and keys that work, by role."""
    recipients: Sequence[str]
    transfers: str | None
    safeguards: Sequence[str]
    not_stated: Sequence[str]
    """Keys of the site file that only the controller can fill in, and did not."""

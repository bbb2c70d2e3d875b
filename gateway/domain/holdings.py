"""What is held about one person, and how much of what a site holds in all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gateway.domain.consent import Consent
from gateway.domain.enrolment import PhotographEntry
from gateway.domain.staff import StaffRecord

Plain = Mapping[str, Any]
"""One row in words JSON has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    """Everything but the events and the pictures themselves."""

    person: StaffRecord
    left_at: datetime | None
    wrapped_key: bytes
    """To open what was sealed for the record and the photographs; never handed out."""
    consents: Sequence[Consent]
    texts: Mapping[str, str]
    """Of the consents, by version."""
    access_points: Mapping[str, Sequence[tuple[str, str]]]
    """Id and name of those a profile opens, by profile."""
    templates: Sequence[Plain]
    """Model, quality and time of each; not what is in it."""
    photographs: Sequence[PhotographEntry]
    cards: Sequence[Plain]
    pin_since: datetime | None
    imports: Sequence[Plain]
    """Lines of imports that name the person's staff number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteFigures:
    """How much there is of what, as of one moment."""

    at: datetime
    people: Mapping[str, int]
    """By status."""
    templates: Mapping[str, int]
    """By model."""
    people_with_templates: int
    photographs: int
    oldest_photograph: datetime | None
    cards: int
    pins: int
    consents_in_force: int
    consents_ended: int
    consents_by_text: Mapping[str, int]
    """In force, by version; those attested in words alone under the empty text."""
    texts: Sequence[tuple[str, str, datetime]]
    """Version, language and time of each, newest first."""
    events: int
    oldest_event: datetime | None
    receipts: int
    accounts: Mapping[str, int]
    """That can sign in, by role."""
    api_keys: Mapping[str, int]
    """That work, by role."""
    imports: int

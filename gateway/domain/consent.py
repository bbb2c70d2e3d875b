"""Consent to face recognition, what ends it, and what is destroyed when it ends."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from gateway.domain.ids import PersonId

VERSION = "^[a-z0-9][a-z0-9._-]{0,62}$"
"""A consent text's version, as ``2026-01-en``."""
LANGUAGE = "^[a-z]{2,3}(-[A-Z]{2})?$"
"""BCP 47, as far as consent forms need it: ``en``, ``de-CH``."""
LONGEST_TEXT = 50_000


class How(StrEnum):
    """How a consent was given."""

    ATTESTED = "attested"
    """Somebody states that it was given."""
    PAPER = "paper"
    ELECTRONIC = "electronic"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentText:
    """What people agree to. Never changed: a better text is a new version."""

    version: str
    language: str
    body: str
    created_at: datetime
    created_by: str
    current: bool
    """The newest of its language."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """One consent of one person."""

    consent_id: int
    text_version: str | None
    """None for those attested on the command line, in words."""
    how: How
    attestation: str
    """What was noted beside it, such as where the paper is."""
    given_at: datetime
    recorded_at: datetime
    recorded_by: str | None
    """An actor's id."""
    expires_at: datetime | None
    withdrawn_at: datetime | None
    withdrawn_by: str | None
    ended_at: datetime | None
    """When its expiry was carried out."""

    def in_force(self, now: datetime) -> bool:
        """Neither withdrawn nor expired."""
        return (
            self.withdrawn_at is None
            and self.ended_at is None
            and (self.expires_at is None or self.expires_at > now)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NewConsent:
    """What is recorded of a consent."""

    text_version: str
    how: How
    attestation: str
    given_at: datetime
    recorded_by: str
    expires_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Destroyed:
    """What a person had and has no longer."""

    templates: int = 0
    photographs: int = 0

    def __bool__(self) -> bool:
        return bool(self.templates or self.photographs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A person whose biometrics went, with what ended them."""

    person_id: PersonId
    destroyed: Destroyed
    in_force: bool = False
    """Another consent is in force, so nothing had to go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Erased:
    """What was destroyed with a person, by kind. The person's key is always among it."""

    person_id: PersonId
    counts: Mapping[str, int]

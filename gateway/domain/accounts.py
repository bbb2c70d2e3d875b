"""Who may call the API, and as what."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

LOGIN = r"^[A-Za-z0-9][A-Za-z0-9._@+-]{0,199}$"
"""Of accounts made here; an identity provider may call people as it likes."""


class Role(StrEnum):
    """What somebody may do; an account may have several."""

    HR = "hr"
    """Adds, enrols, changes, suspends and erases people; sees their photographs."""
    GUARD = "guard"
    """Sees doors and who is who; no personal file."""
    AUDITOR = "auditor"
    """Reads the record and the processing report; changes nothing."""
    OPERATOR = "operator"
    """Keeps the gateway running: doors, health, access points."""
    ADMINISTRATOR = "administrator"
    """Decides who may call; everything else as well, but for the record itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who is behind a change, as the record names them."""

    id: str
    """``account:<uuid>``, ``key:<uuid>`` or ``command:<user of the machine>``; never a person's name."""
    roles: frozenset[Role]
    address: str = ""
    """The network address the call came from; empty for a command."""
    scopes: frozenset[str] = frozenset()
    """Of an API key: what of its roles it may use, as ``people:write``; empty means all of it."""

    def may(self, roles: frozenset[Role], scope: str) -> bool:
        """Whether one of ``roles`` is held, and a key was given ``scope``; an empty one every key has."""
        return bool(self.roles & roles) and (not scope or not self.scopes or scope in self.scopes)


class Scope(StrEnum):
    """What an API key can be narrowed to."""

    PEOPLE_READ = "people:read"
    PEOPLE_WRITE = "people:write"
    PEOPLE_EXPORT = "people:export"
    PEOPLE_ERASE = "people:erase"
    CONSENTS_READ = "consents:read"
    CONSENTS_WRITE = "consents:write"
    ENROLMENT_WRITE = "enrolment:write"
    PHOTOGRAPHS_READ = "photographs:read"
    DOORS_READ = "doors:read"
    HEALTH_READ = "health:read"
    ACCOUNTS_READ = "accounts:read"
    ACCOUNTS_WRITE = "accounts:write"
    PRIVACY_READ = "privacy:read"
    SCIM = "scim"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Somebody who signs in."""

    account_id: str
    login: str
    name: str
    roles: frozenset[Role]
    totp: bool
    """Signing in takes a one-time code as well."""
    external: bool
    """Signs in at the organisation's identity provider."""
    disabled: bool
    created_at: datetime
    updated_at: datetime
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A program's key, without the key."""

    key_id: str
    name: str
    roles: frozenset[Role]
    scopes: frozenset[str]
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    used_at: datetime | None
    revoked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What a sign-in is checked against. Its failure is counted before it is checked."""

    account: Account
    password_hash: str | None
    totp_sealed: bytes | None
    totp_last_step: int
    locked: bool

"""The organisation's identity provider (OpenID Connect Core 1.0), as signing in needs it."""

from dataclasses import dataclass, field
from typing import Protocol

from gateway.domain.accounts import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Journey:
    """What the browser carries, sealed, while it is at the provider."""

    state: str
    nonce: str
    verifier: str
    until: float
    """Unix time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outsider:
    """Somebody the provider vouches for."""

    subject: str
    """Issuer and subject: never given to somebody else."""
    login: str
    name: str
    roles: frozenset[Role] = field(default_factory=frozenset)
    """By the site's mapping; empty means not let in."""


class IdentityProvider(Protocol):
    """Sends people there and believes what comes back only when every signature and claim fits."""

    async def begin(self, now: float) -> tuple[str, Journey]:
        """Where to send the browser. Raises Unavailable (code "provider_unavailable")."""
        ...

    async def finish(self, journey: Journey, state: str, code: str, now: float) -> Outsider:
        """Who came back. Raises Rejected (code "sign_in_refused"), Unavailable ("provider_unavailable")."""
        ...

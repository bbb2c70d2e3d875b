"""What the API keeps of requests: answers for who asks the same thing twice."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from gateway.domain.ids import PersonId


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAnswer:
    """An answer as it was given."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    about: PersonId | None = None
    """Whose data it holds: it is forgotten with them."""
    content: bytes = b""
    """SHA-256 of what was uploaded."""


class IdempotencyStore(Protocol):
    """Remembers for a day what became of each ``Idempotency-Key`` of each caller."""

    async def claim(self, actor: str, key: str, request: bytes) -> StoredAnswer | None:
        """Take the key for a request (its digest); or the answer it had.

        Raises Rejected: code "idempotency_key_reused" for another request under the same key,
        "request_under_way" while the first one is not answered.
        """
        ...

    async def hold(self, actor: str, key: str) -> None:
        """The request is still being carried out: without a word of it for two minutes it is forgotten."""
        ...

    async def settle(self, actor: str, key: str, answer: StoredAnswer | None) -> None:
        """Keep the answer; None gives the key free again, because nothing was created."""
        ...

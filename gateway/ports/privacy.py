"""What consent, retention, erasure and access need from outside. Nothing here sees a face in the clear."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from gateway.domain.consent import (
    Consent,
    ConsentText,
    Destroyed,
    Ended,
    Erased,
    NewConsent,
)
from gateway.domain.holdings import Holdings, SiteFigures
from gateway.domain.ids import PersonId

Told = Callable[[], Awaitable[None]]
"""Called inside a change's transaction just before its commit; what it raises undoes the change."""


class ConsentStore(Protocol):
    """Consent texts, and who agreed to which."""

    async def texts(self) -> Sequence[ConsentText]:
        """All, newest first."""
        ...

    async def add_text(self, *, version: str, language: str, body: str, by: str, told: Told) -> ConsentText:
        """Add one. Raises Rejected (code "text_version_taken"), InvalidInput (code "bad_text")."""
        ...

    async def of(self, person_id: PersonId) -> Sequence[Consent]:
        """A person's, oldest first. Raises InvalidInput (code "no_such_person")."""
        ...

    async def give(
        self, person_id: PersonId, consent: NewConsent, told: Callable[[bool], Awaitable[None]]
    ) -> Consent:
        """Record one; ``told`` hears whether another is in force already.

        Raises InvalidInput (code "no_such_person", "no_such_consent_text", "bad_text"); Rejected
        (code "person_left").
        """
        ...

    async def withdraw(
        self, person_id: PersonId, by: str, told: Callable[[Destroyed], Awaitable[None]]
    ) -> tuple[int, Destroyed]:
        """End all that are in force and destroy templates and photographs, in one transaction.

        Says how many consents were withdrawn and what went. Without any consent in force nothing happens,
        and ``told`` is not called. Raises InvalidInput (code "no_such_person").
        """
        ...


EndedTold = Callable[[Ended], Awaitable[None]]
"""Told of each person inside the transaction, just before its commit."""


class RetentionStore(Protocol):
    """Finds what has been kept long enough, and destroys it.

    Each call does a part that fits a short transaction and says what it did: nothing when another gateway is
    at it. Call it again until nothing is left.
    """

    async def due(self, valid_days: int | None) -> bool:
        """Whether a consent has expired and its end is not carried out. Changes nothing, and is cheap."""
        ...

    async def forget_answers(self) -> None:
        """Destroy what was kept for callers who ask the same thing twice, once its day is over."""
        ...

    async def limit_consents(self, valid_days: int, told: Callable[[int], Awaitable[None]]) -> int:
        """Let no consent last longer than so many days from when it was given; how many were shortened.

        Those that are over by this rule already are left to ``end_expired``.
        """
        ...

    async def end_expired(self, valid_days: int | None, told: EndedTold) -> Sequence[Ended]:
        """Carry out the end of consents that have expired or are older than that, as a withdrawal is."""
        ...

    async def drop_unused(self, days: int, told: EndedTold) -> Sequence[Ended]:
        """Destroy templates and photographs of people who had them, and did not go in, for so many days."""
        ...

    async def drop_photographs(self, days: int, told: EndedTold) -> Sequence[Ended]:
        """Destroy photographs older than so many days; the templates stay."""
        ...

    async def gone(self, days: int) -> Sequence[PersonId]:
        """Some of the people who left so many days ago and are still known."""
        ...

    async def drop_receipts(self, days: int, told: Callable[[int], Awaitable[None]]) -> int:
        """Forget receipts older than so many days; how many."""
        ...


class ErasureStore(Protocol):
    """The end of a person."""

    async def erase(
        self,
        person_id: PersonId,
        receipt: Callable[[Erased], Awaitable[bytes]],
        *,
        left_days: int | None = None,
    ) -> bytes:
        """Destroy key and rows in one transaction; ``receipt`` puts it on record and makes the receipt, kept.

        With ``left_days`` only somebody who left so many days ago, so that who came back meanwhile stays.
        Raises InvalidInput (code "no_such_person"), and what ``receipt`` raises: then nothing is destroyed.
        """
        ...

    async def receipt(self, person_id: PersonId) -> bytes:
        """The receipt of an erasure, byte for byte. Raises InvalidInput (code "no_such_receipt")."""
        ...


class HoldingsStore(Protocol):
    """Everything that is held about one person."""

    async def holdings(self, person_id: PersonId) -> Holdings:
        """As of one moment, but for the events. Raises InvalidInput (code "no_such_person")."""
        ...

    def events(self, person_id: PersonId) -> AsyncIterator[Sequence[Mapping[str, Any]]]:
        """The ledger's events about them, page by page, in the order in which they were stored."""
        ...


class FiguresStore(Protocol):
    """Counts for the processing record."""

    async def figures(self) -> SiteFigures:
        """As of one moment."""
        ...


class SigningKey(Protocol):
    """An Ed25519 key, ready to sign."""

    @property
    def id(self) -> str:
        """Which key it is."""
        ...

    @property
    def public(self) -> bytes:
        """32 bytes."""
        ...

    def sign(self, statement: bytes) -> bytes:
        """64 bytes (RFC 8032)."""
        ...


class ReceiptSigner(Protocol):
    """The site's own key for receipts, the same for every gateway on one database."""

    async def key(self) -> SigningKey:
        """The key, made at first use. Raises DatabaseUnavailable, SealBroken."""
        ...

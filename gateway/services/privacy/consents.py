"""Consent to face recognition: its texts, who gave it, and its withdrawal."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from gateway.domain.accounts import Actor
from gateway.domain.consent import Consent, ConsentText, Destroyed, How, NewConsent
from gateway.domain.errors import InvalidInput
from gateway.domain.ids import PersonId
from gateway.ports import Clock
from gateway.ports.privacy import ConsentStore
from gateway.services.witness import Acted

_CLOCKS_DIFFER = timedelta(minutes=5)
"""A form signed just now, on a machine whose clock is ahead, is not from the future."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentDesk:
    """The use cases behind the consent routes."""

    store: ConsentStore
    acted: Acted
    clock: Clock
    valid_days: int | None = None
    """How long the site lets a consent last; None: until it is withdrawn."""

    async def texts(self) -> Sequence[ConsentText]:
        """All, newest first."""
        return await self.store.texts()

    async def add_text(self, actor: Actor, *, version: str, language: str, body: str) -> ConsentText:
        """Add a version; from now on it is the current one of its language.

        Raises Rejected (code "text_version_taken"), InvalidInput (code "bad_text").
        """

        async def told() -> None:
            await self.acted(
                actor, "consent_text.add", target=version, after={"language": language, "length": len(body)}
            )

        return await self.store.add_text(
            version=version, language=language, body=body, by=actor.id, told=told
        )

    async def of(self, person_id: PersonId) -> Sequence[Consent]:
        """A person's, oldest first. Raises InvalidInput (code "no_such_person")."""
        return await self.store.of(person_id)

    async def give(
        self,
        actor: Actor,
        person_id: PersonId,
        *,
        text_version: str,
        how: How,
        note: str = "",
        given_at: datetime | None = None,
        expires_at: datetime | None = None,
    ) -> Consent:
        """Record a consent, or its renewal.

        Raises InvalidInput (code "bad_consent", "no_such_person", "no_such_consent_text"), Rejected (code
        "person_left").
        """
        now = self.clock.now()
        given = (given_at or now).astimezone(UTC)
        consent = NewConsent(
            text_version=text_version,
            how=how,
            attestation=note,
            given_at=given,
            recorded_by=actor.id,
            expires_at=self._end(given, expires_at, now),
        )

        async def told(renewed: bool) -> None:  # noqa: FBT001  # the store's own call
            await self.acted(
                actor,
                "consent.renew" if renewed else "consent.give",
                person_id=person_id,
                after={
                    "text": text_version,
                    "how": how.value,
                    "given_at": given.isoformat(),
                    "expires_at": consent.expires_at.isoformat() if consent.expires_at else None,
                },
            )

        return await self.store.give(person_id, consent, told)

    async def withdraw(self, actor: Actor, person_id: PersonId) -> tuple[int, Destroyed]:
        """Withdraw what is in force; templates and photographs are gone when this returns.

        The person stays, with cards and PIN. Raises InvalidInput (code "no_such_person").
        """

        async def told(gone: Destroyed) -> None:
            await self.acted(
                actor,
                "consent.withdraw",
                person_id=person_id,
                before={"templates": gone.templates, "photographs": gone.photographs},
                after={"templates": 0, "photographs": 0},
            )

        return await self.store.withdraw(person_id, actor.id, told)

    def _end(self, given: datetime, wanted: datetime | None, now: datetime) -> datetime | None:
        """When a consent ends. Raises InvalidInput (code "bad_consent")."""
        if given > now + _CLOCKS_DIFFER:
            raise InvalidInput("given_at: lies in the future", code="bad_consent")
        last = None if self.valid_days is None else given + timedelta(days=self.valid_days)
        end = last if wanted is None else wanted.astimezone(UTC)
        if end is None:
            return None
        if last is not None and end > last:
            raise InvalidInput(
                f"expires_at: a consent lasts {self.valid_days} days at most here; choose an earlier end",
                code="bad_consent",
            )
        if end <= now:
            raise InvalidInput(
                f"this consent ended on {end.date().isoformat()}; ask for a new one", code="bad_consent"
            )
        return end

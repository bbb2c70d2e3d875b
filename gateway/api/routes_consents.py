"""``/api/v1/consent-texts`` and the consents of a person."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from gateway.api.routes_people import READERS, WRITERS
from gateway.api.routing import Call, Route
from gateway.domain.consent import LANGUAGE, LONGEST_TEXT, VERSION, Consent, ConsentText, How
from gateway.domain.ids import PersonId
from gateway.domain.staff import TEXT
from gateway.services.privacy.consents import ConsentDesk

Version = Annotated[
    str, Meta(pattern=VERSION, description="As 2026-01-en: one text in one language, never changed.")
]
Body = Annotated[
    str,
    Meta(
        pattern=r"^[^\x00-\x08\x0b-\x1f\x7f]*$",
        min_length=1,
        max_length=LONGEST_TEXT,
        description="The whole text, as it is shown or printed.",
    ),
]


class ConsentTextIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new version of the text that people agree to."""

    version: Version
    language: Annotated[str, Meta(pattern=LANGUAGE, description="BCP 47, as en or de-CH.")]
    body: Body


class ConsentTextOut(msgspec.Struct, frozen=True, kw_only=True):
    """One version."""

    version: str
    language: str
    body: str
    current: bool
    created_at: datetime
    created_by: str


class ConsentTextsOut(msgspec.Struct, frozen=True, kw_only=True):
    """All versions, newest first."""

    items: Sequence[ConsentTextOut]


class ConsentIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A consent that somebody gave."""

    text_version: Version
    how: How
    note: Annotated[
        str, Meta(pattern=TEXT, max_length=2000, description="Where the paper is kept, for example.")
    ] = ""
    given_at: Annotated[datetime, Meta(tz=True, description="Now, if it is left out.")] | None = None
    expires_at: (
        Annotated[datetime, Meta(tz=True, description="The site's own limit, if it is left out.")] | None
    ) = None


class ConsentOut(msgspec.Struct, frozen=True, kw_only=True):
    """One consent of a person."""

    text_version: str | None
    how: How
    note: str
    in_force: bool
    given_at: datetime
    recorded_at: datetime
    recorded_by: str | None
    expires_at: datetime | None
    withdrawn_at: datetime | None
    withdrawn_by: str | None


class ConsentsOut(msgspec.Struct, frozen=True, kw_only=True):
    """All of a person, oldest first."""

    in_force: bool
    items: Sequence[ConsentOut]


class WithdrawnOut(msgspec.Struct, frozen=True, kw_only=True):
    """What a withdrawal ended and destroyed."""

    consents: int
    templates: int
    photographs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentRoutes:
    """HR records consents; who may read people may read them."""

    consents: ConsentDesk

    def table(self) -> tuple[Route, ...]:
        """The routes."""
        one = "/api/v1/people/{person_id}/consents"
        read: dict[str, Any] = {"tag": "consents", "roles": READERS, "scope": "consents:read"}
        write: dict[str, Any] = {"tag": "consents", "roles": WRITERS, "scope": "consents:write"}
        return (
            Route(
                method="GET",
                path="/api/v1/consent-texts",
                handler=self.list_texts,
                summary="Consent texts, newest first, and which are current",
                answer=ConsentTextsOut,
                **read,
            ),
            Route(
                method="POST",
                path="/api/v1/consent-texts",
                handler=self.add_text,
                summary="Add a consent text; it becomes the current one of its language",
                body=ConsentTextIn,
                answer=ConsentTextOut,
                status=201,
                creates=True,
                errors=("text_version_taken", "bad_text"),
                **write,
            ),
            Route(
                method="GET",
                path=one,
                handler=self.list_consents,
                summary="The consents of a person",
                answer=ConsentsOut,
                errors=("no_such_person",),
                **read,
            ),
            Route(
                method="POST",
                path=one,
                handler=self.give,
                summary="Record a consent, or its renewal",
                body=ConsentIn,
                answer=ConsentOut,
                status=201,
                creates=True,
                errors=("no_such_person", "no_such_consent_text", "bad_consent", "bad_text", "person_left"),
                **write,
            ),
            Route(
                method="DELETE",
                path=one,
                handler=self.withdraw,
                summary="Withdraw consent: templates and photographs are destroyed at once",
                description="The person stays, with cards and PIN. Doing it again changes nothing.",
                answer=WithdrawnOut,
                errors=("no_such_person",),
                **write,
            ),
        )

    async def list_texts(self, _call: Call) -> ConsentTextsOut:
        """All versions."""
        return ConsentTextsOut(items=[_text(one) for one in await self.consents.texts()])

    async def add_text(self, call: Call) -> ConsentTextOut:
        """A new version."""
        given: ConsentTextIn = call.body
        return _text(
            await self.consents.add_text(
                call.actor, version=given.version, language=given.language, body=given.body
            )
        )

    async def list_consents(self, call: Call) -> ConsentsOut:
        """Of one person."""
        now = self.consents.clock.now()
        found = await self.consents.of(PersonId(call.path["person_id"]))
        items = [_consent(one, now) for one in found]
        return ConsentsOut(in_force=any(one.in_force for one in items), items=items)

    async def give(self, call: Call) -> ConsentOut:
        """Record one."""
        given: ConsentIn = call.body
        made = await self.consents.give(
            call.actor,
            PersonId(call.path["person_id"]),
            text_version=given.text_version,
            how=given.how,
            note=given.note,
            given_at=given.given_at,
            expires_at=given.expires_at,
        )
        return _consent(made, self.consents.clock.now())

    async def withdraw(self, call: Call) -> WithdrawnOut:
        """End them all."""
        count, gone = await self.consents.withdraw(call.actor, PersonId(call.path["person_id"]))
        return WithdrawnOut(consents=count, templates=gone.templates, photographs=gone.photographs)


def _text(text: ConsentText) -> ConsentTextOut:
    return ConsentTextOut(
        version=text.version,
        language=text.language,
        body=text.body,
        current=text.current,
        created_at=text.created_at,
        created_by=text.created_by,
    )


def _consent(consent: Consent, now: datetime) -> ConsentOut:
    return ConsentOut(
        text_version=consent.text_version,
        how=consent.how,
        note=consent.attestation,
        in_force=consent.in_force(now),
        given_at=consent.given_at,
        recorded_at=consent.recorded_at,
        recorded_by=consent.recorded_by,
        expires_at=consent.expires_at,
        withdrawn_at=consent.withdrawn_at,
        withdrawn_by=consent.withdrawn_by,
    )

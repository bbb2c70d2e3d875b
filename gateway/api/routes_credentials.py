"""``/api/v1/people/{person_id}/cards`` and ``…/pin``."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from gateway.api.routes_people import READERS, WRITERS
from gateway.api.routing import Answer, Call, Route
from gateway.domain.credentials import CARD, EASY_PINS, PIN, Card
from gateway.domain.errors import InvalidInput
from gateway.domain.ids import PersonId
from gateway.domain.staff import TEXT
from gateway.services.credentials import Credentials

Moment = Annotated[datetime, Meta(tz=True)]


class CardIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A card. Its number is not kept."""

    number: Annotated[
        str, Meta(max_length=200, pattern=CARD, description="As a reader gives it, hexadecimal.")
    ]
    label: Annotated[str, Meta(min_length=1, max_length=100, pattern=TEXT)]
    expires_at: Moment | None = None


class CardPatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change; null as ``expires_at`` means for good."""

    blocked: bool | UnsetType = UNSET
    expires_at: Moment | UnsetType | None = UNSET


class CardOut(msgspec.Struct, frozen=True, kw_only=True):
    """A card without its number."""

    id: str
    label: str
    expires_at: datetime | None
    blocked: bool
    created_at: datetime


class CardsOut(msgspec.Struct, frozen=True, kw_only=True):
    """The cards of a person."""

    items: Sequence[CardOut]


class PinIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new PIN."""

    pin: Annotated[
        str, Meta(pattern=PIN, extra_json_schema={"not": {"anyOf": [{"pattern": p} for p in EASY_PINS]}})
    ]


class PinOut(msgspec.Struct, frozen=True, kw_only=True):
    """That there is a PIN, and since when."""

    set_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialRoutes:
    """Cards and PINs of a person."""

    credentials: Credentials

    def table(self) -> tuple[Route, ...]:
        """The routes."""
        cards, pin = "/api/v1/people/{person_id}/cards", "/api/v1/people/{person_id}/pin"
        read: dict[str, Any] = {"tag": "credentials", "roles": READERS, "scope": "people:read"}
        write: dict[str, Any] = {"tag": "credentials", "roles": WRITERS, "scope": "people:write"}
        nobody = ("no_such_person",)
        return (
            Route(
                method="GET",
                path=cards,
                handler=self.list_cards,
                summary="The cards of a person",
                answer=CardsOut,
                errors=nobody,
                **read,
            ),
            Route(
                method="POST",
                path=cards,
                handler=self.add_card,
                summary="Give a person a card",
                body=CardIn,
                answer=CardOut,
                status=201,
                creates=True,
                errors=("bad_card", "card_taken", *nobody),
                **write,
            ),
            Route(
                method="PATCH",
                path=cards + "/{card_id}",
                handler=self.change_card,
                summary="Block or free a card, or set when it ends",
                body=CardPatch,
                answer=CardOut,
                errors=("no_such_card", *nobody),
                **write,
            ),
            Route(
                method="DELETE",
                path=cards + "/{card_id}",
                handler=self.remove_card,
                summary="Take a card away",
                errors=("no_such_card", *nobody),
                **write,
            ),
            Route(
                method="GET",
                path=pin,
                handler=self.read_pin,
                summary="Whether a person has a PIN",
                answer=PinOut,
                errors=("no_such_pin", *nobody),
                **read,
            ),
            Route(
                method="PUT",
                path=pin,
                handler=self.set_pin,
                summary="Set a person's PIN",
                body=PinIn,
                errors=("bad_pin", *nobody),
                **write,
            ),
            Route(
                method="DELETE",
                path=pin,
                handler=self.remove_pin,
                summary="Take a person's PIN away",
                errors=nobody,
                **write,
            ),
        )

    async def list_cards(self, call: Call) -> CardsOut:
        """All of one person."""
        return CardsOut(items=[_out(c) for c in await self.credentials.cards(_person(call))])

    async def add_card(self, call: Call) -> Answer:
        """Give one."""
        given: CardIn = call.body
        card = await self.credentials.add_card(
            call.actor, _person(call), number=given.number, label=given.label, expires_at=given.expires_at
        )
        return Answer(body=_out(card), headers={"Location": f"{call.request.path}/{card.card_id}"})

    async def change_card(self, call: Call) -> CardOut:
        """Set what is named."""
        given: CardPatch = call.body
        now = next(
            (c for c in await self.credentials.cards(_person(call)) if c.card_id == call.path["card_id"]),
            None,
        )
        if now is None:
            raise InvalidInput("this person has no such card", code="no_such_card")
        changed = await self.credentials.change_card(
            call.actor,
            _person(call),
            now.card_id,
            blocked=now.blocked if given.blocked is UNSET else given.blocked,
            expires_at=now.expires_at if given.expires_at is UNSET else given.expires_at,
        )
        return _out(changed)

    async def remove_card(self, call: Call) -> Answer:
        """Take one away."""
        await self.credentials.remove_card(call.actor, _person(call), call.path["card_id"])
        return Answer()

    async def read_pin(self, call: Call) -> PinOut:
        """When it was set."""
        at = await self.credentials.pin_set_at(_person(call))
        if at is None:
            raise InvalidInput("this person has no PIN", code="no_such_pin")
        return PinOut(set_at=at)

    async def set_pin(self, call: Call) -> Answer:
        """Set it."""
        given: PinIn = call.body
        await self.credentials.set_pin(call.actor, _person(call), given.pin)
        return Answer()

    async def remove_pin(self, call: Call) -> Answer:
        """Take it away."""
        await self.credentials.remove_pin(call.actor, _person(call))
        return Answer()


def _person(call: Call) -> PersonId:
    return PersonId(call.path["person_id"])


def _out(card: Card) -> CardOut:
    return CardOut(
        id=card.card_id,
        label=card.label,
        expires_at=card.expires_at,
        blocked=card.blocked,
        created_at=card.created_at,
    )

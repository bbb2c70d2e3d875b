"""What opens a door beside a face: cards and PINs."""

import re
from dataclasses import dataclass
from datetime import datetime

from gateway.domain.errors import InvalidInput

CARD = "^[0-9A-Fa-f]([ :._-]?[0-9A-Fa-f]){3,63}$"
"""A card's number in every reader's spelling."""
PIN = "^[0-9]{4,12}$"
EASY_PINS = (
    r"^([0-9])\1*$",
    r"^([0-9]{2,6})\1$",
    "^(0(?=1|$)|1(?=2|$)|2(?=3|$)|3(?=4|$)|4(?=5|$)|5(?=6|$)|6(?=7|$)|7(?=8|$)|8(?=9|$)|9(?=0|$))*$",
    "^(0(?=9|$)|1(?=0|$)|2(?=1|$)|3(?=2|$)|4(?=3|$)|5(?=4|$)|6(?=5|$)|7(?=6|$)|8(?=7|$)|9(?=8|$))*$",
)
"""Equal, repeated, counting up and down: the first that are tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One card. Its number is not kept, only a keyed digest of it."""

    card_id: str
    label: str
    """As printed on the card or chosen by HR; never the whole number."""
    expires_at: datetime | None
    blocked: bool
    created_at: datetime


def card_number(text: str) -> str:
    """A card's number as every reader's spelling comes out: hexadecimal, upper case, without separators.

    Raises InvalidInput (code "bad_card").
    """
    if not re.fullmatch(CARD, text):
        raise InvalidInput(
            "number: 4 to 64 hexadecimal digits, as the card reader gives them; spaces, colons and dashes "
            "between two digits are left out",
            code="bad_card",
        )
    return re.sub("[^0-9A-F]", "", text.upper())


def pin(text: str) -> str:
    """A PIN that is not among the first anybody tries. Raises InvalidInput (code "bad_pin")."""
    if not re.fullmatch(PIN, text):
        raise InvalidInput("pin: 4 to 12 digits", code="bad_pin")
    if any(re.fullmatch(easy, text) for easy in EASY_PINS):
        raise InvalidInput(
            "pin: equal, counting or repeated digits are the first that are tried; choose others",
            code="bad_pin",
        )
    return text

"""What opens a door beside a face: cards and PINs."""

import re
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from gateway.domain.errors import InvalidInput

_SPOKEN = re.compile(r"[\s:._-]")
_CARD = re.compile(r"[0-9A-F]{4,64}")
_PIN = re.compile(r"[0-9]{4,12}")


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
    plain = _SPOKEN.sub("", text).upper()
    if not _CARD.fullmatch(plain):
        raise InvalidInput(
            "number: 4 to 64 hexadecimal digits, as the card reader gives them; spaces, colons and dashes "
            "are left out",
            code="bad_card",
        )
    return plain


def pin(text: str) -> str:
    """A PIN that is not among the first anybody tries. Raises InvalidInput (code "bad_pin")."""
    if not _PIN.fullmatch(text):
        raise InvalidInput("pin: 4 to 12 digits", code="bad_pin")
    steps = {(int(b) - int(a)) % 10 for a, b in pairwise(text)}
    halves = text[: len(text) // 2]
    if steps in ({0}, {1}, {9}) or text == halves * 2:
        raise InvalidInput(
            "pin: equal, counting or repeated digits are the first that are tried; choose others",
            code="bad_pin",
        )
    return text

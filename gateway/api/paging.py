"""Cursors: where the next page goes on. Opaque to the caller, checked when they come back."""

import base64
import binascii
from datetime import datetime

import msgspec

from gateway.domain.errors import InvalidInput
from gateway.domain.query import Value

_MOST = 1000


class _Place(msgspec.Struct, frozen=True, array_like=True):
    sort: str
    descending: bool
    kind: str
    value: str | bool
    id: str


def cursor_of(sort: str, *, descending: bool, last: tuple[Value, str] | None) -> str | None:
    """The cursor after a page; None after the last one."""
    if last is None:
        return None
    value, who = last
    if isinstance(value, datetime):
        place = _Place(sort, descending, "time", value.isoformat(), who)
    elif isinstance(value, bool):
        place = _Place(sort, descending, "flag", value, who)
    else:
        place = _Place(sort, descending, "text", str(value), who)
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode().rstrip("=")


def place_of(cursor: str, sort: str, *, descending: bool) -> tuple[Value, str]:
    """Inverse of ``cursor_of``. Raises InvalidInput (code "no_such_page")."""
    wrong = InvalidInput(
        "cursor: not one of ours, or of another order; start again without it", code="no_such_page"
    )
    if len(cursor) > _MOST:
        raise wrong
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        place = msgspec.json.decode(raw, type=_Place)
        if (place.sort, place.descending) != (sort, descending):
            raise wrong
        if place.kind == "time" and isinstance(place.value, str):
            moment = datetime.fromisoformat(place.value)
            if moment.tzinfo is None:
                raise wrong
            return moment, place.id
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        raise wrong from None
    return place.value, place.id

"""Cursors: where the next page goes on. Sealed, since they hold a value of the last row, such as a name."""

import base64
import binascii
from dataclasses import dataclass
from datetime import datetime

import msgspec

from gateway.domain.errors import InvalidInput, SealBroken
from gateway.domain.query import Value
from gateway.ports import SiteSealer

_MOST = 2000
_PURPOSE = "cursors"


class _Place(msgspec.Struct, frozen=True, array_like=True):
    sort: str
    descending: bool
    kind: str
    value: str | bool
    id: str


@dataclass(frozen=True, slots=True)
class Cursors:
    """Makes them and reads them; good at every gateway of the site."""

    sealer: SiteSealer

    async def after(self, sort: str, *, descending: bool, last: tuple[Value, str] | None) -> str | None:
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
        sealed = await self.sealer.seal(_PURPOSE, msgspec.json.encode(place))
        return base64.urlsafe_b64encode(sealed).decode().rstrip("=")

    async def place(self, cursor: str, sort: str, *, descending: bool) -> tuple[Value, str]:
        """Inverse of ``after``. Raises InvalidInput (code "no_such_page")."""
        wrong = InvalidInput(
            "cursor: not one of ours, or of another order; start again without it", code="no_such_page"
        )
        if len(cursor) > _MOST:
            raise wrong
        try:
            raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
            place = msgspec.json.decode(await self.sealer.open(_PURPOSE, raw), type=_Place)
        except (binascii.Error, ValueError, msgspec.MsgspecError, SealBroken):
            raise wrong from None
        if (place.sort, place.descending) != (sort, descending):
            raise wrong
        if place.kind == "time" and isinstance(place.value, str):
            return datetime.fromisoformat(place.value), place.id
        return place.value, place.id

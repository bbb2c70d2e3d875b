"""Events on their way in and out of a store: drafts checked before, stored rows read after."""

import json
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from gateway.domain.errors import InvalidInput, InvariantBroken
from gateway.domain.events import Event, EventDraft, EventKind, Json
from gateway.domain.ids import AccessPointId, EventId, GatewayId, GrantId, PersonId

Row = tuple[int, bytes, bytes, bytes]
"""seq, canonical, prev_hash, hash."""

LONGEST_DATA = 64 * 1024
"""Bytes of JSON one event may carry: facts, not pictures."""

ONE_PER_GRANT = frozenset({EventKind.ACCESS_GRANTED, EventKind.UNLOCK_OUTCOME})


def checked(draft: EventDraft) -> EventDraft:
    """A copy of the draft that every store can hold, whatever happens to the original. Raises InvalidInput.

    Text that UTF-8 cannot hold (half a surrogate pair, out of a file name or a device) becomes "?": an
    outcome must not go unrecorded for its spelling.
    """
    if draft.at.tzinfo is None:
        raise InvalidInput(f"{draft.kind}: an event's time needs a time zone", code="bad_event")
    if draft.kind in ONE_PER_GRANT and draft.grant_id is None:
        raise InvalidInput(f"{draft.kind}: needs the grant's id", code="bad_event")
    for what, value in (("person_id", draft.person_id), ("grant_id", draft.grant_id)):
        if value is not None and not _is_uuid(value):
            raise InvalidInput(f"{draft.kind}: {what} is not a UUID in lower case", code="bad_event")
    point = draft.access_point_id
    if point is not None and ("\0" in point or _utf8(point) != point):
        raise InvalidInput(f"{draft.kind}: access_point_id is not text", code="bad_event")
    return replace(draft, data=checked_data(draft))


def checked_data(draft: EventDraft) -> dict[str, Json]:
    """A copy of a draft's data. Raises InvalidInput when it is not plain JSON or too long."""
    plain = dict(draft.data)
    try:
        text = json.dumps(plain, allow_nan=False, ensure_ascii=False)
        same: object = json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInput(f"{draft.kind}: its data is not JSON ({error})", code="bad_event") from None
    if same != plain:
        raise InvalidInput(f"{draft.kind}: its data is not plain JSON (keys must be text)", code="bad_event")
    if len(text) > LONGEST_DATA:
        raise InvalidInput(f"{draft.kind}: its data has over {LONGEST_DATA} bytes", code="bad_event")
    copy: dict[str, Json] = json.loads(_utf8(text))
    return copy


def parse(row: Row) -> Event:
    """An event from its stored form. Raises InvariantBroken when it cannot be read."""
    seq, body, prev, own = row
    try:
        plain = json.loads(body)
        return Event(
            gateway_id=GatewayId(plain["gateway"]),
            seq=seq,
            event_id=EventId(plain["id"]),
            draft=EventDraft(
                kind=EventKind(plain["kind"]),
                at=datetime.fromisoformat(plain["at"]),
                mono_ns=plain["mono_ns"],
                access_point_id=None
                if plain["access_point"] is None
                else AccessPointId(plain["access_point"]),
                person_id=None if plain["person"] is None else PersonId(plain["person"]),
                grant_id=None if plain["grant"] is None else GrantId(plain["grant"]),
                data=plain["data"],
            ),
            prev_hash=prev,
            hash=own,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InvariantBroken(
            f"event {seq} cannot be read ({error}): written by a newer Facegate, or altered; run the newer "
            "one, or `facegate audit verify`",
            code="event_unreadable",
        ) from error


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


def _utf8(text: str) -> str:
    return text.encode("utf-8", "replace").decode()

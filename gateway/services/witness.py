"""What operators do, on record: who, from where, what, and how it was before and after.

Personal values (names, numbers, addresses) go into the event sealed under the person's own key: whoever may
read the ledger and holds the keys can open them, and erasing the person makes them unreadable for good.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from gateway.domain.accounts import Actor
from gateway.domain.events import Event, EventDraft, EventKind, Json
from gateway.domain.ids import ModelId, PersonId
from gateway.domain.staff import TEXTS, StaffRecord
from gateway.ports import Clock, Journal, Sealer, Witness

RECORD_MODEL = ModelId("record")
"""Stands where a template has its model: what is sealed for the record opens as nothing else."""


class Acted(Protocol):
    """Puts an operator's action on record. Raises JournalUnavailable: then the action must not happen."""

    async def __call__(
        self,
        actor: Actor,
        action: str,
        *,
        person_id: PersonId | None = None,
        target: str = "",
        before: Mapping[str, Json] | None = None,
        after: Mapping[str, Json] | None = None,
        personal: Mapping[str, Json] | None = None,
        wrapped_key: bytes | None = None,
    ) -> None:
        """``before`` and ``after`` hold nothing personal; ``personal`` is sealed with ``wrapped_key``."""
        ...


@dataclass(frozen=True, slots=True)
class Record:
    """Writes actions to the journal; ``acted`` returns once they are on disk."""

    journal: Journal
    clock: Clock
    sealer: Sealer

    async def acted(
        self,
        actor: Actor,
        action: str,
        *,
        person_id: PersonId | None = None,
        target: str = "",
        before: Mapping[str, Json] | None = None,
        after: Mapping[str, Json] | None = None,
        personal: Mapping[str, Json] | None = None,
        wrapped_key: bytes | None = None,
    ) -> None:
        """``Acted``."""
        await self.noted(
            actor,
            action,
            person_id=person_id,
            target=target,
            before=before,
            after=after,
            personal=personal,
            wrapped_key=wrapped_key,
        )

    async def noted(
        self,
        actor: Actor,
        action: str,
        *,
        person_id: PersonId | None = None,
        target: str = "",
        before: Mapping[str, Json] | None = None,
        after: Mapping[str, Json] | None = None,
        personal: Mapping[str, Json] | None = None,
        wrapped_key: bytes | None = None,
    ) -> Event:
        """As ``acted``, for who must name the event afterwards."""
        data: dict[str, Json] = {"action": action, "actor": actor.id, "address": actor.address}
        if target:
            data["target"] = target
        if before:
            data["before"] = dict(before)
        if after:
            data["after"] = dict(after)
        if personal and wrapped_key is not None and person_id is not None:
            data["changed"] = [*sorted(personal)]
            data["sealed"] = self._sealed(wrapped_key, person_id, personal)
        (event,) = await self.journal.append(
            EventDraft(
                kind=EventKind.OPERATOR_ACTION,
                at=self.clock.now(),
                mono_ns=self.clock.monotonic_ns(),
                person_id=person_id,
                data=data,
            )
        )
        return event

    def open(self, wrapped_key: bytes, person_id: PersonId, sealed: str) -> dict[str, Json]:
        """The personal values of an event. Raises SealBroken."""
        plain = self.sealer.open(wrapped_key, person_id, RECORD_MODEL, base64.b64decode(sealed))
        opened: dict[str, Json] = json.loads(plain)
        return opened

    def _sealed(self, wrapped_key: bytes, person_id: PersonId, personal: Mapping[str, Json]) -> str:
        plain = json.dumps(dict(personal), sort_keys=True, ensure_ascii=False).encode()
        return base64.b64encode(self.sealer.seal(wrapped_key, person_id, RECORD_MODEL, plain)).decode()


def witness(acted: Acted, actor: Actor, action: str, wrapped_key: bytes) -> Witness:
    """A ``Witness`` that records what changed between two states of a person, and seals what is personal."""

    async def told(before: StaffRecord | None, after: StaffRecord | None) -> None:
        one = after or before
        if one is None:
            return
        plain = {name for name in _PLAIN if _value(before, name) != _value(after, name)}
        personal = {
            name: [_value(before, name), _value(after, name)]
            for name in TEXTS
            if _value(before, name) != _value(after, name)
        }
        await acted(
            actor,
            action,
            person_id=one.person_id,
            before={name: _value(before, name) for name in sorted(plain)} if before else None,
            after={name: _value(after, name) for name in sorted(plain)} if after else None,
            personal={**personal},
            wrapped_key=wrapped_key,
        )

    return told


_PLAIN = ("status", "profiles", "extended", "templates", "consented")


def _value(record: StaffRecord | None, name: str) -> Json:
    if record is None:
        return None
    value = getattr(record, name)
    return sorted(value) if isinstance(value, frozenset) else value

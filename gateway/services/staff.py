"""Adding, changing and removing people and access profiles: checked, recorded, then visible at every door."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any
from uuid import uuid4

from gateway.domain.accounts import Actor
from gateway.domain.errors import InvalidInput
from gateway.domain.ids import AccessPointId, PersonId
from gateway.domain.people import PersonStatus
from gateway.domain.query import Query
from gateway.domain.staff import (
    TEXT,
    TEXTS,
    Change,
    NewPerson,
    NewProfile,
    Page,
    ProfileChange,
    ProfileRecord,
    StaffRecord,
)
from gateway.ports import ProfileStore, Sealer, StaffStore
from gateway.services.witness import Acted, witness


@dataclass(frozen=True, slots=True)
class Staff:
    """The use cases behind the people routes, SCIM and imports."""

    store: StaffStore
    sealer: Sealer
    acted: Acted

    async def create(self, actor: Actor, person: NewPerson) -> StaffRecord:
        """Add a person. Raises InvalidInput, Rejected, DatabaseUnavailable, JournalUnavailable."""
        check_texts({f.name: getattr(person, f.name) for f in fields(person)})
        person_id = PersonId(str(uuid4()))
        key = self.sealer.new_key(person_id)
        return await self.store.create(
            person_id, person, key, witness(self.acted, actor, "person.create", key)
        )

    async def get(self, person_id: PersonId) -> StaffRecord:
        """One person. Raises InvalidInput (code "no_such_person")."""
        return await self.store.get(person_id)

    async def find(self, query: Query) -> Page:
        """Those who match. Raises InvalidInput."""
        return await self.store.find(query)

    async def change(
        self, actor: Actor, person_id: PersonId, change: Change, expected_version: int | None = None
    ) -> StaffRecord:
        """Set the named fields. Raises as ``create``; Rejected (code "version_differs")."""
        check_texts(change.values)
        key = await self.store.wrapped_key(person_id)
        told = witness(self.acted, actor, _called(change), key)
        return await self.store.change(person_id, change, expected_version, told)


@dataclass(frozen=True, slots=True)
class Profiles:
    """The use cases behind the access profiles and SCIM's groups."""

    store: ProfileStore
    acted: Acted

    async def all(self) -> Sequence[ProfileRecord]:
        """By name."""
        return await self.store.profiles()

    async def get(self, profile: str) -> ProfileRecord:
        """One by its key or its id. Raises InvalidInput (code "no_such_profile")."""
        for one in await self.store.profiles():
            if profile in {one.profile, one.profile_id}:
                return one
        raise InvalidInput(f"there is no access profile {profile[:64]!r}", code="no_such_profile")

    async def members(self, profile: str) -> Sequence[tuple[PersonId, str]]:
        """Who holds it and works here: id and name. Raises InvalidInput (code "no_such_profile")."""
        return await self.store.members(profile)

    async def create(self, actor: Actor, profile: NewProfile) -> ProfileRecord:
        """Add a profile. Raises as ``ProfileStore.create_profile``."""

        async def told(before: ProfileRecord | None, after: ProfileRecord | None) -> None:
            await self._told(actor, "profile.create", before, after)

        return await self.store.create_profile(profile, told)

    async def change(
        self, actor: Actor, profile: str, change: ProfileChange, expected_version: int | None = None
    ) -> ProfileRecord:
        """Set what is given. Raises as ``create``; Rejected (code "version_differs")."""

        async def told(before: ProfileRecord | None, after: ProfileRecord | None) -> None:
            await self._told(actor, "profile.change", before, after)

        return await self.store.change_profile(profile, change, expected_version, told)

    async def remove(self, actor: Actor, profile: str, expected_version: int | None = None) -> None:
        """Remove a profile; who held it loses its access points. Raises InvalidInput, Rejected."""

        async def told(before: ProfileRecord | None, after: ProfileRecord | None) -> None:
            await self._told(actor, "profile.remove", before, after)

        await self.store.remove_profile(profile, expected_version, told)

    async def access_points(self) -> Sequence[tuple[AccessPointId, str]]:
        """All access points of all gateways: id and name."""
        return await self.store.access_points()

    async def _told(
        self, actor: Actor, action: str, before: ProfileRecord | None, after: ProfileRecord | None
    ) -> None:
        one = after or before
        await self.acted(
            actor, action, target=one.profile if one else "", before=_profile(before), after=_profile(after)
        )


def check_texts(values: Mapping[str, Any]) -> None:
    """Raises InvalidInput naming every text that is too long, empty where it must not be, or unprintable."""
    wrong = []
    for name, longest in TEXTS.items():
        value = values.get(name)
        if value is None:
            if name in {"number", "name"} and name in values:
                wrong.append(f"{name}: is needed")
            continue
        if not isinstance(value, str) or not value or len(value) > longest or not re.search(TEXT, value):
            wrong.append(f"{name}: needs 1 to {longest} characters, none of them control characters")
    if wrong:
        raise InvalidInput("; ".join(wrong), code="bad_text")


def _called(change: Change) -> str:
    """A change of status alone has a name of its own: it is what auditors look for."""
    match change.values.get("status"):
        case PersonStatus.SUSPENDED:
            return "person.suspend"
        case PersonStatus.LEFT:
            return "person.leave"
        case PersonStatus.ACTIVE:
            return "person.activate"
    return "person.change"


def _profile(record: ProfileRecord | None) -> dict[str, Any] | None:
    if record is None:
        return None
    return {"name": record.name, "access_points": sorted(record.access_points), "members": record.members}

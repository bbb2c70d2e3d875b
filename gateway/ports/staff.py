"""What the people's side needs from outside. Each store writes before it commits, or not at all."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from gateway.domain.ids import AccessPointId, PersonId
from gateway.domain.query import Query
from gateway.domain.staff import (
    Change,
    NewPerson,
    NewProfile,
    Page,
    ProfileChange,
    ProfileRecord,
    StaffRecord,
)

Witness = Callable[[StaffRecord | None, StaffRecord | None], Awaitable[None]]
"""Told of a change (before, after; None: not there) inside its transaction, just before the commit.

What it raises undoes the change: nothing happens that could not be recorded.
"""


class StaffStore(Protocol):
    """People as HR edits them. Never sees a template or a photograph in the clear."""

    async def create(
        self, person_id: PersonId, person: NewPerson, wrapped_key: bytes, witness: Witness
    ) -> StaffRecord:
        """Add a person.

        Raises Rejected (code "number_taken", "user_name_taken", "external_id_taken"), InvalidInput
        (code "no_such_profile", "bad_text"), DatabaseUnavailable.
        """
        ...

    async def get(self, person_id: PersonId) -> StaffRecord:
        """One person. Raises InvalidInput (code "no_such_person")."""
        ...

    async def find(self, query: Query) -> Page:
        """Those who match, in order. Raises InvalidInput (code "bad_filter", "bad_sort")."""
        ...

    async def change(
        self, person_id: PersonId, change: Change, expected_version: int | None, witness: Witness
    ) -> StaffRecord:
        """Set the named fields; ``expected_version`` None: whatever it is. The same values change nothing.

        Raises as ``create``; InvalidInput (code "no_such_person"); Rejected (code "version_differs").
        """
        ...

    async def remove(self, person_id: PersonId, witness: Witness) -> None:
        """Erase a person: key, templates, photographs, cards, consents; the ledger keeps a pseudonym.

        Raises InvalidInput (code "no_such_person").
        """
        ...

    async def wrapped_key(self, person_id: PersonId) -> bytes:
        """The person's key, wrapped. Raises InvalidInput (code "no_such_person")."""
        ...


ProfileWitness = Callable[[ProfileRecord | None, ProfileRecord | None], Awaitable[None]]
"""As ``Witness``, for an access profile."""


class ProfileStore(Protocol):
    """Access profiles: named sets of access points, held by people."""

    async def profiles(self) -> Sequence[ProfileRecord]:
        """All of them by name."""
        ...

    async def members(self, profile: str) -> Sequence[tuple[PersonId, str]]:
        """Who holds it, without who has left: id, name. Raises InvalidInput (code "no_such_profile")."""
        ...

    async def create_profile(self, profile: NewProfile, witness: ProfileWitness) -> ProfileRecord:
        """Add one.

        Raises Rejected (code "profile_taken", "external_id_taken"); InvalidInput (code
        "no_such_access_point", "no_such_person", "bad_text").
        """
        ...

    async def change_profile(
        self, profile: str, change: ProfileChange, expected_version: int | None, witness: ProfileWitness
    ) -> ProfileRecord:
        """Set what is given; a change that changes nothing leaves the version as it is.

        Raises as ``create_profile``; InvalidInput (code "no_such_profile"); Rejected
        (code "version_differs").
        """
        ...

    async def remove_profile(
        self, profile: str, expected_version: int | None, witness: ProfileWitness
    ) -> None:
        """Remove one, and from everybody who holds it.

        Raises InvalidInput (code "no_such_profile"); Rejected (code "version_differs", "profile_needed": the
        profile "staff" stays).
        """
        ...

    async def access_points(self) -> Sequence[tuple[AccessPointId, str]]:
        """All access points of all gateways: id and name."""
        ...


class SiteKeys(Protocol):
    """Data keys of the whole site, wrapped by the master key, the same for every gateway on one database."""

    async def key(self, name: str) -> bytes:
        """The 32 bytes called ``name``, made at first use. Raises DatabaseUnavailable, SealBroken."""
        ...


class SiteSealer(Protocol):
    """Seals what is not one person's: under a site key of its own for each purpose."""

    async def seal(self, purpose: str, plain: bytes) -> bytes:
        """Seal bytes so that they open only for this purpose. Raises as ``SiteKeys.key``."""
        ...

    async def open(self, purpose: str, sealed: bytes) -> bytes:
        """Open sealed bytes. Raises SealBroken."""
        ...

"""What the people's side needs from outside. Each store writes before it commits, or not at all."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from gateway.domain.ids import AccessPointId, PersonId
from gateway.domain.query import Query
from gateway.domain.staff import Change, NewPerson, Page, ProfileRecord, StaffRecord

Witness = Callable[[StaffRecord | None, StaffRecord | None], Awaitable[None]]
"""Told of a change (before, after; None: not there) inside its transaction, just before the commit.

What it raises undoes the change: nothing happens that could not be recorded.
"""


class StaffStore(Protocol):
    """People and access profiles as HR edits them. Never sees a template or a photograph in the clear."""

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

    async def profiles(self) -> Sequence[ProfileRecord]:
        """All access profiles by name."""
        ...

    async def access_points(self) -> Sequence[tuple[AccessPointId, str]]:
        """All access points of all gateways: id and name."""
        ...


class SiteKeys(Protocol):
    """Data keys of the whole site, wrapped by the master key, the same for every gateway on one database."""

    async def key(self, name: str) -> bytes:
        """The 32 bytes called ``name``, made at first use. Raises DatabaseUnavailable, SealBroken."""
        ...

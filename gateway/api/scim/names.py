"""Between a person or an access profile as they are kept, and a User or a Group as SCIM has them.

``userName``, ``name.givenName``, ``name.familyName``, ``title``, ``externalId``, ``department`` and the one
e-mail address are kept as they are; an empty text is none. The rest:

* ``displayName`` and ``name.formatted`` are both the person's name. Where a request gives neither, it is
  made of the given and the family name, else of the userName, and follows them.
* ``employeeNumber`` is the staff number, which everybody has: a User without one gets the ``externalId`` as
  the number, else the ``userName``; such a number is not shown. A number changes only when the request says
  so: it stays when the ``externalId`` or the ``userName`` changes.
* ``active`` is the status: true is active, false suspended. Who has left is nobody here.
* Somebody added by HR without a userName is shown with the staff number in its place.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any

from scim2_models import Meta, Reference

from gateway.api.scim.resources import Email, EnterpriseUser, Group, Member, Membership, Name, Person
from gateway.domain.ids import PersonId
from gateway.domain.people import PersonStatus
from gateway.domain.staff import TEXTS, ProfileRecord, StaffRecord

_LONGEST_KEY = 56


def etag(version: int) -> str:
    """The weak entity tag of a version (RFC 7644 section 3.14)."""
    return f'W/"v{version}"'


def person_of(record: StaffRecord, groups: Mapping[str, ProfileRecord], base: str) -> Any:
    """A person as a User. ``groups`` by profile key; ``base`` is the address of ``/scim/v2``."""
    own = None if _stands_in(record) else record.number
    parts = record.given_name or record.family_name
    held = [groups[key] for key in sorted(record.profiles) if key in groups]
    return Person(
        id=record.person_id,
        external_id=record.external_id,
        user_name=user_name(record),
        display_name=record.name,
        name=Name(formatted=record.name, given_name=record.given_name, family_name=record.family_name)
        if parts
        else None,
        title=record.title,
        active=record.status is PersonStatus.ACTIVE,
        emails=[Email(value=record.email, type="work")] if record.email else None,
        groups=[Membership(value=g.profile_id, ref=Reference(f"{base}/Groups/{g.profile_id}")) for g in held]
        or None,
        EnterpriseUser=EnterpriseUser(employee_number=own, department=record.department)
        if own or record.department
        else None,
        meta=_meta("User", f"{base}/Users/{record.person_id}", record),
    )


def group_of(record: ProfileRecord, members: Iterable[PersonId] | None, base: str) -> Group:
    """An access profile as a Group; ``members`` None: not asked for."""
    return Group(
        id=record.profile_id,
        external_id=record.external_id,
        display_name=record.name,
        members=[
            Member(value=who, ref=Reference(f"{base}/Users/{who}"), type="User") for who in members or ()
        ]
        or None,
        meta=_meta("Group", f"{base}/Groups/{record.profile_id}", record),
    )


def values_of(person: Any, before: StaffRecord | None = None, *, whole: bool = True) -> dict[str, Any]:
    """What a User says of the fields of a person.

    ``before`` is who it changes; ``whole`` when the User was sent entire (POST, PUT) and not made by a PATCH:
    then a staff number that is left out stays, while a PATCH that takes it away gives the usual one.
    """
    said_name, enterprise = person.name or Name(), person.EnterpriseUser or EnterpriseUser()
    given, family = said_name.given_name or None, said_name.family_name or None
    called = person.user_name or ""
    external = person.external_id or None
    number = enterprise.employee_number or None
    if number is None and before is not None and (whole or _stands_in(before)):
        number = before.number
    stayed = before.status if before is not None else PersonStatus.ACTIVE
    chosen = {True: PersonStatus.ACTIVE, False: PersonStatus.SUSPENDED, None: stayed}
    return {
        "number": number or _stand_in(external, called),
        "name": _name(person.display_name, said_name.formatted, _joined(given, family) or called, before),
        "given_name": given,
        "family_name": family,
        "user_name": None
        if before is not None and before.user_name is None and called == before.number
        else called,
        "email": _email(person.emails or (), before if not whole else None),
        "department": enterprise.department or None,
        "title": person.title or None,
        "external_id": external,
        "status": chosen[person.active],
    }


def user_name(record: StaffRecord) -> str:
    """The userName, or what stands in for it."""
    return record.user_name or record.number


def key_of(name: str, taken: Iterable[str]) -> str:
    """A key for a new access profile: its name in small letters, digits and hyphens; nobody else's."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    stem = re.sub(r"[^a-z0-9]+", "-", plain)[:_LONGEST_KEY].strip("-") or "group"
    known = set(taken)
    return next(
        key for n in range(1, len(known) + 2) if (key := stem if n == 1 else f"{stem}-{n}") not in known
    )


def _name(shown: str | None, formatted: str | None, derived: str, before: StaffRecord | None) -> str:
    """The one that was changed; what nobody changed follows the names that it was made of, or stays."""
    old = before.name if before is not None else None
    for said in (shown, formatted):
        if said and said != old:
            return said
    if before is None:
        return derived
    made = _joined(before.given_name, before.family_name) or user_name(before)
    return derived if before.name == made else before.name


def _joined(given: str | None, family: str | None) -> str:
    return " ".join(part for part in (given, family) if part)


def _stands_in(record: StaffRecord) -> bool:
    names = (record.external_id, record.user_name)
    return any(record.number == _stand_in(name, "") for name in names if name)


def _stand_in(external_id: str | None, called: str) -> str:
    text = external_id or called
    if len(text) <= TEXTS["number"]:
        return text
    return f"{text[:47]}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _email(emails: Iterable[Email], before: StaffRecord | None) -> str | None:
    """The address for work, else the first; one that a PATCH added instead of the one there was."""
    there = [e for e in emails if e.value]
    chosen = [e for e in there if (e.type or "").lower() == "work"] or there
    fresh = [e for e in chosen if before is not None and e.value != before.email]
    return next((e.value for e in [*fresh, *chosen]), None)


def _meta(kind: str, location: str, record: StaffRecord | ProfileRecord) -> Meta:
    return Meta(
        resource_type=kind,
        created=record.created_at,
        last_modified=record.updated_at,
        location=location,
        version=etag(record.version),
    )

"""From stored people to a roster: opens what is sealed, and only what was not open before."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import structlog

from gateway.domain.enrolment import SealedTemplate, StoredPerson
from gateway.domain.errors import SealBroken
from gateway.domain.faces import Embedding, freeze
from gateway.domain.gallery import Gallery
from gateway.domain.ids import ModelId, PersonId
from gateway.domain.people import Person, Roster
from gateway.ports import Sealer

_log = structlog.get_logger(__name__)

_NOT_UNIT = 0.01


def to_bytes(embedding: Embedding) -> bytes:
    """Template bytes before sealing: float32, little-endian."""
    return np.asarray(embedding, "<f4").tobytes()


def from_bytes(plain: bytes, dimensions: int | None = None) -> Embedding:
    """Inverse of ``to_bytes``; unit length, read-only. Raises ValueError for anything else."""
    embedding = np.frombuffer(plain, "<f4")
    if len(embedding) == 0 or dimensions not in {None, len(embedding)}:
        raise ValueError(f"a template of {len(embedding)} dimensions, not {dimensions or 'of a face'}")
    if not abs(float(np.linalg.norm(embedding)) - 1.0) < _NOT_UNIT:
        raise ValueError("a template that is not of unit length")
    return freeze(embedding)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A roster, with what the next one can take over from it."""

    roster: Roster
    templates: Mapping[bytes, Embedding] = field(repr=False)
    """Open ones by the digest of person, wrapped key and sealed bytes, in the gallery's order."""


def open_roster(
    version: int, stored: Sequence[StoredPerson], sealer: Sealer, model_id: ModelId, now_ns: int
) -> Roster:
    """Open every template. One that does not open is left out, loudly: its person is a stranger."""
    return open_after(None, version, stored, sealer, model_id, now_ns).roster


def open_after(
    before: Opened | None,
    version: int,
    stored: Sequence[StoredPerson],
    sealer: Sealer,
    model_id: ModelId,
    now_ns: int,
) -> Opened:
    """As ``open_roster``, taking over what ``before`` has open already. Blocking."""
    if before is not None and before.roster.gallery.model_id != model_id:
        before = None
    known = before.templates if before else {}
    opened: dict[bytes, Embedding] = {}
    by_person: dict[PersonId, list[Embedding]] = {}
    for row in stored:
        mine = by_person.setdefault(row.person_id, [])
        for template in row.templates:
            name = _digest(row, template)
            embedding = known.get(name)
            if embedding is None:
                embedding = _open(row, template, sealer, model_id)
            if embedding is not None:
                opened[name] = embedding
                mine.append(embedding)
    # Most changes touch no template: then the matrix stays, and nothing of it is copied.
    same = before is not None and list(known) == list(opened)
    gallery = before.roster.gallery if before and same else Gallery.of(model_id, by_person)
    people = {row.person_id: _person(row) for row in stored}
    roster = Roster(version=version, checked_ns=now_ns, people=people, gallery=gallery)
    return Opened(roster=roster, templates=opened)


def _person(row: StoredPerson) -> Person:
    return Person(
        person_id=row.person_id,
        number=row.number,
        name=row.name,
        status=row.status,
        consented=row.consented,
        access_points=row.access_points,
        consent_until=row.consent_until,
    )


def _digest(row: StoredPerson, template: SealedTemplate) -> bytes:
    head = f"{row.person_id} {len(row.wrapped_key)} ".encode()
    return hashlib.sha256(b"".join((head, row.wrapped_key, template.sealed))).digest()


def _open(row: StoredPerson, template: SealedTemplate, sealer: Sealer, model_id: ModelId) -> Embedding | None:
    try:
        return from_bytes(sealer.open(row.wrapped_key, row.person_id, model_id, template.sealed))
    except (SealBroken, ValueError) as error:
        _log.error("template_does_not_open", person=row.person_id, why=str(error))
        return None

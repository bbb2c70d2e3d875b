"""From stored people to a roster: opens what is sealed, and only what was not open before."""

import operator
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


Opening = tuple[Embedding | None, ...]
"""One a template; None for what does not open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A roster, with what the next one can take over from it."""

    roster: Roster
    rows: Mapping[PersonId, StoredPerson] = field(repr=False)
    templates: Mapping[PersonId, Opening] = field(repr=False)


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
    """As ``open_roster``, taking over what ``before`` has open of the same bytes. Blocking."""
    if before is None or before.roster.gallery.model_id != model_id:
        before = _nothing(model_id)
    people: dict[PersonId, Person] = {}
    opened: dict[PersonId, Opening] = {}
    for row in stored:
        who = row.person_id
        was, had = before.rows.get(who), before.templates.get(who, ())
        if was is row and all(e is not None for e in had):
            people[who], opened[who] = before.roster.people[who], had
        else:
            people[who], opened[who] = _person(row), _open_all(row, was, had, sealer, model_id)
    # Most changes touch no template: then the matrix stays, and nothing of it is copied.
    gallery = before.roster.gallery
    if not _same(before.templates, opened):
        found = {who: [e for e in mine if e is not None] for who, mine in opened.items()}
        gallery = Gallery.of(model_id, found)
    roster = Roster(version=version, checked_ns=now_ns, people=people, gallery=gallery)
    return Opened(roster=roster, rows={row.person_id: row for row in stored}, templates=opened)


def _nothing(model_id: ModelId) -> Opened:
    roster = Roster(version=0, checked_ns=0, people={}, gallery=Gallery.of(model_id, {}))
    return Opened(roster=roster, rows={}, templates={})


def _same(before: Mapping[PersonId, Opening], now: Mapping[PersonId, Opening]) -> bool:
    """Whether the same people have the very same embeddings, in the same order."""
    return list(before) == list(now) and all(
        a is b or (len(a) == len(b) and all(map(operator.is_, a, b)))
        for a, b in zip(before.values(), now.values(), strict=True)
    )


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


def _open_all(
    row: StoredPerson, was: StoredPerson | None, had: Opening, sealer: Sealer, model_id: ModelId
) -> Opening:
    known: dict[bytes, Embedding | None] = {}
    if was is not None and was.wrapped_key == row.wrapped_key:
        known = {t.sealed: e for t, e in zip(was.templates, had, strict=True)}

    def opening(template: SealedTemplate) -> Embedding | None:
        before = known.get(template.sealed)
        return _open(row, template, sealer, model_id) if before is None else before

    return tuple(opening(template) for template in row.templates)


def _open(row: StoredPerson, template: SealedTemplate, sealer: Sealer, model_id: ModelId) -> Embedding | None:
    try:
        return from_bytes(sealer.open(row.wrapped_key, row.person_id, model_id, template.sealed))
    except (SealBroken, ValueError) as error:
        _log.error("template_does_not_open", person=row.person_id, why=str(error))
        return None

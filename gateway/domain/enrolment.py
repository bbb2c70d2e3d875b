"""Types of enrolment: what a photograph shows, and what is stored of it."""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.domain.faces import Detection, Embedding, Quality
from gateway.domain.ids import AccessPointId, ModelId, PersonId
from gateway.domain.people import PersonStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoFace:
    """A face in a photograph."""

    detection: Detection
    quality: Quality
    embedding: Embedding | None
    """None when the face is too small or too distorted to align."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedTemplate:
    """One template as it is stored."""

    model_id: ModelId
    sealed: bytes
    quality: float
    """0..1, of the photograph it came from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPerson:
    """A person as the database knows them; templates stay sealed."""

    person_id: PersonId
    number: str
    name: str
    status: PersonStatus
    consented: bool
    access_points: frozenset[AccessPointId]
    wrapped_key: bytes
    templates: Sequence[SealedTemplate]

"""Types of enrolment: what a photograph shows, how it is judged, and what is stored of it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from gateway.domain.faces import Detection, Embedding, Quality
from gateway.domain.ids import AccessPointId, ModelId, PersonId
from gateway.domain.people import PersonStatus

MOST_PHOTOGRAPHS = 10
"""At once, and templates a person and model."""


class Component(StrEnum):
    """What is measured of a photograph, by the names of ISO/IEC 29794-5:2025."""

    EYE_DISTANCE = "inter_eye_distance"
    SHARPNESS = "sharpness"
    LUMINANCE = "luminance_mean"
    UNDER_EXPOSURE = "under_exposure_prevention"
    OVER_EXPOSURE = "over_exposure_prevention"
    DYNAMIC_RANGE = "dynamic_range"
    ILLUMINATION = "illumination_uniformity"
    YAW = "pose_angle_yaw"
    PITCH = "pose_angle_pitch"
    ROLL = "pose_angle_roll"
    EYES_VISIBLE = "eyes_visible"
    MOUTH_VISIBLE = "mouth_occlusion_prevention"
    HEAD_IN_FRAME = "head_in_frame"
    """The standard's four crop components as one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One component of one photograph."""

    component: Component
    value: float
    """In the component's own unit, see ``gateway.vision.portrait``."""
    score: float
    """0 where the photograph is refused for it, 1 where more would not help; linear between."""

    @property
    def refused(self) -> bool:
        """The photograph cannot be used because of it."""
        return self.score <= 0.0


def unified_score(measures: Sequence[Measure]) -> float:
    """One figure for a photograph, 0..1: √(least · mean) of its components' scores.

    The weakest component limits it, and the others still count. 0 is refused; a photograph from a passport
    booth comes to 0.8 and more, 0.3 recognises somebody in good light.
    """
    if not measures:
        return 0.0
    scores = [m.score for m in measures]
    return math.sqrt(min(scores) * sum(scores) / len(scores))


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoFace:
    """A face in a photograph."""

    detection: Detection
    quality: Quality
    embedding: Embedding | None = field(repr=False)
    """None when the face is too small or too distorted to align."""
    measures: tuple[Measure, ...] = ()
    live: float | None = None
    """0..1, of a camera's picture; None when it was not judged, as with every photograph."""

    @property
    def score(self) -> float:
        """How good it is, 0..1."""
        return unified_score(self.measures) if self.measures else self.quality.score


@dataclass(frozen=True, slots=True, kw_only=True)
class FacesInPicture:
    """A picture looked at once."""

    faces: tuple[PhotoFace, ...]
    """Largest first."""
    clean: bytes = field(repr=False)
    """The picture alone, encoded, without what else its file held."""
    media_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why a photograph is refused, and what the person can do."""

    code: str
    """Stable, for programs."""
    message: str
    """For people: what is wrong and how to mend it."""
    component: Component | None = None
    of_file: bool = False
    """The file is at fault, before anybody looked at the picture in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What came of one photograph: all that is wrong with it, not only the first."""

    name: str
    """What the caller called it."""
    reasons: tuple[Reason, ...]
    notes: tuple[Reason, ...] = ()
    """What is no reason to refuse it, but good to know."""
    measures: tuple[Measure, ...] = ()
    score: float = 0.0
    """``unified_score``."""
    live: float | None = None
    liveness: str = "not judged"
    """Whether liveness was judged, and if not, why."""

    @property
    def usable(self) -> bool:
        """Nothing speaks against it."""
        return not self.reasons


class Mode(StrEnum):
    """What new templates do to those a person has."""

    REPLACE = "replace"
    ADD = "add"


class Purpose(StrEnum):
    """What something is sealed for. It is bound in: what was sealed for one opens for no other."""

    TEMPLATE = "template"
    """Label: the model."""
    PHOTOGRAPH = "photograph"
    """Label: the photograph's id."""
    RECORD = "record"
    """Label: the event's kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedTemplate:
    """One template as it is stored."""

    model_id: ModelId
    sealed: bytes
    quality: float
    """0..1, of the photograph it came from."""
    photograph_id: str | None = None
    """The kept photograph it came from, a UUID."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedPhotograph:
    """One kept photograph as it is stored."""

    photograph_id: str
    sealed: bytes
    media_type: str
    quality: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotographEntry:
    """What is said of a kept photograph without opening it."""

    photograph_id: str
    media_type: str
    quality: float
    created_at: datetime
    models: tuple[ModelId, ...] = ()
    """Models that made a template of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What an enrolment needs to know of a person, as of one roster version."""

    person_id: PersonId
    number: str
    status: PersonStatus
    consented: bool
    wrapped_key: bytes
    templates: int
    """Of the model asked about."""
    photographs: int
    roster_version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Migrant:
    """Somebody with templates, as a change of models sees them."""

    person_id: PersonId
    number: str
    wrapped_key: bytes
    have: Sequence[SealedTemplate]
    """Their templates of the new model, sealed."""
    photographs: Sequence[str]
    """Ids of those kept, oldest first."""


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
    consent_until: datetime | None = None
    """When the last consent in force ends; None when one has no end, or there is none."""
    mark: str = field(default="", compare=False, repr=False)
    """The database's: what has the same mark has not changed since."""

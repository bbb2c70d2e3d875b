"""The copy of the roster that a gateway keeps on its own disk, and whether it may be believed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from gateway.domain.enrolment import StoredPerson
from gateway.domain.ids import ModelId

CLOCK_TOLERANCE = timedelta(minutes=2)
"""So far a confirmation may lie ahead of the clock: time servers step by less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptRoster:
    """Everyone as the database stored them, at one version; templates and keys stay sealed."""

    version: int
    model_id: ModelId
    confirmed_at: datetime
    """UTC time at which the database last said that this version is the newest."""
    people: Sequence[StoredPerson]


class Doubt(StrEnum):
    """Why a copy is not believed."""

    OTHER_MODEL = "other_model"
    """Its templates are of a model that is not used here."""
    TOO_OLD = "too_old"
    FROM_THE_FUTURE = "from_the_future"
    """It was confirmed at a time that the clock has not reached: the clock is wrong, and so is any age."""


def doubt(kept: KeptRoster, model_id: ModelId, now: datetime, max_age: timedelta) -> Doubt | None:
    """What speaks against deciding by this copy now; None when nothing does."""
    if kept.model_id != model_id:
        return Doubt.OTHER_MODEL
    age = now - kept.confirmed_at
    if age < -CLOCK_TOLERANCE:
        return Doubt.FROM_THE_FUTURE
    return Doubt.TOO_OLD if age > max_age else None

"""What the enrolment routes answer."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from gateway.domain.enrolment import Judged, PhotographEntry
from gateway.services.enrolment import Enrolled
from gateway.services.verify import Verified

Score = Annotated[float, Meta(ge=0, le=1)]


class ReasonOut(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong, and what to do."""

    code: str
    message: str
    component: str | None


class MeasureOut(msgspec.Struct, frozen=True, kw_only=True):
    """A component of ISO/IEC 29794-5."""

    component: str
    value: Annotated[float, Meta(description="In the component's own unit.")]
    score: Annotated[float, Meta(ge=0, le=1, description="0: refused for it; 1: more would not help.")]


class JudgedOut(msgspec.Struct, frozen=True, kw_only=True):
    """One photograph, judged."""

    name: str
    usable: bool
    score: Annotated[float, Meta(ge=0, le=1, description="All components in one: √(least · mean).")]
    reasons: Sequence[ReasonOut]
    notes: Sequence[ReasonOut]
    measures: Sequence[MeasureOut]
    liveness: Annotated[str, Meta(description="Whether it was judged, and if not, why.")]


class EnrolledOut(msgspec.Struct, frozen=True, kw_only=True):
    """An enrolment, and how good the template is."""

    person_id: str
    templates: Annotated[int, Meta(ge=1, description="New ones.")]
    quality: Annotated[float, Meta(ge=0, le=1, description="Of the worst photograph used.")]
    replaced: bool
    kept: Annotated[bool, Meta(description="The photographs are kept, sealed.")]
    agreement: Annotated[
        float | None, Meta(description="Cosine of the two photographs that are farthest apart.")
    ]
    room: Annotated[
        float | None,
        Meta(description="How far the most similar other person stays below the threshold; small is bad."),
    ]
    like_before: Annotated[bool | None, Meta(description="They resemble the templates there were before.")]
    photographs: Sequence[JudgedOut]


class PhotographOut(msgspec.Struct, frozen=True, kw_only=True):
    """A kept photograph, unopened."""

    id: str
    media_type: str
    quality: Score
    created_at: datetime
    models: Sequence[str]


class PhotographsOut(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a person."""

    items: Sequence[PhotographOut]


class VerifiedOut(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the two show one person. Nothing of it is stored."""

    verdict: Annotated[str, Meta(description="match, no_match or inconclusive.")]
    score: Annotated[float | None, Meta(description="Cosine similarity, -1..1.")]
    threshold: float
    false_match_rate: float
    measured: Annotated[bool, Meta(description="The rate was measured; otherwise it is extrapolated.")]
    document: JudgedOut
    live: JudgedOut | None


def judged_out(one: Judged) -> JudgedOut:
    """As the API says it."""
    return JudgedOut(
        name=one.name,
        usable=one.usable,
        score=round(one.score, 3),
        reasons=[ReasonOut(code=r.code, message=r.message, component=r.component) for r in one.reasons],
        notes=[ReasonOut(code=r.code, message=r.message, component=r.component) for r in one.notes],
        measures=[
            MeasureOut(component=m.component, value=round(m.value, 3), score=round(m.score, 3))
            for m in one.measures
        ],
        liveness=one.liveness,
    )


def enrolled_out(done: Enrolled) -> EnrolledOut:
    """As the API says it."""
    return EnrolledOut(
        person_id=done.person_id,
        templates=done.templates,
        quality=round(done.quality, 3),
        replaced=done.replaced,
        kept=done.kept,
        agreement=_rounded(done.agreement),
        room=_rounded(done.room),
        like_before=done.like_before,
        photographs=[judged_out(one) for one in done.photographs],
    )


def photograph_out(one: PhotographEntry) -> PhotographOut:
    """As the API says it."""
    return PhotographOut(
        id=one.photograph_id,
        media_type=one.media_type,
        quality=one.quality,
        created_at=one.created_at,
        models=one.models,
    )


def verified_out(done: Verified) -> VerifiedOut:
    """As the API says it."""
    return VerifiedOut(
        verdict=done.verdict,
        score=_rounded(done.score),
        threshold=round(done.threshold, 3),
        false_match_rate=done.false_match_rate,
        measured=done.measured,
        document=judged_out(done.document),
        live=judged_out(done.live) if done.live else None,
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)

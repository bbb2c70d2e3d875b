"""What an enrolment answers: the templates made, and how good they are."""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.domain.enrolment import Judged
from gateway.domain.ids import PersonId
from gateway.services.enrolment.judge import Look


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolled:
    """A finished enrolment, and how good the template is."""

    person_id: PersonId
    number: str
    templates: int
    """New ones."""
    quality: float
    """0..1, of the worst photograph used; see ``domain.enrolment.unified_score``."""
    replaced: bool
    """The person was enrolled before; the templates are new."""
    photographs: tuple[Judged, ...] = ()
    """What was judged, in the order given."""
    kept: bool = False
    """The photographs are kept, sealed."""
    agreement: float | None = None
    """Cosine of the two photographs that are farthest apart; None for one."""
    room: float | None = None
    """How far the most similar other person stays below the threshold (cosine); None when there is nobody
    else. Under 0.05 the door may hesitate between the two."""
    like_before: bool | None = None
    """Whether the new photographs resemble the templates there were; None when there were none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What came of comparing photographs with each other and with everybody."""

    agreement: float | None
    room: float | None
    like_before: bool | None


def enrolled(
    person_id: PersonId,
    number: str,
    looks: Sequence[Look],
    compared: Compared,
    *,
    replaced: bool,
    kept: bool,
) -> Enrolled:
    """Sum up."""
    return Enrolled(
        person_id=person_id,
        number=number,
        templates=len(looks),
        quality=min(look.judged.score for look in looks),
        replaced=replaced,
        photographs=tuple(look.judged for look in looks),
        kept=kept,
        agreement=compared.agreement,
        room=compared.room,
        like_before=compared.like_before,
    )

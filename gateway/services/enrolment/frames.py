"""Which pictures of one look at a door camera become templates."""

from collections.abc import Sequence

from gateway.domain.enrolment import Judged, Reason
from gateway.domain.errors import EnrolmentRefused
from gateway.services.enrolment import compare
from gateway.services.enrolment.judge import Look
from gateway.services.enrolment.photos import PhotographsRefused

LEAST = 3
"""Usable pictures a look must give: one alone proves nothing, here as at a door."""
TEMPLATES = 3
"""More of the same moment add nothing."""


def chosen(looks: Sequence[Look], pair: float, live: float | None) -> list[Look]:
    """The best pictures of one live person. ``live``: mean liveness they must reach; None: not asked for.

    Raises PhotographsRefused when hardly any picture can be used, or two people were in view;
    EnrolmentRefused (code "too_few_pictures", "not_live", "liveness_unknown").
    """
    usable = [look for look in looks if look.judged.usable and look.embedding is not None]
    if len(usable) < LEAST:
        refused = [look.judged for look in looks if not look.judged.usable]
        if refused:
            raise PhotographsRefused([_most_said(looks)])
        raise EnrolmentRefused(
            f"the camera gave {len(usable)} usable pictures, {LEAST} are needed; stand before it for longer",
            code="too_few_pictures",
        )
    odd = compare.strangers_among([e for e in (look.embedding for look in usable) if e is not None], pair)
    if odd:
        raise EnrolmentRefused(
            "the camera saw two people; only the person to be enrolled may stand before it",
            code="photos_disagree",
        )
    if live is not None:
        _check_live(usable, live)
    return sorted(usable, key=lambda look: -look.judged.score)[:TEMPLATES]


def _check_live(usable: Sequence[Look], least: float) -> None:
    scores = [look.judged.live for look in usable if look.judged.live is not None]
    if len(scores) < LEAST:
        raise EnrolmentRefused(
            "liveness could not be judged; step back until head and shoulders are in view",
            code="liveness_unknown",
        )
    if sum(scores) / len(scores) < least:
        raise EnrolmentRefused(
            "the camera does not see a live face; come in person, without a picture or screen, and avoid "
            "standing before a frame",
            code="not_live",
        )


def _most_said(looks: Sequence[Look]) -> Judged:
    """One answer for all pictures: the reasons that most of them share, the most frequent first."""
    count: dict[str, int] = {}
    text: dict[str, Reason] = {}
    for look in looks:
        for reason in look.judged.reasons:
            count[reason.code] = count.get(reason.code, 0) + 1
            text[reason.code] = reason
    reasons = sorted(text.values(), key=lambda reason: -count[reason.code])
    return Judged(name=f"{len(looks)} pictures", reasons=tuple(reasons))

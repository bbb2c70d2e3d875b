"""1:1: is this the person on the document? HR's check when somebody starts; nothing of it is stored.

ISO/IEC 19795-1 calls it a verification: one comparison, whose threshold follows from the false match rate
that is asked for. It says that two pictures show one face, not that a document is genuine, nor that who
stands there is alive: a photograph handed in is judged for quality alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from gateway.domain.accounts import Actor
from gateway.domain.enrolment import Judged
from gateway.domain.errors import InvalidInput
from gateway.domain.faces import Embedding
from gateway.domain.ids import PersonId
from gateway.ports import Acts, TemplateStore
from gateway.services.enrolment import compare
from gateway.services.enrolment.judge import Judge, Look
from gateway.services.enrolment.photos import Photo
from gateway.services.roster import RosterSync

MEASURED_FMR = 1e-4
"""Down to here the thresholds were measured; lower rates continue the line."""
LOWEST_FMR, HIGHEST_FMR = 1e-6, 1e-2
_LEAST_EYES_PX = 16.0
"""Between the eyes; below, an embedding says nothing."""


class Verdict(StrEnum):
    """What the check says."""

    MATCH = "match"
    NO_MATCH = "no_match"
    INCONCLUSIVE = "inconclusive"
    """A picture is too poor to decide on: take it again. A document's picture is small, printed, and often
    has its holder's ghost beside, so what is wrong with it is told; but a poor picture lowers the score and
    hardly raises it, so only below the threshold does it leave the question open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """The answer, and all there is of it."""

    verdict: Verdict
    score: float | None
    """Cosine similarity, -1..1; with several templates that of the nearest. None: nothing to compare."""
    threshold: float
    false_match_rate: float
    """That the threshold stands for: the share of pairs of two people that would match."""
    measured: bool
    """Whether that rate was measured; if not, it is extrapolated."""
    document: Judged
    live: Judged | None
    """None where the document was compared with somebody enrolled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verify:
    """The use case behind ``POST /api/v1/verify``."""

    judge: Judge
    templates: TemplateStore
    roster: RosterSync
    threshold: Callable[[float], float]
    """Cosine similarity for a false match rate of one comparison."""
    record: Acts

    async def pictures(
        self, actor: Actor, document: Photo, live: Photo, *, false_match_rate: float = 1e-3
    ) -> Verified:
        """Compare two pictures. A bad picture gives an inconclusive verdict with its reasons, no error.

        Raises InvalidInput (code "bad_rate"), JournalUnavailable.
        """
        threshold = self._threshold(false_match_rate)
        first, second = await self.judge.photograph(document), await self.judge.photograph(live)
        theirs = [second.embedding] if second.judged.usable and second.embedding is not None else []
        done = _verdict(first, theirs, threshold, false_match_rate, second.judged)
        await self._told(actor, done, None)
        return done

    async def person(
        self, actor: Actor, document: Photo, person_id: PersonId, *, false_match_rate: float = 1e-3
    ) -> Verified:
        """Compare a document with somebody's templates.

        Raises InvalidInput (code "bad_rate", "no_such_person", "not_enrolled"), DatabaseUnavailable,
        JournalUnavailable.
        """
        threshold = self._threshold(false_match_rate)
        standing = await self.templates.standing(person_id, self.judge.model_id)
        mine: list[Embedding] = []
        if standing.consented:
            mine = compare.own_templates((await self.roster.refresh()).gallery, person_id)
        if not mine:
            raise InvalidInput(
                "this person has no template to compare with; give a live photograph instead",
                code="not_enrolled",
            )
        first = await self.judge.photograph(document)
        done = _verdict(first, mine, threshold, false_match_rate, None)
        await self._told(actor, done, person_id)
        return done

    def _threshold(self, rate: float) -> float:
        if not LOWEST_FMR <= rate <= HIGHEST_FMR:
            raise InvalidInput(
                f"a false match rate lies between {LOWEST_FMR:g} and {HIGHEST_FMR:g}", code="bad_rate"
            )
        return self.threshold(rate)

    async def _told(self, actor: Actor, done: Verified, person_id: PersonId | None) -> None:
        """On record before it is answered: that somebody checked and what came out, but no score."""
        await self.record.acted(
            actor,
            "face.verify",
            person_id=person_id,
            after={
                "verdict": done.verdict.value,
                "false_match_rate": done.false_match_rate,
                "against": "person" if person_id else "photograph",
            },
        )


def _verdict(
    document: Look, theirs: Sequence[Embedding], threshold: float, rate: float, live: Judged | None
) -> Verified:
    mine = document.embedding
    if document.face is not None and document.face.quality.eye_distance_px < _LEAST_EYES_PX:
        mine = None
    score = None if mine is None else max((float(mine @ e) for e in theirs), default=None)
    if score is not None and score >= threshold:
        verdict = Verdict.MATCH
    elif score is not None and document.judged.usable:
        verdict = Verdict.NO_MATCH
    else:
        verdict = Verdict.INCONCLUSIVE
    return Verified(
        verdict=verdict,
        score=score,
        threshold=threshold,
        false_match_rate=rate,
        measured=rate >= MEASURED_FMR,
        document=document.judged,
        live=live,
    )

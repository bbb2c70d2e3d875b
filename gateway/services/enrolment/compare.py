"""Whether photographs show one person, and nobody who is enrolled already."""

from collections.abc import Sequence

from gateway.domain.enrolment import Reason
from gateway.domain.faces import Embedding
from gateway.domain.gallery import Gallery
from gateway.domain.ids import PersonId
from gateway.domain.people import Roster


def least_agreement(embeddings: Sequence[Embedding]) -> float | None:
    """Cosine of the two that are farthest apart; None for a single one."""
    scores = [float(a @ b) for i, a in enumerate(embeddings) for b in embeddings[:i]]
    return min(scores, default=None)


def strangers_among(embeddings: Sequence[Embedding], limit: float) -> list[int]:
    """Which to leave out so that the rest agree pairwise: those that disagree with the most others, first.

    Where two disagree with each other alone nobody can say which is wrong: both are named.
    """
    left = list(range(len(embeddings)))
    named: list[int] = []
    while True:
        faults = {i: sum(float(embeddings[i] @ embeddings[j]) < limit for j in left if j != i) for i in left}
        most = max(faults.values(), default=0)
        if not most:
            return sorted(named)
        worst = [i for i in left if faults[i] == most]
        named += worst
        left = [i for i in left if i not in worst]


DISAGREES = Reason(
    code="photos_disagree",
    message="does not look like the person in the other photographs; use pictures of one person",
)
UNLIKE_BEFORE = Reason(
    code="photos_disagree",
    message="does not look like the person enrolled here; to correct a wrong enrolment, replace it",
)


def somebody_else(embedding: Embedding, roster: Roster, me: PersonId | None, limit: float) -> Reason | None:
    """The reason to refuse a face that is enrolled under another person."""
    match = roster.gallery.search_except(embedding, me)
    if match.person_id is None or match.score < limit:
        return None
    other = roster.people[match.person_id]
    return Reason(
        code="already_enrolled",
        message=(
            f"this face is already enrolled as number {other.number}; correct that record instead of adding "
            "another"
        ),
    )


def own_templates(gallery: Gallery, me: PersonId) -> list[Embedding]:
    """The templates a person has in a gallery."""
    if me not in gallery.people:
        return []
    return list(gallery.matrix[gallery.owner == gallery.people.index(me)])


def nearest_other(embeddings: Sequence[Embedding], gallery: Gallery, me: PersonId | None) -> float | None:
    """Highest cosine to anybody else; None when there is nobody else."""
    scores = [
        match.score
        for match in (gallery.search_except(e, me) for e in embeddings)
        if match.person_id is not None
    ]
    return max(scores, default=None)

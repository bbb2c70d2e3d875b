"""Looks become sealed templates, and sealed photographs where they are kept."""

from collections.abc import Sequence
from uuid import uuid4

from gateway.domain.enrolment import Purpose, SealedPhotograph, SealedTemplate
from gateway.domain.errors import EnrolmentRefused
from gateway.domain.faces import Embedding
from gateway.domain.ids import ModelId, PersonId
from gateway.ports import Sealer
from gateway.services.enrolment.judge import Look
from gateway.services.roster_opening import to_bytes

Sealed = tuple[list[SealedTemplate], list[SealedPhotograph]]


def seal(
    sealer: Sealer, model_id: ModelId, person_id: PersonId, key: bytes, looks: Sequence[Look], *, keep: bool
) -> Sealed:
    """Seal one template a look, and with ``keep`` the picture it came from. Blocking: tens of megabytes."""
    templates, photographs = [], []
    for look in looks:
        photograph_id = str(uuid4())
        if keep:
            box = sealer.seal_as(key, person_id, Purpose.PHOTOGRAPH, photograph_id, look.picture)
            photographs.append(
                SealedPhotograph(
                    photograph_id=photograph_id,
                    sealed=box,
                    media_type=look.media_type,
                    quality=look.judged.score,
                )
            )
        templates.append(
            SealedTemplate(
                model_id=model_id,
                sealed=sealer.seal(key, person_id, model_id, to_bytes(embedding_of(look))),
                quality=look.judged.score,
                photograph_id=photograph_id if keep else None,
            )
        )
    return templates, photographs


def embedding_of(look: Look) -> Embedding:
    """Raises EnrolmentRefused (code "landmarks") for a face that could not be aligned."""
    if look.embedding is None:
        raise EnrolmentRefused(f"{look.judged.name}: the face cannot be aligned", code="landmarks")
    return look.embedding

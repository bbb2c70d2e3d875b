"""Where an import takes what it changes: people, consents, templates, each change on record."""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.domain.accounts import Actor
from gateway.domain.enrolment import SealedTemplate
from gateway.domain.errors import EnrolmentRefused
from gateway.domain.ids import ModelId, PersonId
from gateway.domain.imports import ConsentNote
from gateway.ports import ConsentDesk, ConsentStore, Judged, Sealer, StaffDesk, TemplateDesk, TemplateStore
from gateway.services.roster import to_bytes
from gateway.services.witness import Acted


@dataclass(frozen=True, slots=True, kw_only=True)
class Desks:
    """All of them, of one way of recording."""

    staff: StaffDesk
    consents: ConsentDesk
    templates: TemplateDesk


@dataclass(frozen=True, slots=True)
class Consents:
    """``ports.ConsentDesk``."""

    store: ConsentStore
    acted: Acted

    async def in_force(self, person_id: PersonId) -> ConsentNote | None:
        """The latest consent in force that has a version."""
        return await self.store.latest(person_id)

    async def record(self, actor: Actor, person_id: PersonId, note: ConsentNote) -> None:
        """Put a consent on record. Raises InvalidInput (code "no_such_consent_text")."""
        await self.store.add(person_id, note, actor.id)
        after = {
            "version": note.version,
            "given_on": note.given_on.isoformat(),
            "how": note.how.value,
        }
        await self.acted(actor, "consent.record", person_id=person_id, after={**after})


@dataclass(frozen=True, slots=True)
class Templates:
    """``ports.TemplateDesk``."""

    store: TemplateStore
    sealer: Sealer
    model_id: ModelId
    acted: Acted

    async def put(self, actor: Actor, person_id: PersonId, photographs: Sequence[Judged]) -> None:
        """Replace a person's templates. Raises InvalidInput (code "no_consent")."""
        key = await self.store.key(person_id)
        sealed = []
        for photograph in photographs:
            face = photograph.face
            if face.embedding is None:
                raise EnrolmentRefused(f"{photograph.name}: the face cannot be aligned", code="landmarks")
            sealed.append(
                SealedTemplate(
                    model_id=self.model_id,
                    sealed=self.sealer.seal(key, person_id, self.model_id, to_bytes(face.embedding)),
                    quality=face.quality.score,
                )
            )
        await self.store.replace(person_id, sealed)
        quality = min(t.quality for t in sealed)
        await self.acted(
            actor,
            "person.enrol",
            person_id=person_id,
            after={"templates": len(sealed), "quality": round(quality, 3)},
        )


async def unrecorded(actor: Actor, action: str, **what: object) -> None:
    """``Acted`` of a rehearsal: what is taken back did not happen, and is not on record as if it had."""
    del actor, action, what

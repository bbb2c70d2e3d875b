"""Photographs on their way through an import: judged as any enrolment judges them, then sealed and stored.

Comparing with everybody is the import's own: see ``known_faces``.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from gateway.domain.accounts import Actor
from gateway.domain.enrolment import Mode
from gateway.domain.errors import EnrolmentRefused
from gateway.domain.ids import PersonId
from gateway.domain.people import PersonStatus
from gateway.ports import Sealer, TemplateStore
from gateway.services.enrolment import Judge, Look, Photo, PhotographsRefused
from gateway.services.enrolment.sealed import seal
from gateway.services.witness import Acted


@dataclass(frozen=True, slots=True)
class Judging:
    """``PhotoCheck`` by the rules of every enrolment."""

    judge: Judge
    keep_photographs: bool = False

    async def check(self, photo: Photo) -> Look:
        """Raises PhotographsRefused with all that is wrong."""
        look = await self.judge.photograph(photo)
        if not look.judged.usable:
            raise PhotographsRefused([look.judged])
        return look if self.keep_photographs else replace(look, picture=b"")


@dataclass(frozen=True, slots=True, kw_only=True)
class Templates:
    """``TemplateDesk``: replaces a person's templates, and kept photographs where the site keeps them."""

    store: TemplateStore
    sealer: Sealer
    judge: Judge
    acted: Acted
    keep_photographs: bool = False

    async def put(self, actor: Actor, person_id: PersonId, looks: Sequence[Look]) -> None:
        """Inside the import's transaction, which holds the roster's lock.

        Raises EnrolmentRefused (code "no_consent", "person_left", "landmarks"), InvalidInput.
        """
        model_id = self.judge.model_id
        standing = await self.store.standing(person_id, model_id)
        if standing.status is PersonStatus.LEFT:
            raise EnrolmentRefused("this person has left; nobody enrols them", code="person_left")
        if not standing.consented:
            raise EnrolmentRefused(
                "no consent is in force, so no template may be stored; give consent_version, "
                "consent_given_on and consent_how, or leave the photographs out",
                code="no_consent",
            )
        templates, photographs = await asyncio.to_thread(
            seal,
            self.sealer,
            model_id,
            person_id,
            standing.wrapped_key,
            looks,
            keep=self.keep_photographs,
        )

        async def told() -> None:
            await self.acted(
                actor,
                "templates.enrol",
                person_id=person_id,
                before={"templates": standing.templates, "photographs": standing.photographs},
                after={
                    "templates": len(templates),
                    "photographs": len(photographs),
                    "source": "import",
                    "mode": Mode.REPLACE.value,
                },
            )

        await self.store.store(
            person_id,
            mode=Mode.REPLACE,
            templates=templates,
            photographs=photographs,
            expected_version=standing.roster_version,
            witness=told,
        )

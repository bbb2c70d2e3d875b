"""What enrolment needs from outside: templates and photographs at rest, a camera, the record."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from gateway.domain.accounts import Actor
from gateway.domain.enrolment import (
    Migrant,
    Mode,
    PhotographEntry,
    SealedPhotograph,
    SealedTemplate,
    Standing,
)
from gateway.domain.events import Json
from gateway.domain.faces import Image
from gateway.domain.ids import ModelId, PersonId
from gateway.ports.walkup import ChangeWitness


class Acts(Protocol):
    """The record of what operators do."""

    async def acted(
        self,
        actor: Actor,
        action: str,
        *,
        person_id: PersonId | None = None,
        target: str = "",
        before: Mapping[str, Json] | None = None,
        after: Mapping[str, Json] | None = None,
    ) -> None:
        """Put an action on record; returns once it is. Raises JournalUnavailable: then it must not happen.

        ``before`` and ``after`` hold nothing personal and nothing biometric.
        """
        ...


class TemplateStore(Protocol):
    """Sealed templates of people who are there already. Never sees one in the clear."""

    async def standing(self, person_id: PersonId, model_id: ModelId) -> Standing:
        """What is known of a person, as of one version. Raises InvalidInput (code "no_such_person")."""
        ...

    async def store(
        self,
        person_id: PersonId,
        *,
        mode: Mode,
        templates: Sequence[SealedTemplate],
        photographs: Sequence[SealedPhotograph],
        expected_version: int,
        witness: ChangeWitness,
    ) -> None:
        """Replace the person's templates (of every model) and photographs, or add to them; all or nothing.

        Raises Rejected (code "roster_changed": not ``expected_version`` any more; "too_many_templates": more
        than ten of a model); InvalidInput (code "no_such_person", "no_consent"). Nothing changes then.
        """
        ...

    async def remove(self, person_id: PersonId, witness: ChangeWitness) -> tuple[int, int]:
        """Destroy all templates and photographs of a person; how many of each there were.

        Raises InvalidInput (code "no_such_person"). Without any the witness is not called.
        """
        ...


class PhotographStore(Protocol):
    """Kept photographs, sealed."""

    async def entries(self, person_id: PersonId) -> Sequence[PhotographEntry]:
        """A person's, oldest first. Raises InvalidInput (code "no_such_person")."""
        ...

    async def get(self, person_id: PersonId, photograph_id: str) -> tuple[SealedPhotograph, bytes]:
        """One, with its person's wrapped key. Raises InvalidInput (code "no_such_photograph")."""
        ...


class MigrationStore(Protocol):
    """Templates of a new model beside those of the old one."""

    async def migrants(self, model_id: ModelId) -> Sequence[Migrant]:
        """Everyone who has templates, with what there is of ``model_id`` and their photographs' ids."""
        ...

    async def put(
        self,
        model_id: ModelId,
        templates: Mapping[PersonId, Sequence[SealedTemplate]],
        witness: Callable[[Sequence[PersonId]], Awaitable[None]],
    ) -> Sequence[PersonId]:
        """Add the first templates of a model to several people at once; says to whom.

        Left out: who has some of that model by now, lost the photographs they came from, or whose consent
        ended.
        """
        ...

    async def finish(self, model_id: ModelId, witness: ChangeWitness) -> int:
        """Destroy the templates of all other models; returns how many.

        Raises Rejected (code "migration_incomplete") while somebody has templates, but none of this model.
        """
        ...


class Cameras(Protocol):
    """The site's cameras, for a look at who stands before one."""

    async def pictures(self, camera_id: str, seconds: float) -> Sequence[Image]:
        """A few pictures, evenly over so many seconds.

        Raises InvalidInput (code "no_such_camera"), CameraUnavailable.
        """
        ...

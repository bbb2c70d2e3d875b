"""``/api/v1/people/{person_id}/photographs``, ``…/enrolment``, ``…/templates`` and ``/api/v1/verify``."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from gateway.api.enrolment_answers import (
    EnrolledOut,
    PhotographsOut,
    VerifiedOut,
    enrolled_out,
    photograph_out,
    verified_out,
)
from gateway.api.picture_parts import MOST_BYTES, MOST_TOGETHER, MULTIPART, photographs, pictures
from gateway.api.problems import Refusal
from gateway.api.routes_people import READERS, WRITERS
from gateway.api.routing import Answer, Call, Route
from gateway.domain.enrolment import Mode
from gateway.domain.errors import InvalidInput, Unavailable
from gateway.domain.ids import PersonId
from gateway.ports import Cameras
from gateway.services.enrolment import Enrolment, Photo, Photographs
from gateway.services.verify import HIGHEST_FMR, LOWEST_FMR, Verify

TURN_S = 60.0
"""So long one waits for a turn, of which there are two …"""
MOST_S = 300.0
"""… and so long the caller may take over theirs: 100 MB at 2.7 Mbit/s."""
How = Literal["replace", "add"]
_MODE = Meta(description="replace: the person's templates and photographs; add: to them, ten at most.")
_REFUSALS = (
    "no_face",
    "two_faces",
    "too_small",
    "too_blurred",
    "too_dark",
    "too_bright",
    "low_contrast",
    "uneven_light",
    "pose",
    "cut_off",
    "landmarks",
    "eyes_covered",
    "face_covered",
    "photos_disagree",
    "already_enrolled",
    "person_left",
    "no_consent",
    "too_many_templates",
    "roster_changed",
)
_FILES = ("bad_photo", "no_photo", "too_many_photos", "busy")
_LOOKS = ("too_few_pictures", "not_live", "liveness_unknown", "no_such_access_point", "camera_unavailable")


class ModeQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What becomes of the templates there are."""

    mode: Annotated[How, _MODE] = "replace"


class LookIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A look at the camera of an access point."""

    access_point: Annotated[str, Meta(min_length=1, max_length=63)]
    mode: Annotated[How, _MODE] = "replace"


class VerifyQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Against whom, and how strictly."""

    person_id: Annotated[str, Meta(max_length=36, description="Somebody enrolled.")] | None = None
    false_match_rate: Annotated[float, Meta(ge=LOWEST_FMR, le=HIGHEST_FMR)] = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class Eye:
    """The camera of an access point, and whether a face before it must be live."""

    camera: str
    liveness: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """The use cases behind the routes, and what they see with."""

    enrolment: Enrolment
    photographs: Photographs
    verify: Verify
    cameras: Cameras
    eyes: Mapping[str, Eye]
    """By access point."""
    seconds: float
    """How long a camera is looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentRoutes:
    """Photographs, templates and the 1:1 check."""

    desk: Desk
    _uploads: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(2))
    """So many are in memory at once; the others wait in their sockets."""

    def table(self) -> tuple[Route, ...]:
        """The routes."""
        person = "/api/v1/people/{person_id}"
        write: dict[str, Any] = {"tag": "enrolment", "roles": WRITERS, "scope": "enrolment:write"}
        upload: dict[str, Any] = {"upload": MULTIPART, "most_bytes": MOST_TOGETHER, "most_s": MOST_S}
        return (
            Route(
                method="POST",
                path=f"{person}/photographs",
                handler=self.enrol,
                summary="Enrol a person with one to ten photographs",
                description=(
                    f"JPEG, PNG or WebP, up to {MOST_BYTES // 10**6} MB each. All are used or none; a "
                    "refusal says in `errors` all that is wrong with each. The person must have consented."
                ),
                query=ModeQuery,
                answer=EnrolledOut,
                status=201,
                errors=(*_REFUSALS, *_FILES, "no_such_person"),
                form={"photograph": "A photograph; send one to ten parts of this name."},
                creates=True,
                **upload,
                **write,
            ),
            Route(
                method="POST",
                path=f"{person}/enrolment",
                handler=self.look,
                summary="Enrol a person who stands before a door camera",
                body=LookIn,
                answer=EnrolledOut,
                status=201,
                errors=(*_REFUSALS, *_LOOKS, "no_such_person"),
                creates=True,
                **write,
            ),
            Route(
                method="GET",
                path=f"{person}/photographs",
                handler=self.list_photographs,
                summary="The kept photographs of a person",
                tag="enrolment",
                roles=READERS,
                scope="people:read",
                answer=PhotographsOut,
                errors=("no_such_person",),
            ),
            Route(
                method="GET",
                path=f"{person}/photographs/{{photograph_id}}",
                handler=self.read_photograph,
                summary="One photograph; the look is recorded",
                tag="enrolment",
                roles=WRITERS,
                scope="photographs:read",
                errors=("no_such_photograph", "no_such_person"),
                produces="image/*",
            ),
            Route(
                method="DELETE",
                path=f"{person}/templates",
                handler=self.remove,
                summary="Destroy a person's templates and photographs",
                errors=("no_such_person",),
                **write,
            ),
            Route(
                method="POST",
                path="/api/v1/verify",
                handler=self.check,
                summary="Is this the person on the document? Nothing is stored",
                description="Parts: document, and live unless person_id names somebody enrolled.",
                query=VerifyQuery,
                answer=VerifiedOut,
                errors=("bad_rate", "not_enrolled", "no_such_person", "not_two_to_compare"),
                form={"document": "The document's photograph.", "live": "A photograph taken now."},
                **upload,
                **write,
            ),
        )

    @contextlib.asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Raises Unavailable (code "busy")."""
        try:
            async with asyncio.timeout(TURN_S):
                await self._uploads.acquire()
        except TimeoutError:
            raise Unavailable("other pictures are being judged; try again in a moment", code="busy") from None
        try:
            yield
        finally:
            self._uploads.release()

    async def enrol(self, call: Call) -> EnrolledOut:
        """Photographs as they come."""
        mode = Mode(call.query.mode)
        async with self._turn():
            done = await self.desk.enrolment.photographs(call.actor, _person(call), photographs(call), mode)
        return enrolled_out(done)

    async def look(self, call: Call) -> EnrolledOut:
        """A few seconds of a camera."""
        given: LookIn = call.body
        eye = self.desk.eyes.get(given.access_point)
        if eye is None:
            raise InvalidInput("this gateway has no such access point", code="no_such_access_point")
        person_id = _person(call)
        await self.desk.enrolment.standing(person_id)  # nobody is filmed who has not consented
        async with self._turn():
            frames = await self.desk.cameras.pictures(eye.camera, self.desk.seconds)
            done = await self.desk.enrolment.frames(
                call.actor, person_id, frames, Mode(given.mode), liveness=eye.liveness
            )
        return enrolled_out(done)

    async def list_photographs(self, call: Call) -> PhotographsOut:
        """What there is, unopened."""
        found = await self.desk.photographs.entries(_person(call))
        return PhotographsOut(items=[photograph_out(one) for one in found])

    async def read_photograph(self, call: Call) -> Answer:
        """The picture itself; no cache keeps it."""
        opened = await self.desk.photographs.read(call.actor, _person(call), call.path["photograph_id"])
        return Answer(
            body=opened.data, media_type=opened.media_type, headers={"Cache-Control": "no-store, private"}
        )

    async def remove(self, call: Call) -> Answer:
        """Destroy; doing it again changes nothing."""
        await self.desk.enrolment.remove(call.actor, _person(call))
        return Answer()

    async def check(self, call: Call) -> VerifiedOut:
        """Two pictures, or one and somebody enrolled."""
        asked: VerifyQuery = call.query
        wanted = frozenset({"document"} if asked.person_id else {"document", "live"})
        async with self._turn():
            given: dict[str, Photo] = {}
            async for name, data in pictures(call, frozenset({"document", "live"})):
                if name in given:
                    raise Refusal(f"there are two parts called {name}; send one")
                given[name] = Photo(name=name, data=data)
            if set(given) != wanted:
                needed = " and ".join(sorted(wanted))
                raise Refusal(f"the upload needs {needed}, and nothing else", code="not_two_to_compare")
            rate = asked.false_match_rate
            if asked.person_id:
                done = await self.desk.verify.person(
                    call.actor, given["document"], PersonId(asked.person_id), false_match_rate=rate
                )
            else:
                done = await self.desk.verify.pictures(
                    call.actor, given["document"], given["live"], false_match_rate=rate
                )
        return verified_out(done)


def _person(call: Call) -> PersonId:
    return PersonId(call.path["person_id"])

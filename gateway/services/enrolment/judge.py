"""One picture: the one good face in it, or everything that is wrong with it."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.domain.enrolment import FacesInPicture, Judged, PhotoFace, Reason
from gateway.domain.errors import InvalidInput
from gateway.domain.faces import Embedding, Image
from gateway.domain.ids import ModelId
from gateway.ports import FaceAnalyser
from gateway.services.enrolment.photos import Photo
from gateway.services.enrolment.reasons import reasons_of

SECOND_FACE_SHARE = 0.4
"""A second face at least this wide, beside the largest, makes a photograph ambiguous."""
OF_A_PHOTOGRAPH = "not judged: a photograph is no live face; whoever hands it in answers for whom it shows"
NO_CONTEXT = "not judged: no liveness model, or the face too near to the camera"
JUDGED = "judged"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Look:
    """What one picture gave."""

    judged: Judged
    face: PhotoFace | None = field(default=None, repr=False)
    picture: bytes = field(default=b"", repr=False)
    """The encoded picture alone; what may be kept."""
    media_type: str = ""

    @property
    def embedding(self) -> Embedding | None:
        """Of the face, where there is one that can be used at all."""
        return self.face.embedding if self.face else None


@dataclass(slots=True)
class Judge:
    """Looks at one picture at a time, in a thread."""

    analyser: FaceAnalyser
    _turn: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))
    _engine: threading.Lock = field(default_factory=threading.Lock)
    """A call whose caller was cancelled still runs in its thread, and the analyser serves one at a time."""

    @property
    def model_id(self) -> ModelId:
        """Of the embeddings."""
        return self.analyser.model_id

    async def photograph(self, photo: Photo) -> Look:
        """Judge an encoded photograph. Raises nothing for a bad one: the reasons say it."""
        try:
            seen = await self._alone(lambda: self.analyser.look(photo.data))
        except InvalidInput as error:
            code = error.code if error.code != InvalidInput.code else "bad_photo"
            reason = Reason(code=code, message=str(error), of_file=True)
            return Look(judged=Judged(name=photo.name, reasons=(reason,), liveness=OF_A_PHOTOGRAPH))
        return judge(photo.name, seen, liveness=OF_A_PHOTOGRAPH)

    async def frame(self, name: str, picture: Image) -> Look:
        """Judge a camera's picture, and its liveness."""
        seen = await self._alone(lambda: self.analyser.frame(picture))
        live = seen.faces[0].live if seen.faces else None
        return judge(name, seen, liveness=NO_CONTEXT if live is None else JUDGED)

    async def _alone(self, work: Callable[[], FacesInPicture]) -> FacesInPicture:
        def locked() -> FacesInPicture:
            with self._engine:
                return work()

        async with self._turn:
            return await asyncio.to_thread(locked)


def judge(name: str, seen: FacesInPicture, *, liveness: str) -> Look:
    """All that speaks for and against the faces of one picture."""
    if not seen.faces:
        reason = Reason(
            code="no_face", message="no face found; use a sharp picture of the face from the front"
        )
        return Look(judged=Judged(name=name, reasons=(reason,), liveness=liveness))
    main, *others = seen.faces
    reasons, notes = list(reasons_of(main)), []
    rivals = [f for f in others if f.detection.box.w >= SECOND_FACE_SHARE * main.detection.box.w]
    if rivals:
        reasons.insert(
            0,
            Reason(
                code="two_faces",
                message=f"{1 + len(rivals)} faces found; the person must be alone in the picture",
            ),
        )
    elif others:
        notes.append(
            Reason(code="background_face", message="a small face in the background was left out of account")
        )
    judged = Judged(
        name=name,
        reasons=tuple(reasons),
        notes=tuple(notes),
        measures=main.measures,
        score=0.0 if reasons else main.score,
        live=main.live,
        liveness=liveness,
    )
    return Look(judged=judged, face=main, picture=seen.clean, media_type=seen.media_type)

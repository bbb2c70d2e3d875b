"""Enrolment: photographs become sealed templates, or a refusal that says what to do."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from gateway.domain.enrolment import PhotoFace, SealedTemplate
from gateway.domain.errors import EnrolmentRefused, InvalidInput, Rejected
from gateway.domain.faces import Embedding, QualityIssue
from gateway.domain.gallery import Gallery
from gateway.domain.ids import PersonId
from gateway.domain.people import Roster
from gateway.ports import FaceAnalyser, PeopleStore, Sealer
from gateway.services.roster import RosterSync, to_bytes

SECOND_FACE_SHARE = 0.4
"""A second face at least this wide, beside the largest, makes a photograph ambiguous."""
_TRIES = 3

_ADVICE = {
    QualityIssue.TOO_SMALL: ("too_small", "the face is too small ({d:.0f} px between the eyes); come closer"),
    QualityIssue.BLURRED: ("too_blurred", "the face is blurred; hold still, focus, and use more light"),
    QualityIssue.TOO_DARK: ("too_dark", "the face is too dark; use more light from the front"),
    QualityIssue.TOO_BRIGHT: ("too_bright", "the face is overexposed; use less direct light"),
    QualityIssue.POSE: ("pose", "the face is turned away; look straight into the camera"),
    QualityIssue.CUT_OFF: ("cut_off", "the face is cut off by the picture's edge; show the whole head"),
    QualityIssue.LANDMARKS: ("landmarks", "eyes, nose and mouth are not all seen; take off what covers them"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Photo:
    """An encoded photograph and what to call it in an error."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolled:
    """A finished enrolment."""

    person_id: PersonId
    number: str
    templates: int
    quality: float
    """0..1, of the worst photograph kept."""
    replaced: bool
    """The person was enrolled before; the templates are new."""


@dataclass(slots=True)
class Enrolment:
    """The use case behind ``facegate enrol``."""

    store: PeopleStore
    sealer: Sealer
    analyser: FaceAnalyser
    roster: RosterSync
    threshold: Callable[[int], float]
    """Cosine similarity from which two faces are one person's, for a gallery of so many templates."""

    async def enrol(
        self, *, number: str, name: str, photos: Sequence[Photo], consent: str, profile: str = "staff"
    ) -> Enrolled:
        """Enrol, or renew the templates of the person with this number. All photographs or none.

        Raises EnrolmentRefused (code says why), InvalidInput, DatabaseUnavailable.
        """
        _check_words(number, name, consent)
        if not photos:
            raise EnrolmentRefused(f"{number}: at least one photograph is needed", code="no_photo")
        faces = [await self.check(photo) for photo in photos]
        embeddings = [_embedding(photo, face) for photo, face in zip(photos, faces, strict=True)]
        for _ in range(_TRIES):
            roster = await self.roster.refresh()
            self._agree(photos, embeddings, roster)
            known = next((p for p in roster.people.values() if p.number == number), None)
            self._not_another(photos, embeddings, roster, known.person_id if known else None)
            try:
                return await self._store(
                    number=number,
                    name=name,
                    faces=faces,
                    embeddings=embeddings,
                    consent=consent,
                    profile=profile,
                    roster=roster,
                )
            except Rejected as error:
                if error.code != "roster_changed":
                    raise
        raise Rejected("the roster keeps changing under this enrolment; try again", code="roster_changed")

    async def check(self, photo: Photo) -> PhotoFace:
        """The face a photograph would be enrolled with. Raises EnrolmentRefused."""
        return await asyncio.to_thread(self._one_face, photo)

    def _one_face(self, photo: Photo) -> PhotoFace:
        """The one good face of a photograph."""
        try:
            faces = self.analyser.photograph(photo.data)
        except InvalidInput as error:
            raise EnrolmentRefused(f"{photo.name}: {error}", code="bad_photo") from error
        if not faces:
            raise EnrolmentRefused(
                f"{photo.name}: no face found; use a sharp picture of the face from the front", code="no_face"
            )
        main = faces[0]
        others = [f for f in faces[1:] if f.detection.box.w >= SECOND_FACE_SHARE * main.detection.box.w]
        if others:
            raise EnrolmentRefused(
                f"{photo.name}: {1 + len(others)} faces found; the person must be alone in the picture",
                code="two_faces",
            )
        if main.quality.issues:
            code, advice = _ADVICE[main.quality.issues[0]]
            raise EnrolmentRefused(
                f"{photo.name}: {advice.format(d=main.quality.eye_distance_px)}", code=code
            )
        return main

    def _agree(self, photos: Sequence[Photo], embeddings: Sequence[Embedding], roster: Roster) -> None:
        """Photographs of one person must agree with each other."""
        limit = self.threshold(max(1, len(roster.gallery.owner)))
        for photo, mine in zip(photos, embeddings, strict=True):
            others = [float(mine @ e) for e in embeddings if e is not mine]
            if others and max(others) < limit:
                raise EnrolmentRefused(
                    f"{photo.name}: does not look like the person in the other photographs; "
                    "use pictures of one person",
                    code="photos_disagree",
                )

    def _not_another(
        self, photos: Sequence[Photo], embeddings: Sequence[Embedding], roster: Roster, me: PersonId | None
    ) -> None:
        """The same face under another person is refused."""
        gallery: Gallery = roster.gallery
        limit = self.threshold(max(1, len(gallery.owner)))
        for photo, mine in zip(photos, embeddings, strict=True):
            match = gallery.search_except(mine, me)
            if match.person_id is not None and match.score >= limit:
                other = roster.people[match.person_id]
                raise EnrolmentRefused(
                    f"{photo.name}: this face is already enrolled as number {other.number}; "
                    "correct that record instead of adding another",
                    code="already_enrolled",
                )

    async def _store(
        self,
        *,
        number: str,
        name: str,
        faces: Sequence[PhotoFace],
        embeddings: Sequence[Embedding],
        consent: str,
        profile: str,
        roster: Roster,
    ) -> Enrolled:
        known = next((p for p in roster.people.values() if p.number == number), None)
        person_id = known.person_id if known else PersonId(str(uuid4()))
        wrapped = self.sealer.new_key(person_id)
        model_id = self.analyser.model_id
        sealed = [
            SealedTemplate(
                model_id=model_id,
                sealed=self.sealer.seal(wrapped, person_id, model_id, to_bytes(embedding)),
                quality=face.quality.score,
            )
            for face, embedding in zip(faces, embeddings, strict=True)
        ]
        await self.store.enrol(
            number=number,
            name=name,
            profile=profile,
            consent=consent,
            person_id=person_id,
            wrapped_key=wrapped,
            templates=sealed,
            expected_version=roster.version,
        )
        return Enrolled(
            person_id=person_id,
            number=number,
            templates=len(sealed),
            quality=min(f.quality.score for f in faces),
            replaced=known is not None,
        )


def _embedding(photo: Photo, face: PhotoFace) -> Embedding:
    if face.embedding is None:
        raise EnrolmentRefused(f"{photo.name}: the face cannot be aligned", code="landmarks")
    return face.embedding


def _check_words(number: str, name: str, consent: str) -> None:
    for what, value, limit in (("number", number, 64), ("name", name, 200), ("consent", consent, 2000)):
        if not value.strip() or len(value) > limit or not value.isprintable():
            raise InvalidInput(f"{what}: needs 1 to {limit} printable characters", code=f"bad_{what}")


def photo_files(paths: Sequence[Path]) -> list[Photo]:
    """Read photographs from disk. Raises EnrolmentRefused naming the file that cannot be read."""
    photos = []
    for path in paths:
        try:
            photos.append(Photo(name=path.name, data=path.read_bytes()))
        except OSError as error:
            raise EnrolmentRefused(f"{path}: cannot be read ({error.strerror})", code="bad_photo") from error
    return photos

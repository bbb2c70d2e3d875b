"""Enrolment's refusals, and that templates agree with what was checked."""

import pytest

from gateway.domain.enrolment import FacesInPicture, PhotoFace
from gateway.domain.errors import EnrolmentRefused, InvalidInput
from gateway.domain.faces import Box, Detection, QualityIssue
from gateway.domain.ids import ModelId
from gateway.services.enrolment import Enrolment, Photo
from gateway.services.roster import RosterSync, from_bytes, to_bytes
from tests.fakes.acts import FakeActs
from tests.fakes.clock import FakeClock
from tests.fakes.faces import MODEL, axis, like, quality
from tests.fakes.people_store import FakePeopleStore
from tests.fakes.sealer import FakeSealer
from tests.fakes.template_store import FakeTemplateStore


def shown(embedding, *issues: QualityIssue, width: float = 100) -> PhotoFace:
    marks = ((1.0, 1.0),) * 5
    return PhotoFace(
        detection=Detection(Box(0, 0, width, width), marks, 0.9),
        quality=quality(0.8, *issues),
        embedding=embedding,
    )


class Analyser:
    """Gives each photograph the faces its bytes name."""

    model_id: ModelId = MODEL

    def __init__(self, faces):
        self.faces = faces

    def look(self, data: bytes):
        found = self.faces[data.decode()]
        if isinstance(found, Exception):
            raise found
        return FacesInPicture(faces=tuple(found), clean=data, media_type="image/jpeg")


@pytest.fixture
def desk():
    faces = {
        "anna": [shown(axis(0))],
        "anna-again": [shown(like(0, 0.9))],
        "bert": [shown(axis(1))],
        "nobody": [],
        "pair": [shown(axis(0)), shown(axis(1), width=80)],
        "background": [shown(axis(0)), shown(axis(1), width=20)],
        "tiny": [shown(axis(0), QualityIssue.TOO_SMALL)],
        "blurred": [shown(axis(0), QualityIssue.BLURRED)],
        "broken": InvalidInput("not a picture"),
    }
    store, sealer = FakePeopleStore(), FakeSealer()
    return Enrolment(
        store=store,
        templates=FakeTemplateStore(store),
        sealer=sealer,
        analyser=Analyser(faces),
        roster=RosterSync(store, sealer, MODEL, FakeClock()),
        threshold=lambda _n: 0.5,
        record=FakeActs(),
    )


async def enrol(desk: Enrolment, number: str, *photos: str):
    return await desk.enrol(
        number=number,
        name=f"N {number}",
        photos=[Photo(name=p, data=p.encode()) for p in photos],
        consent="paper",
    )


async def test_a_good_photograph_becomes_a_template_that_is_found_again(desk: Enrolment):
    done = await enrol(desk, "1", "anna", "anna-again")
    assert (done.templates, done.replaced) == (2, False)
    roster = await desk.roster.refresh()
    assert roster.gallery.search(axis(0)).person_id == done.person_id
    assert roster.people[done.person_id].consented


@pytest.mark.parametrize(
    ("photo", "code"),
    [
        ("nobody", "no_face"),
        ("pair", "two_faces"),
        ("tiny", "too_small"),
        ("blurred", "too_blurred"),
        ("broken", "bad_photo"),
    ],
)
async def test_refusals_say_what_is_wrong_and_store_nothing(desk: Enrolment, photo: str, code: str):
    with pytest.raises(EnrolmentRefused) as refused:
        await enrol(desk, "1", "anna", photo)
    assert refused.value.code == code
    assert photo in str(refused.value)
    assert not (await desk.roster.refresh()).people


async def test_a_small_face_in_the_background_does_not_disturb(desk: Enrolment):
    assert (await enrol(desk, "1", "background")).templates == 1


async def test_the_same_face_under_another_number_is_refused(desk: Enrolment):
    await enrol(desk, "1", "anna")
    with pytest.raises(EnrolmentRefused) as refused:
        await enrol(desk, "2", "anna-again")
    assert refused.value.code == "already_enrolled"
    assert "number 1" in str(refused.value)


async def test_photographs_of_two_people_are_refused(desk: Enrolment):
    with pytest.raises(EnrolmentRefused) as refused:
        await enrol(desk, "1", "anna", "bert")
    assert refused.value.code == "photos_disagree"


async def test_enrolling_again_replaces_the_templates(desk: Enrolment):
    first = await enrol(desk, "1", "anna")
    again = await enrol(desk, "1", "anna-again")
    assert again.replaced
    assert again.person_id == first.person_id
    assert len((await desk.roster.refresh()).gallery.owner) == 1


@pytest.mark.parametrize(
    ("number", "code"), [("", "bad_number"), ("x" * 65, "bad_number"), ("a\n", "bad_number")]
)
async def test_bad_words_are_refused(desk: Enrolment, number: str, code: str):
    with pytest.raises(InvalidInput) as refused:
        await enrol(desk, number, "anna")
    assert refused.value.code == code


def test_template_bytes_survive():
    assert float(from_bytes(to_bytes(axis(3))) @ axis(3)) == pytest.approx(1)

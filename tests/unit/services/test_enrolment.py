"""Enrolment's refusals, and that templates agree with what was checked."""

import asyncio
import threading
import time
from dataclasses import replace
from uuid import uuid4

import numpy as np
import pytest
from hypothesis import given as given_that
from hypothesis import strategies as st

from gateway.domain.enrolment import (
    Component,
    FacesInPicture,
    Measure,
    Mode,
    PhotoFace,
    Purpose,
    StoredPerson,
    unified_score,
)
from gateway.domain.errors import EnrolmentRefused, InvalidInput, JournalUnavailable, Rejected
from gateway.domain.faces import Box, Detection, QualityIssue
from gateway.domain.ids import ModelId, PersonId
from gateway.domain.people import PersonStatus
from gateway.services.enrolment import Enrolment, Photo, Photographs, PhotographsRefused, several
from gateway.services.enrolment.compare import strangers_among
from gateway.services.enrolment.judge import judge
from gateway.services.roster import RosterSync
from gateway.services.roster_opening import from_bytes, to_bytes
from tests.fakes.acts import HR, FakeActs
from tests.fakes.clock import FakeClock
from tests.fakes.faces import MODEL, axis, like, quality
from tests.fakes.people_store import FakePeopleStore
from tests.fakes.sealer import FakeSealer
from tests.fakes.template_store import FakeTemplateStore

SLOW_S = 0.05


def shown(
    embedding, *issues: QualityIssue, width: float = 100, live: float | None = 0.95, measures=()
) -> PhotoFace:
    marks = ((1.0, 1.0),) * 5
    return PhotoFace(
        detection=Detection(Box(0, 0, width, width), marks, 0.9),
        quality=quality(0.8, *issues),
        embedding=embedding,
        measures=measures,
        live=live,
    )


def frame_of(name: str):
    """A camera's picture that the analyser below recognises by its bytes."""
    return np.frombuffer(name.encode().ljust(32), np.uint8).reshape(1, -1)


COVERED = (
    Measure(component=Component.EYES_VISIBLE, value=0.01, score=0),
    Measure(component=Component.YAW, value=-31.2, score=0),
    Measure(component=Component.SHARPNESS, value=200, score=0.6),
)


class Analyser:
    """Gives each photograph the faces its bytes name."""

    model_id: ModelId = MODEL

    def __init__(self, faces):
        self.faces = faces
        self.looked = self.at_once = self.most_at_once = 0
        self._count = threading.Lock()

    def look(self, data: bytes):
        with self._count:
            self.looked += 1
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        if data == b"slow":
            time.sleep(SLOW_S)
        with self._count:
            self.at_once -= 1
        found = self.faces[data.decode()]
        if isinstance(found, Exception):
            raise found
        return FacesInPicture(
            faces=tuple(replace(f, live=None) for f in found), clean=data, media_type="image/jpeg"
        )

    def frame(self, picture):
        data = picture.tobytes().strip()
        seen = self.look(data)
        return replace(seen, faces=tuple(self.faces[data.decode()]))


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
        "dark-and-small": [shown(axis(0), QualityIssue.TOO_SMALL, QualityIssue.TOO_DARK)],
        "covered": [shown(axis(0), measures=COVERED)],
        "slow": [shown(axis(0))],
        "left": [shown(like(0, 0.6, 2))],
        "middle": [shown(axis(0))],
        "right": [shown(like(0, 0.6, 3))],
        "print": [shown(axis(0), live=0.2)],
        "near": [shown(axis(0), live=None)],
        "broken": InvalidInput("not a picture"),
        "bomb": InvalidInput("too large", code="picture_too_large"),
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


async def someone(desk: Enrolment, *, consented: bool = True, status: PersonStatus = PersonStatus.ACTIVE):
    """A person HR made, without a template."""
    person_id = PersonId(str(uuid4()))
    desk.store.people[person_id] = StoredPerson(
        person_id=person_id,
        number=f"E-{person_id[:4]}",
        name="Somebody",
        status=status,
        consented=consented,
        access_points=frozenset(),
        wrapped_key=desk.sealer.new_key(person_id),
        templates=(),
    )
    desk.store.held[person_id] = set()
    desk.store.version += 1
    return person_id


def given(*names: str):
    return several([Photo(name=n, data=n.encode()) for n in names])


async def gallery(desk: Enrolment):
    return (await desk.roster.refresh()).gallery


class TestReasons:
    async def test_every_photograph_says_everything_that_is_wrong_with_it(self, desk: Enrolment):
        with pytest.raises(PhotographsRefused) as refused:
            await enrol(desk, "1", "anna", "dark-and-small", "nobody", "covered", "broken")
        told = [[r.code for r in one.reasons] for one in refused.value.judged]
        assert told == [[], ["too_small", "too_dark"], ["no_face"], ["eyes_covered", "pose"], ["bad_photo"]]
        assert refused.value.code == "too_small"
        for name in ("dark-and-small", "nobody", "covered", "broken"):
            assert f"{name}: " in str(refused.value)

    async def test_a_file_that_is_no_picture_keeps_its_own_code(self, desk: Enrolment):
        with pytest.raises(PhotographsRefused) as refused:
            await enrol(desk, "1", "bomb")
        assert refused.value.code == "bad_photo"
        assert [r.code for r in refused.value.judged[0].reasons] == ["picture_too_large"]

    async def test_a_covered_face_names_its_component_and_the_angle_is_told(self, desk: Enrolment):
        with pytest.raises(PhotographsRefused) as refused:
            await enrol(desk, "1", "covered")
        eyes, pose = refused.value.judged[0].reasons
        assert eyes.component is Component.EYES_VISIBLE
        assert "31°" in pose.message

    async def test_a_photograph_is_not_asked_to_be_alive_and_says_why(self, desk: Enrolment):
        done = await enrol(desk, "1", "anna")
        assert "photograph" in done.photographs[0].liveness
        assert done.photographs[0].live is None

    async def test_a_background_face_is_noted(self, desk: Enrolment):
        done = await enrol(desk, "1", "background")
        assert [n.code for n in done.photographs[0].notes] == ["background_face"]


class TestTwoPeople:
    async def test_each_that_disagrees_is_named_and_the_others_are_not(self, desk: Enrolment):
        with pytest.raises(PhotographsRefused) as refused:
            await enrol(desk, "1", "anna", "anna-again", "bert")
        assert [bool(one.reasons) for one in refused.value.judged] == [False, False, True]

    async def test_agreement_is_between_every_two(self, desk: Enrolment):
        """Both ends resemble the middle, and not each other."""
        with pytest.raises(PhotographsRefused) as refused:
            await enrol(desk, "1", "left", "middle", "right")
        assert refused.value.code == "photos_disagree"

    async def test_the_same_face_is_refused_by_id_as_by_number(self, desk: Enrolment):
        await enrol(desk, "1", "anna")
        other = await someone(desk)
        for mode in Mode:
            with pytest.raises(PhotographsRefused) as refused:
                await desk.photographs(HR, other, given("anna-again"), mode)
            assert refused.value.code == "already_enrolled"
        with pytest.raises(PhotographsRefused):
            await desk.frames(HR, other, [frame_of("anna")] * 3)
        assert len((await gallery(desk)).owner) == 1

    async def test_how_much_room_there_is_to_the_next_person_is_told(self, desk: Enrolment):
        first = await enrol(desk, "1", "anna", "anna-again")
        assert first.agreement == pytest.approx(0.9)
        assert first.room is None
        second = await enrol(desk, "2", "bert")
        assert second.agreement is None
        assert second.room == pytest.approx(0.5)


class TestSomebodyKnown:
    async def test_keeps_their_key(self, desk: Enrolment):
        who = await someone(desk)
        key = desk.store.people[who].wrapped_key
        await desk.photographs(HR, who, given("anna"))
        await desk.photographs(HR, who, given("anna-again"))
        assert desk.store.people[who].wrapped_key == key
        assert (await gallery(desk)).search(axis(0)).person_id == who

    async def test_enrolled_again_by_number_keeps_it_too(self, desk: Enrolment):
        first = await enrol(desk, "1", "anna")
        key = desk.store.people[first.person_id].wrapped_key
        await enrol(desk, "1", "anna-again")
        assert desk.store.people[first.person_id].wrapped_key == key
        assert len((await gallery(desk)).owner) == 1

    async def test_replaces_or_adds(self, desk: Enrolment):
        who = await someone(desk)
        await desk.photographs(HR, who, given("anna"))
        added = await desk.photographs(HR, who, given("anna-again"), Mode.ADD)
        assert (added.replaced, added.templates, added.like_before) == (False, 1, True)
        assert len((await gallery(desk)).owner) == 2
        again = await desk.photographs(HR, who, given("anna"))
        assert (again.replaced, again.like_before) == (True, True)
        assert len((await gallery(desk)).owner) == 1

    async def test_another_face_cannot_be_added_but_a_wrong_one_replaced_and_that_is_told(self, desk):
        who = await someone(desk)
        await desk.photographs(HR, who, given("anna"))
        with pytest.raises(PhotographsRefused) as refused:
            await desk.photographs(HR, who, given("bert"), Mode.ADD)
        assert refused.value.code == "photos_disagree"
        done = await desk.photographs(HR, who, given("bert"))
        assert done.like_before is False
        assert desk.record.told[-1]["after"]["like_before"] is False

    async def test_never_more_than_ten(self, desk: Enrolment):
        who = await someone(desk)
        with pytest.raises(EnrolmentRefused) as refused:
            await desk.photographs(HR, who, given(*["anna"] * 11))
        assert refused.value.code == "too_many_photos"
        await desk.photographs(HR, who, given(*["anna"] * 10))
        with pytest.raises(Rejected) as full:
            await desk.photographs(HR, who, given("anna"), Mode.ADD)
        assert full.value.code == "too_many_templates"

    async def test_no_photograph_is_no_enrolment(self, desk: Enrolment):
        with pytest.raises(EnrolmentRefused) as refused:
            await desk.photographs(HR, await someone(desk), given())
        assert refused.value.code == "no_photo"

    async def test_nobody_is_enrolled_who_is_not_there_or_has_left(self, desk: Enrolment):
        with pytest.raises(InvalidInput) as unknown:
            await desk.photographs(HR, PersonId(str(uuid4())), given("anna"))
        assert unknown.value.code == "no_such_person"
        left = await someone(desk, status=PersonStatus.LEFT)
        with pytest.raises(EnrolmentRefused) as refused:
            await desk.photographs(HR, left, given("anna"))
        assert refused.value.code == "person_left"

    async def test_a_roster_that_moves_on_is_compared_again(self, desk: Enrolment):
        """Somebody is enrolled with the same face between the comparison and the writing."""
        who, racer = await someone(desk), await someone(desk)
        store, late = desk.templates.store, []

        async def overtaken(person_id, **facts):
            if not late:
                late.append(1)
                await desk.photographs(HR, racer, given("anna"))
            await store(person_id, **facts)

        desk.templates.store = overtaken
        with pytest.raises(PhotographsRefused) as refused:
            await desk.photographs(HR, who, given("anna"))
        assert refused.value.code == "already_enrolled"


class TestConsent:
    """No template and no photograph without one in force, on every path."""

    async def test_no_picture_is_even_looked_at(self, desk: Enrolment):
        desk.keep_photographs = True
        who = await someone(desk, consented=False)

        async def unread():
            pytest.fail("a photograph was read of somebody who has not consented")
            yield

        for attempt in (
            desk.photographs(HR, who, unread()),
            desk.photographs(HR, who, unread(), Mode.ADD),
            desk.frames(HR, who, [frame_of("anna")] * 3),
        ):
            with pytest.raises(EnrolmentRefused) as refused:
                await attempt
            assert refused.value.code == "no_consent"
        assert desk.analyser.looked == 0
        assert not desk.store.people[who].templates
        assert not desk.store.photographs.get(who)

    async def test_one_withdrawn_while_the_pictures_are_judged_counts(self, desk: Enrolment):
        who = await someone(desk)

        async def withdrawn_meanwhile():
            yield Photo(name="anna", data=b"anna")
            desk.store.people[who] = replace(desk.store.people[who], consented=False)
            desk.store.version += 1

        with pytest.raises(EnrolmentRefused) as refused:
            await desk.photographs(HR, who, withdrawn_meanwhile())
        assert refused.value.code == "no_consent"
        assert not desk.store.people[who].templates


class TestKept:
    async def test_nothing_is_kept_unless_the_site_says_so(self, desk: Enrolment):
        who = await someone(desk)
        done = await desk.photographs(HR, who, given("anna"))
        assert not done.kept
        assert not desk.store.photographs[who]

    async def test_what_is_kept_is_sealed_and_opened_on_record_alone(self, desk: Enrolment):
        desk.keep_photographs = True
        who = await someone(desk)
        assert (await desk.photographs(HR, who, given("anna", "anna-again"))).kept
        shelf = Photographs(desk.templates, desk.sealer, desk.record)
        entries = await shelf.entries(who)
        assert [e.models for e in entries] == [(MODEL,), (MODEL,)]
        assert b"anna" not in desk.store.photographs[who][0].sealed
        opened = await shelf.read(HR, who, entries[1].photograph_id)
        assert (opened.data, opened.media_type) == (b"anna-again", "image/jpeg")
        told = desk.record.told[-1]
        assert (told["action"], told["target"]) == ("photograph.read", entries[1].photograph_id)
        desk.record.away = True
        with pytest.raises(JournalUnavailable):
            await shelf.read(HR, who, entries[1].photograph_id)

    async def test_the_first_enrolment_keeps_them_as_well(self, desk: Enrolment):
        desk.keep_photographs = True
        done = await enrol(desk, "1", "anna")
        (kept,) = desk.store.photographs[done.person_id]
        person = desk.store.people[done.person_id]
        plain = desk.sealer.open_as(
            person.wrapped_key, done.person_id, Purpose.PHOTOGRAPH, kept.photograph_id, kept.sealed
        )
        assert plain == b"anna"

    async def test_removing_templates_removes_them(self, desk: Enrolment):
        desk.keep_photographs = True
        who = await someone(desk)
        await desk.photographs(HR, who, given("anna"))
        assert await desk.remove(HR, who) == (1, 1)
        assert not desk.store.photographs[who]
        assert desk.record.actions[-1] == "templates.remove"
        before = len(desk.record.told)
        assert await desk.remove(HR, who) == (0, 0)
        assert len(desk.record.told) == before

    def test_no_picture_and_no_embedding_is_in_what_a_trace_would_show(self):
        secret = b"\xff\xd8 pixels"
        look = judge(
            "x", FacesInPicture(faces=(shown(axis(0)),), clean=secret, media_type="image/jpeg"), liveness=""
        )
        for thing in (look, Photo(name="x", data=secret), look.face):
            assert "pixels" not in repr(thing)
            assert "array" not in repr(thing)


class TestRecord:
    async def test_every_change_is_told_with_counts_alone(self, desk: Enrolment):
        desk.keep_photographs = True
        who = await someone(desk)
        await desk.photographs(HR, who, given("anna"))
        await desk.photographs(HR, who, given("anna-again"), Mode.ADD)
        first, second = desk.record.told
        assert (first["actor"], first["action"], first["person"]) == (HR.id, "templates.enrol", who)
        assert first["before"] == {"templates": 0, "photographs": 0}
        assert second["before"] == {"templates": 1, "photographs": 1}
        assert second["after"] == {
            "templates": 2,
            "photographs": 2,
            "source": "photographs",
            "mode": "add",
            "like_before": True,
        }

    async def test_what_cannot_be_recorded_does_not_happen(self, desk: Enrolment):
        who = await someone(desk)
        desk.record.away = True
        with pytest.raises(JournalUnavailable):
            await desk.photographs(HR, who, given("anna"))
        with pytest.raises(JournalUnavailable):
            await enrol(desk, "1", "anna")
        assert not desk.store.people[who].templates
        assert list(desk.store.people) == [who]


class TestFrames:
    async def test_the_best_of_a_look_become_templates(self, desk: Enrolment):
        who = await someone(desk)
        done = await desk.frames(
            HR, who, [frame_of(n) for n in ("anna", "nobody", "anna-again", "anna", "tiny")]
        )
        assert done.templates == 3
        assert desk.record.told[-1]["after"]["source"] == "camera"
        assert all(one.liveness == "judged" for one in done.photographs)

    @pytest.mark.parametrize(
        ("pictures", "code"),
        [
            ([], "too_few_pictures"),
            (["anna", "anna"], "too_few_pictures"),
            (["nobody"] * 5, "no_face"),
            (["tiny", "tiny", "nobody", "anna"], "too_small"),
            (["pair"] * 5, "two_faces"),
            (["anna", "anna", "anna", "bert"], "photos_disagree"),
            (["print"] * 5, "not_live"),
            (["near"] * 5, "liveness_unknown"),
            (["anna", "anna", "near"], "liveness_unknown"),
        ],
    )
    async def test_refusals(self, desk: Enrolment, pictures: list[str], code: str):
        who = await someone(desk)
        with pytest.raises(EnrolmentRefused) as refused:
            await desk.frames(HR, who, [frame_of(n) for n in pictures])
        assert refused.value.code == code
        assert not desk.store.people[who].templates

    async def test_where_the_access_point_asks_for_no_liveness_neither_does_this(self, desk: Enrolment):
        who = await someone(desk)
        assert (await desk.frames(HR, who, [frame_of("near")] * 3, liveness=False)).templates == 3


async def test_two_pictures_are_never_looked_at_at_once(desk: Enrolment):
    who = await someone(desk)
    task = asyncio.create_task(desk.photographs(HR, who, given("slow", "slow")))
    others = [asyncio.create_task(desk.check(Photo(name="anna", data=b"anna"))) for _ in range(4)]
    await asyncio.sleep(0.03)
    task.cancel()
    await asyncio.gather(*others)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert desk.analyser.most_at_once == 1


def test_one_figure_for_all_components():
    def all_at(*scores: float):
        return [Measure(component=Component.YAW, value=0, score=s) for s in scores]

    assert unified_score(all_at(1, 1, 1)) == 1
    assert unified_score(all_at(1, 1, 0)) == 0
    assert 0.2 < unified_score(all_at(0.1, 1, 1, 1)) < 0.35
    assert unified_score([]) == 0


@given_that(
    st.lists(st.integers(0, 3), min_size=1, max_size=10),
)
def test_what_is_left_out_leaves_the_rest_agreeing(people: list[int]):
    """And with one clear majority nobody of it is left out."""
    embeddings = [axis(p) for p in people]
    odd = strangers_among(embeddings, 0.5)
    rest = {p for i, p in enumerate(people) if i not in odd}
    assert len(rest) <= 1
    common = max(set(people), key=people.count)
    if people.count(common) * 2 > len(people):
        assert rest == {common}

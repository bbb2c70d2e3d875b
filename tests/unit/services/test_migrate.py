"""A new model for everybody: resumable, nothing half-written, the old templates to the end."""

from uuid import uuid4

import pytest

from gateway.domain.enrolment import FacesInPicture, PhotoFace, Purpose, SealedPhotograph, SealedTemplate
from gateway.domain.errors import DatabaseUnavailable, InvalidInput, JournalUnavailable, Rejected
from gateway.domain.ids import ModelId, PersonId
from gateway.services.enrolment.migrate import BATCH, Migration
from gateway.services.roster import RosterSync
from gateway.services.roster_opening import to_bytes
from tests.fakes.acts import HR, FakeActs
from tests.fakes.clock import FakeClock
from tests.fakes.faces import MODEL, axis, quality
from tests.fakes.people_store import FakePeopleStore
from tests.fakes.sealer import FakeSealer
from tests.fakes.template_store import FakeTemplateStore
from tests.fakes.vision import detection

NEW = ModelId("test:1")


class NewModel:
    """Sees person ``n`` in the bytes "n"; nobody in "-"; refuses "!"."""

    model_id = NEW

    def __init__(self):
        self.seen: list[bytes] = []

    def photograph(self, data: bytes):
        self.seen.append(data)
        if data == b"!":
            raise InvalidInput("not a picture", code="damaged")
        if data == b"-":
            return []
        face = PhotoFace(
            detection=detection(0, 0, 100), quality=quality(), embedding=axis(int(data)), live=None
        )
        return [face]

    def look(self, data: bytes) -> FacesInPicture:
        raise NotImplementedError

    frame = look


class Site:
    def __init__(self):
        self.people, self.sealer, self.acts, self.model = (
            FakePeopleStore(),
            FakeSealer(),
            FakeActs(),
            NewModel(),
        )
        self.templates = FakeTemplateStore(self.people)
        self.migration = Migration(
            store=self.templates,
            photographs=self.templates,
            sealer=self.sealer,
            analyser=self.model,
            threshold=lambda _n: 0.5,
            record=self.acts,
        )

    async def enrolled(self, old: int, *pictures: str) -> PersonId:
        """Somebody with an old template and these kept photographs."""
        who = PersonId(str(uuid4()))
        key = self.sealer.new_key(who)
        kept = []
        for text in pictures:
            number = str(uuid4())
            box = self.sealer.seal_as(key, who, Purpose.PHOTOGRAPH, number, text.encode())
            kept.append(
                SealedPhotograph(photograph_id=number, sealed=box, media_type="image/png", quality=0.7)
            )
        sealed = self.sealer.seal(key, who, MODEL, to_bytes(axis(old)))
        await self.people.enrol(
            number=f"E{len(self.people.people)}",
            name="N",
            profile="staff",
            consent="paper",
            person_id=who,
            wrapped_key=key,
            templates=[SealedTemplate(model_id=MODEL, sealed=sealed, quality=0.7)],
            photographs=kept,
            expected_version=self.people.version,
        )
        return who

    async def gallery(self, model: ModelId):
        return (await RosterSync(self.people, self.sealer, model, FakeClock()).refresh()).gallery


@pytest.fixture
def site() -> Site:
    return Site()


async def test_everybody_with_photographs_is_found_by_the_new_model_and_still_by_the_old(site: Site):
    people = [await site.enrolled(i, str(i), str(i)) for i in range(3)]
    steps = []
    done = await site.migration.run(HR, lambda at, of: steps.append((at, of)))
    assert (done.migrated, done.already, done.complete) == (3, 0, True)
    assert steps == [(1, 3), (2, 3), (3, 3)]
    for model in (MODEL, NEW):
        gallery = await site.gallery(model)
        assert [gallery.search(axis(i)).person_id for i in range(3)] == people
    assert site.acts.actions == ["templates.migrate"] * 3
    assert len((await site.gallery(NEW)).owner) == 6


async def test_who_needs_an_appointment_is_named_with_the_reason(site: Site):
    await site.enrolled(0, "0")
    expected = {
        await site.enrolled(1): "no_photograph",
        await site.enrolled(2, "-"): "no_face",
        await site.enrolled(3, "!"): "no_face",
        await site.enrolled(4, "4", "5"): "photos_disagree",
        await site.enrolled(6, "0"): "already_enrolled",
    }
    broken = await site.enrolled(7, "7")
    site.sealer._boxes.pop(site.people.photographs[broken][0].sealed)
    expected[broken] = "seal_broken"
    done = await site.migration.run(HR)
    assert {a.person_id: a.why for a in done.appointments} == expected
    assert done.migrated == 1
    assert not done.complete
    with pytest.raises(Rejected) as refused:
        await site.migration.finish(HR)
    assert refused.value.code == "migration_incomplete"
    assert len(await site.gallery(MODEL)) == 7


async def test_it_goes_on_where_it_was_stopped(site: Site):
    for _ in range(BATCH + 3):
        await site.enrolled(0, "-")  # nobody found: they fill no batch
    people = [await site.enrolled(i, str(i)) for i in range(5)]
    put, calls = site.templates.put, []

    async def torn(model_id, templates, witness):
        calls.append(len(templates))
        raise DatabaseUnavailable("the database went away")

    site.templates.put = torn
    with pytest.raises(DatabaseUnavailable):
        await site.migration.run(HR)
    assert calls == [5]
    assert len(await site.gallery(NEW)) == 0
    site.templates.put = put
    assert (await site.migration.run(HR)).migrated == 5
    seen = len(site.model.seen)
    again = await site.migration.run(HR)
    assert (again.migrated, again.already) == (0, 5)
    assert len(site.model.seen) == seen + BATCH + 3
    assert sorted(p for p in (await site.gallery(NEW)).people) == sorted(people)


async def test_many_are_written_a_few_at_a_time(site: Site):
    """Not one by one, or every gateway would read its roster anew for each."""
    for i in range(12):
        await site.enrolled(i, str(i))
    before = site.people.version
    site.migration = Migration(
        store=site.templates,
        photographs=site.templates,
        sealer=site.sealer,
        analyser=site.model,
        threshold=lambda _n: 1.1,  # all of them are different people
        record=site.acts,
    )
    for _ in range(2 * BATCH):
        await site.enrolled(1, "1")
    calls = []
    put = site.templates.put

    async def counted(model_id, templates, witness):
        calls.append(len(templates))
        return await put(model_id, templates, witness)

    site.templates.put = counted
    done = await site.migration.run(HR)
    assert done.migrated == 12 + 2 * BATCH
    assert calls == [BATCH, BATCH, 12]
    assert site.people.version > before


async def test_one_face_under_two_people_is_found_on_the_second_run_too(site: Site):
    await site.enrolled(0, "0")
    await site.migration.run(HR)
    await site.enrolled(1, "0")
    (appointment,) = (await site.migration.run(HR)).appointments
    assert appointment.why == "already_enrolled"


async def test_who_changed_meanwhile_is_left_for_the_next_run(site: Site):
    who = await site.enrolled(0, "0")
    put = site.templates.put

    async def withdrawn(model_id, templates, witness):
        site.people.photographs[who] = []
        return await put(model_id, templates, witness)

    site.templates.put = withdrawn
    (appointment,) = (await site.migration.run(HR)).appointments
    assert (appointment.person_id, appointment.why) == (who, "changed")
    assert site.acts.told == []


async def test_what_cannot_be_recorded_does_not_happen(site: Site):
    await site.enrolled(0, "0")
    site.acts.away = True
    with pytest.raises(JournalUnavailable):
        await site.migration.run(HR)
    assert len(await site.gallery(NEW)) == 0


async def test_the_old_templates_go_at_the_end(site: Site):
    who = await site.enrolled(0, "0")
    await site.migration.run(HR)
    assert await site.migration.finish(HR) == 1
    assert (await site.gallery(NEW)).people == (who,)
    assert len(await site.gallery(MODEL)) == 0
    assert site.acts.actions[-1] == "models.migration_finished"

"""The 1:1 check: score, threshold, verdict and quality of both; nothing stored."""

from dataclasses import replace

import pytest

from gateway.domain.enrolment import FacesInPicture
from gateway.domain.errors import InvalidInput, JournalUnavailable
from gateway.domain.faces import QualityIssue
from gateway.domain.ids import PersonId
from gateway.services.enrolment import Photo
from gateway.services.enrolment.judge import Judge
from gateway.services.roster import RosterSync
from gateway.services.verify import Verdict, Verify
from tests.fakes.acts import HR, FakeActs
from tests.fakes.clock import FakeClock
from tests.fakes.faces import MODEL, axis, like, quality
from tests.fakes.people_store import FakePeopleStore
from tests.fakes.sealer import FakeSealer
from tests.fakes.template_store import FakeTemplateStore
from tests.unit.services.test_enrolment import Analyser, desk, enrol, shown  # noqa: F401

FACES = {
    "anna": [shown(axis(0))],
    "anna-card": [shown(like(0, 0.6))],
    "anna-poor": [shown(like(0, 0.3), QualityIssue.BLURRED)],
    "anna-poor-but-like": [shown(like(0, 0.8), QualityIssue.BLURRED)],
    "anna-with-ghost": [shown(axis(0)), shown(axis(0), width=60)],
    "speck": [replace(shown(axis(0)), quality=replace(quality(), eye_distance_px=9))],
    "bert": [shown(axis(1))],
    "turned": [shown(axis(0), QualityIssue.POSE)],
    "nobody": [],
    "broken": InvalidInput("not a picture", code="damaged"),
}


@pytest.fixture
def verify() -> Verify:
    store, sealer = FakePeopleStore(), FakeSealer()
    return Verify(
        judge=Judge(Analyser(FACES)),
        templates=FakeTemplateStore(store),
        roster=RosterSync(store, sealer, MODEL, FakeClock()),
        threshold=lambda rate: 0.5 if rate >= 1e-3 else 0.7,
        record=FakeActs(),
    )


def photo(name: str) -> Photo:
    return Photo(name=name, data=name.encode())


@pytest.mark.parametrize(
    ("document", "live", "verdict"),
    [
        ("anna-card", "anna", Verdict.MATCH),
        ("bert", "anna", Verdict.NO_MATCH),
        ("anna-with-ghost", "anna", Verdict.MATCH),
        ("anna-poor", "anna", Verdict.INCONCLUSIVE),
        ("anna-poor-but-like", "anna", Verdict.MATCH),
        ("speck", "anna", Verdict.INCONCLUSIVE),
        ("nobody", "anna", Verdict.INCONCLUSIVE),
        ("broken", "anna", Verdict.INCONCLUSIVE),
        ("anna-card", "turned", Verdict.INCONCLUSIVE),
        ("anna-card", "nobody", Verdict.INCONCLUSIVE),
    ],
)
async def test_the_verdict(verify: Verify, document: str, live: str, verdict: Verdict):
    done = await verify.pictures(HR, photo(document), photo(live))
    assert done.verdict is verdict
    assert done.threshold == 0.5
    if verdict is not Verdict.INCONCLUSIVE:
        assert (done.score >= done.threshold) == (verdict is Verdict.MATCH)


async def test_quality_of_both_is_told(verify: Verify):
    done = await verify.pictures(HR, photo("anna-poor"), photo("turned"))
    assert [r.code for r in done.document.reasons] == ["too_blurred"]
    assert [r.code for r in done.live.reasons] == ["pose"]


async def test_a_stricter_rate_has_a_higher_threshold_and_says_where_it_was_not_measured(verify: Verify):
    done = await verify.pictures(HR, photo("anna-card"), photo("anna"), false_match_rate=1e-5)
    assert (done.verdict, done.threshold, done.measured) == (Verdict.NO_MATCH, 0.7, False)
    assert (await verify.pictures(HR, photo("anna-card"), photo("anna"))).measured


@pytest.mark.parametrize("rate", [0.0, -1.0, 0.5, 1e-9, float("nan")])
async def test_a_rate_that_means_nothing_is_refused(verify: Verify, rate: float):
    with pytest.raises(InvalidInput) as refused:
        await verify.pictures(HR, photo("anna"), photo("anna"), false_match_rate=rate)
    assert refused.value.code == "bad_rate"
    assert verify.judge.analyser.looked == 0


async def test_it_is_recorded_without_a_score_and_nothing_is_stored(verify: Verify):
    await verify.pictures(HR, photo("anna-card"), photo("anna"))
    (told,) = verify.record.told
    assert told["action"] == "face.verify"
    assert told["after"] == {"verdict": "match", "false_match_rate": 1e-3, "against": "photograph"}
    assert not verify.templates.people.people
    verify.record.away = True
    with pytest.raises(JournalUnavailable):
        await verify.pictures(HR, photo("anna-card"), photo("anna"))


async def test_against_somebody_enrolled(verify: Verify, desk):  # noqa: F811
    done = await enrol(desk, "1", "anna")
    verify = replace(verify, templates=desk.templates, roster=desk.roster)
    seen = await verify.person(HR, photo("anna-card"), done.person_id)
    assert (seen.verdict, seen.live) == (Verdict.MATCH, None)
    assert seen.score == pytest.approx(0.6)
    assert (await verify.person(HR, photo("bert"), done.person_id)).verdict is Verdict.NO_MATCH
    assert verify.record.told[0]["person"] == done.person_id
    people = desk.store.people
    people[done.person_id] = replace(people[done.person_id], templates=())
    desk.store.version += 1
    with pytest.raises(InvalidInput) as refused:
        await verify.person(HR, photo("anna-card"), done.person_id)
    assert refused.value.code == "not_enrolled"
    with pytest.raises(InvalidInput) as unknown:
        await verify.person(HR, photo("anna-card"), PersonId("nobody"))
    assert unknown.value.code == "no_such_person"


async def test_who_withdrew_their_consent_is_compared_with_nothing(verify: Verify, desk):  # noqa: F811
    done = await enrol(desk, "1", "anna")
    people = desk.store.people
    people[done.person_id] = replace(people[done.person_id], consented=False)
    verify = replace(verify, templates=desk.templates, roster=desk.roster)
    with pytest.raises(InvalidInput) as refused:
        await verify.person(HR, photo("anna-card"), done.person_id)
    assert refused.value.code == "not_enrolled"


def test_the_picture_is_not_in_the_answer(verify: Verify):
    seen = FacesInPicture(faces=tuple(FACES["anna"]), clean=b"pixels", media_type="image/png")
    assert "pixels" not in repr(seen)

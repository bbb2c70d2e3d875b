"""What is said of real faces: good ones, and the same ones spoilt in the ways people spoil photographs."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest

from gateway import enrolment_desk, settings
from gateway.commands import commanding, operator
from gateway.domain.accounts import Actor, Role
from gateway.domain.enrolment import Component, PhotoFace
from gateway.domain.errors import EnrolmentRefused, InvalidInput, ModelMissing, Rejected
from gateway.rehearsal import portraits
from gateway.services.enrolment import Photo
from gateway.services.enrolment.compare import least_agreement, strangers_among
from gateway.services.enrolment.judge import judge
from gateway.services.roster import RosterSync
from gateway.settings import Site
from gateway.telemetry.clock import SystemClock
from gateway.vision import models
from gateway.vision.engine import FaceEngine
from gateway.vision.manifest import Input
from gateway.vision.photo import PhotoAnalyser

pytestmark = pytest.mark.models
DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
HR = Actor(id="account:1", roles=frozenset({Role.HR}))


@pytest.fixture(scope="module")
def analyser() -> PhotoAnalyser:
    try:
        return PhotoAnalyser(FaceEngine.load(models.default_folder(), threads=2, min_eye_distance_px=34))
    except ModelMissing as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def people(analyser: PhotoAnalyser) -> dict[str, portraits.Portrait]:
    return {"collins": portraits.collins(analyser), "hopper": portraits.hopper(analyser)}


def png(picture: np.ndarray) -> bytes:
    return cv2.imencode(".png", picture)[1].tobytes()


def look(analyser: PhotoAnalyser, picture: np.ndarray):
    return judge("p", analyser.look(png(picture)), liveness="")


def codes(analyser: PhotoAnalyser, picture: np.ndarray) -> set[str]:
    return {r.code for r in look(analyser, picture).judged.reasons}


def bar(picture: np.ndarray, face: PhotoFace, what: str, colour: tuple[int, int, int]) -> np.ndarray:
    """The picture with a plain covering over the eyes, one eye, or nose and mouth."""
    marks = np.array(face.detection.landmarks)
    size = float(np.linalg.norm(marks[1] - marks[0]))
    if what == "mouth":
        low = np.array([marks[3][0] - 0.5 * size, marks[2][1] - 0.1 * size])
        high = np.array([marks[4][0] + 0.5 * size, marks[4][1] + 0.6 * size])
    else:
        low, high = (
            marks[0] - [0.35 * size, 0.25 * size],
            marks[0 if what == "eye" else 1]
            + [
                0.35 * size,
                0.25 * size,
            ],
        )
    covered = picture.copy()
    cv2.rectangle(covered, *(tuple(int(v) for v in p) for p in (low, high)), colour, -1)
    return covered


def cut(picture: np.ndarray, face: PhotoFace, side: str) -> np.ndarray:
    """The picture cut off a little beside an eye, over the eyes or under the mouth."""
    left, right, _, mouth, _ = face.detection.landmarks
    little = 0.3 * (right[0] - left[0])
    parts = {
        "right": picture[:, : int(right[0] + little)],
        "left": picture[:, int(left[0] - little) :],
        "top": picture[int(left[1] - little) :],
        "bottom": picture[: int(mouth[1] + little)],
    }
    return np.ascontiguousarray(parts[side])


def turned(picture: np.ndarray, degrees: float) -> np.ndarray:
    height, width = picture.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2.5), degrees, 1)
    return cv2.warpAffine(picture, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)


def half_dark(picture: np.ndarray, face: PhotoFace) -> np.ndarray:
    spoilt = picture.copy()
    nose = int(face.detection.landmarks[2][0])
    spoilt[:, :nose] = spoilt[:, :nose] // 6
    return spoilt


@pytest.mark.parametrize("who", ["collins", "hopper"])
def test_a_good_photograph_is_usable(analyser: PhotoAnalyser, people, who: str):
    seen = look(analyser, people[who].picture)
    assert seen.judged.usable
    assert seen.judged.score > 0.25
    assert {m.component for m in seen.judged.measures} == set(Component)


@pytest.mark.parametrize("who", ["collins", "hopper"])
@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda p, _f: cv2.GaussianBlur(p, (0, 0), 7), "too_blurred"),
        (lambda p, _f: cv2.convertScaleAbs(p, alpha=0.1), "too_dark"),
        (lambda p, _f: cv2.convertScaleAbs(p, alpha=1.4, beta=90), "too_bright"),
        (lambda p, _f: cv2.resize(p, None, fx=0.35, fy=0.35, interpolation=cv2.INTER_AREA), "too_small"),
        (lambda p, _f: turned(p, 40), "pose"),
        (lambda p, _f: turned(p, -40), "pose"),
        (lambda p, f: cut(p, f, "right"), "cut_off"),
        (lambda p, f: cut(p, f, "left"), "cut_off"),
        (lambda p, f: cut(p, f, "top"), "cut_off"),
        (lambda p, f: cut(p, f, "bottom"), "cut_off"),
        (lambda p, f: bar(p, f, "eyes", (20, 20, 20)), "eyes_covered"),
        (lambda p, f: bar(p, f, "eye", (90, 120, 160)), "eyes_covered"),
        (lambda p, f: bar(p, f, "mouth", (230, 200, 180)), "face_covered"),
        (lambda p, f: bar(p, f, "mouth", (60, 60, 60)), "face_covered"),
        (half_dark, "uneven_light"),
        (lambda p, _f: np.ascontiguousarray(np.hstack([p, p])), "two_faces"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_spoilt_one_is_refused_for_what_is_wrong(analyser, people, who: str, spoil, code: str):
    picture = people[who].picture
    (face, *_) = analyser.look(png(picture)).faces
    assert code in codes(analyser, spoil(picture, face))


def test_a_dark_small_turned_one_says_all_three(analyser: PhotoAnalyser, people):
    spoilt = cv2.resize(turned(people["hopper"].picture, 42), None, fx=0.35, fy=0.35)
    assert codes(analyser, cv2.convertScaleAbs(spoilt, alpha=0.15)) >= {"too_small", "too_dark", "pose"}


@pytest.mark.parametrize("degrees", [-12, 12])
def test_a_tilt_is_measured_with_its_sign(analyser: PhotoAnalyser, people, degrees: float):
    def roll(picture: np.ndarray) -> float:
        measures = look(analyser, picture).judged.measures
        return next(m.value for m in measures if m.component is Component.ROLL)

    upright = people["hopper"].picture
    assert roll(turned(upright, degrees)) - roll(upright) == pytest.approx(-degrees, abs=5)


def test_a_small_face_in_the_background_is_noted_and_left_out(analyser: PhotoAnalyser, people):
    picture = people["hopper"].picture.copy()
    guest = cv2.resize(people["collins"].picture[30:230, 120:320], (90, 90))
    picture[:90, :90] = guest
    seen = look(analyser, picture)
    assert seen.judged.usable
    assert [n.code for n in seen.judged.notes] == ["background_face"]


def test_a_very_long_and_thin_picture_fills_no_memory(analyser: PhotoAnalyser):
    seen = analyser.look(png(np.full((1600, 200, 3), 90, np.uint8)))
    assert seen.faces == ()


class TestAnotherModel:
    """The same weights under another name: as far as templates go, another model."""

    @pytest.fixture
    def site(self, state: Path) -> Iterator[Site]:
        folder = state / "models"
        folder.mkdir()
        for file in models.default_folder().iterdir():
            if file.suffix == ".onnx":
                (folder / file.name).symlink_to(file)
        try:
            now = models.manifest(folder).of("embedder")
            models.add(
                folder,
                folder / now.file,
                name="newer",
                licence="Apache-2.0",
                source="a test",
                picture=Input(colour="rgb", size=112),
                calibration=now.calibration,
            )
        except (ModelMissing, InvalidInput) as error:
            pytest.skip(str(error))
        raw = {
            "name": "t",
            "state_folder": str(state / "state"),
            "models_folder": str(folder),
            "enrolment": {"keep_photographs": True},
            "cameras": [{"id": "c", "url": "/nowhere.mp4"}],
            "devices": [{"id": "d", "profile": "waveshare-relay", "host": "127.0.0.1", "port": 1}],
            "doors": [{"id": "m", "name": "M", "device": "d", "channel": 1}],
            "access_points": [{"id": "p", "name": "P", "camera": "c", "door": "m"}],
        }
        return settings.parse(raw, source="test", base=state)

    async def test_everybody_moves_to_it_from_their_kept_photographs(self, site: Site, people):
        async with enrolment_desk.enrolling(site) as desk:
            for number, one in enumerate(people.values()):
                await desk.enrol(
                    number=str(number),
                    name="N",
                    photos=[Photo(name="p", data=one.png())],
                    consent="paper",
                    actor=operator(),
                )
            old = desk.judge.model_id
        with pytest.raises(InvalidInput, match="not the active embedder"):
            async with enrolment_desk.migrating(site, "newer", active=True):
                pass
        async with enrolment_desk.migrating(site, "newer") as migration:
            new = migration.analyser.model_id
            assert new != old
            done = await migration.run(HR)
            assert (done.migrated, done.complete) == (2, True)
            assert (await migration.run(HR)).already == 2
        async with commanding(site) as command:
            for model in (old, new):
                roster = RosterSync(command.stores.people, command.sealer, model, SystemClock())
                assert len((await roster.refresh()).gallery) == 2
        models.use(Path(str(site.models_folder)), "newer")
        async with enrolment_desk.migrating(site, "newer", active=True) as migration:
            assert await migration.finish(HR) == 2
        async with enrolment_desk.enrolling(site) as desk:
            assert desk.judge.model_id == new
            with pytest.raises(EnrolmentRefused) as refused:
                await desk.enrol(
                    number="9",
                    name="N",
                    photos=[Photo(name="p", data=people["collins"].png())],
                    consent="paper",
                )
            assert refused.value.code == "already_enrolled"

    async def test_who_has_no_photograph_holds_the_end_up(self, site: Site, people):
        forgetful = msgspec.structs.replace(site, enrolment=settings.Enrolment(keep_photographs=False))
        async with enrolment_desk.enrolling(forgetful) as desk:
            await desk.enrol(
                number="7", name="N", photos=[Photo(name="p", data=people["hopper"].png())], consent="paper"
            )
        async with enrolment_desk.migrating(site, "newer") as migration:
            (appointment,) = (await migration.run(HR)).appointments
            assert (appointment.number, appointment.why) == ("7", "no_photograph")
            with pytest.raises(Rejected):
                await migration.finish(HR)


@pytest.mark.skipif(not DATA.is_dir(), reason="the shared test faces are not here")
class TestSharedFaces:
    def test_portraits_in_the_wild_are_usable_and_covered_ones_are_not(self, analyser: PhotoAnalyser):
        """Bars and masks are always refused; one eye behind a skin-coloured patch mostly is (28 of 33).

        And nine of ten refusals name the covering itself.
        """
        named, one_eye = [], []
        for file in sorted((DATA / "portraits").glob("*/*.jpg")):
            seen = judge(file.name, analyser.look(file.read_bytes()), liveness="")
            # Some show a second person: nothing else is wrong with any.
            assert {r.code for r in seen.judged.reasons} <= {"two_faces"}, (file, seen.judged.reasons)
            picture = cv2.imread(str(file))
            for what, colour, code in (
                ("eyes", (20, 20, 20), "eyes_covered"),
                ("eye", (90, 120, 160), "eyes_covered"),
                ("mouth", (230, 200, 180), "face_covered"),
                ("mouth", (60, 60, 60), "face_covered"),
            ):
                said = codes(analyser, bar(picture, seen.face, what, colour)) - {"two_faces"}
                assert said or what == "eye", (file, what)
                named.append(code in said)
                one_eye += [bool(said)] * (what == "eye")
        assert sum(named) >= 0.9 * len(named)
        assert sum(one_eye) >= 0.8 * len(one_eye)

    def test_every_person_agrees_with_themselves_and_no_mixture_does(self, analyser: PhotoAnalyser):
        limit = models.manifest(models.default_folder()).threshold(0.001, 1)
        rows = {
            person.name: [analyser.look(f.read_bytes()).faces[0].embedding for f in sorted(person.iterdir())]
            for person in sorted((DATA / "portraits").iterdir())
        }
        least = {name: least_agreement(mine) for name, mine in rows.items()}
        assert sum(value >= limit for value in least.values()) >= len(least) - 2, least
        for name, mine in rows.items():
            for other, theirs in rows.items():
                if name != other:
                    assert strangers_among([mine[0], mine[1], theirs[0]], limit)[-1:] == [2]

"""The pulled models on real faces: two portraits in the public domain that packages ship."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from gateway.domain.errors import ModelMissing
from gateway.domain.faces import QualityIssue
from gateway.vision import engine as engines
from gateway.vision import liveness, models
from gateway.vision.photo import PhotoAnalyser

pytestmark = pytest.mark.models
DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
FOLDER = models.default_folder()


@pytest.fixture(scope="module")
def engine():
    try:
        engines.check_all(FOLDER)
    except ModelMissing as error:
        pytest.skip(str(error))
    return engines.FaceEngine.load(FOLDER, threads=1)


@pytest.fixture(scope="module")
def collins():
    data = pytest.importorskip("skimage.data", reason="scikit-image ships the portrait")
    return np.ascontiguousarray(data.astronaut()[:, :, ::-1])


@pytest.fixture(scope="module")
def hopper():
    mpl = pytest.importorskip("matplotlib", reason="matplotlib ships the portrait")
    return cv2.imread(str(Path(mpl.get_data_path()) / "sample_data" / "grace_hopper.jpg"))


def png(picture):
    return cv2.imencode(".png", picture)[1].tobytes()


def one(engine, picture):
    found = engine.detect(picture)
    assert len(found) == 1
    return found[0]


def test_landmarks_lie_where_the_eyes_nose_and_mouth_are(engine, collins):
    """Read off the picture by eye, to five pixels."""
    found = one(engine, collins)
    seen = [(203, 108), (247, 107), (222, 132), (208, 147), (244, 147)]
    np.testing.assert_allclose(found.landmarks, seen, atol=6)
    assert found.score > 0.9


@pytest.mark.parametrize("size", [(512, 512), (1280, 720), (640, 360), (333, 517), (1920, 1080)])
def test_detection_is_in_pixels_of_the_picture_whatever_its_size(engine, collins, size):
    canvas = np.full((size[1], size[0], 3), 90, np.uint8)
    side = min(size)
    canvas[:side, -side:] = cv2.resize(collins, (side, side))
    nose = one(engine, canvas).landmarks[2]
    scale = side / 512
    assert nose == pytest.approx((size[0] - side + 222 * scale, 132 * scale), abs=5 * max(1, scale))


def test_several_faces_come_largest_first_and_an_empty_picture_gives_none(engine, collins, hopper):
    half = cv2.resize(collins, (256, 256))
    both = np.full((600, 1000, 3), 120, np.uint8)
    both[:256, :256], both[:, -512:] = half, hopper
    found = engine.detect(both)
    assert len(found) == 2
    assert found[0].box.w > 1.5 * found[1].box.w
    assert found[0].box.x > 488
    assert engine.detect(np.full((360, 640, 3), 128, np.uint8)) == []


@pytest.mark.parametrize("angle", [-15, 15, 30])
@pytest.mark.parametrize("side", [512, 256])
def test_a_second_look_sees_how_a_head_is_tilted(engine, collins, angle, side):
    upright = engine.embed(collins, one(engine, collins))
    tilted = cv2.warpAffine(collins, cv2.getRotationMatrix2D((225, 120), angle, 1), (512, 512))
    picture = np.full((512, 512, 3), 90, np.uint8)
    picture[:side, :side] = cv2.resize(tilted, (side, side), interpolation=cv2.INTER_AREA)
    first = one(engine, picture)
    second = engines.detect.refine(engine.detector, picture, first)
    assert second.box == first.box
    tilt, before = (engine.quality(picture, face).roll_deg for face in (second, first))
    assert abs(tilt + angle) < abs(before + angle)
    assert float(upright @ engine.embed(picture, second)) > 0.8


def test_a_second_look_at_nothing_keeps_what_was_found(engine, collins):
    face = one(engine, collins)
    assert engines.detect.refine(engine.detector, np.full_like(collins, 99), face) == face


def test_never_more_than_twenty_faces(engine, collins):
    face = cv2.resize(collins[30:230, 120:320], (120, 120))
    assert len(engine.detect(np.tile(face, (5, 8, 1)))) == 20


def test_two_pictures_of_one_person_are_close_and_two_people_far(engine, collins, hopper):
    def embed(picture):
        return engine.embed(picture, one(engine, picture))

    whole, other = embed(collins), embed(hopper)
    assert np.linalg.norm(whole) == pytest.approx(1, abs=1e-5)
    small = cv2.resize(collins, (300, 300), interpolation=cv2.INTER_AREA)
    turned = cv2.warpAffine(collins, cv2.getRotationMatrix2D((225, 120), 15, 1.2), (512, 512))
    dark = cv2.convertScaleAbs(collins, alpha=0.6)
    for variant in (small, turned, dark, collins[:, ::-1]):
        assert float(whole @ embed(np.ascontiguousarray(variant))) > 0.75
    assert float(whole @ other) < 0.3


def test_the_embedding_does_not_depend_on_the_number_of_threads(engine, collins):
    face = one(engine, collins)
    two = engines.FaceEngine.load(FOLDER, threads=2)
    np.testing.assert_allclose(engine.embed(collins, face), two.embed(collins, face), atol=1e-4)


@pytest.mark.parametrize(
    ("spoil", "issue"),
    [
        (lambda p: cv2.GaussianBlur(p, (0, 0), 5), QualityIssue.BLURRED),
        (lambda p: cv2.resize(p, (200, 200)), QualityIssue.TOO_SMALL),
        (lambda p: cv2.convertScaleAbs(p, alpha=0.12), QualityIssue.TOO_DARK),
        (lambda p: cv2.convertScaleAbs(p, alpha=1.4, beta=90), QualityIssue.TOO_BRIGHT),
        (lambda p: np.ascontiguousarray(p[:, :220]), QualityIssue.CUT_OFF),
    ],
    ids=lambda v: v.value if isinstance(v, QualityIssue) else "",
)
def test_a_spoilt_picture_is_refused_for_its_fault(engine, collins, spoil, issue):
    whole = engine.quality(collins, one(engine, collins))
    assert whole.usable
    picture = spoil(collins)
    judged = engine.quality(picture, engine.detect(picture)[0])
    assert issue in judged.issues
    assert judged.score < whole.score


def test_a_living_face_passes_and_its_print_does_not(engine, collins):
    face = one(engine, collins)
    assert engine.live(collins, face) > 0.9
    sheet = cv2.copyMakeBorder(collins[:300, 80:380], 12, 12, 12, 12, cv2.BORDER_CONSTANT, value=(235,) * 3)
    room = np.full((720, 720, 3), 150, np.uint8)
    room[200:524, 200:524] = sheet
    assert engine.live(room, one(engine, room)) < 0.5


def test_context_is_whole_or_not_there(engine, collins):
    close = cv2.resize(collins[20:220, 120:320], (512, 512))
    assert liveness.context(close, engine.detect(close)[0].box) == ()
    corner = np.ascontiguousarray(collins[60:, 170:])
    box = one(engine, corner).box
    own, square = liveness.context(corner, box)
    assert own.shape[:2] == (round(2.7 * box.h), round(2.7 * box.w))
    assert square.shape[0] == square.shape[1] == round(2.7 * max(box.w, box.h))


class TestPhotographs:
    @pytest.fixture
    def analyser(self, engine):
        return PhotoAnalyser(engine)

    def test_a_photograph_gives_its_face(self, analyser, engine, collins):
        (face,) = analyser.photograph(png(collins))
        assert face.quality.usable
        exact = engines.detect.refine(engine.detector, collins, one(engine, collins))
        assert float(face.embedding @ engine.embed(collins, exact)) > 0.99

    @pytest.mark.parametrize(("width", "height"), [(92, 112), (46, 56), (368, 448)])
    def test_a_face_that_fills_the_picture_is_found(self, analyser, engine, collins, width, height):
        tight = cv2.resize(collins[50:180, 171:278], (width, height), interpolation=cv2.INTER_AREA)
        (face,) = analyser.photograph(png(tight))
        assert face.detection.landmarks[2] == pytest.approx((0.48 * width, 0.63 * height), abs=0.07 * height)
        assert float(face.embedding @ engine.embed(collins, one(engine, collins))) > 0.6

    def test_a_picture_without_a_face_gives_none(self, analyser):
        noise = np.random.default_rng(1).integers(0, 255, (300, 200, 3), dtype=np.uint8)
        assert analyser.photograph(png(noise)) == []

    def test_a_picture_of_one_pixel_is_a_picture(self, analyser):
        assert analyser.photograph(png(np.zeros((1, 1, 3), np.uint8))) == []


@pytest.mark.skipif(not DATA.is_dir(), reason="the shared test faces are not here")
class TestSharedFaces:
    def test_people_in_the_wild_are_told_apart(self, engine):
        """All pairs: no two people as close as the loosest threshold, nobody far from themselves."""
        analyser = PhotoAnalyser(engine)
        rows, owner = [], []
        for person in sorted((DATA / "portraits").iterdir()):
            for file in sorted(person.iterdir())[:3]:
                face = analyser.photograph(file.read_bytes())[0]
                assert face.quality.usable, file.name
                rows.append(face.embedding)
                owner.append(person.name)
        scores = np.stack(rows) @ np.stack(rows).T
        same = np.equal.outer(owner, owner)
        loosest = models.manifest(FOLDER).threshold(0.1, 1)
        assert scores[~same].max() < loosest < scores[same].min()

    def test_photographed_attacks_never_pass(self, engine):
        for name in ("attack-1.jpg", "attack-2.jpg"):
            picture = cv2.imread(str(DATA / "spoof" / name))
            score = engine.live(picture, engine.detect(picture)[0])
            assert score is None or score < 0.5, name
            wider = np.ascontiguousarray(cv2.copyMakeBorder(picture, 90, 90, 170, 170, cv2.BORDER_REFLECT))
            assert engine.live(wider, engine.detect(wider)[0]) < 0.5

    def test_the_employee_in_the_clip_is_live_and_recognised(self, engine):
        enrolled = PhotoAnalyser(engine).photograph((DATA / "clips/two-speakers-enrol-a.png").read_bytes())[0]
        clip = cv2.VideoCapture(str(DATA / "clips/two-speakers.mp4"))
        clip.set(cv2.CAP_PROP_POS_FRAMES, 100)
        judged = []
        for _ in range(40):
            read, frame = clip.read()
            assert read
            for face in engine.detect(frame):
                if engine.quality(frame, face).usable:
                    score = float(engine.embed(frame, face) @ enrolled.embedding)
                    judged.append((score, engine.live(frame, face)))
        clip.release()
        assert len(judged) >= 10
        assert np.median([score for score, _ in judged]) > 0.5
        assert min(live for _, live in judged) > 0.9

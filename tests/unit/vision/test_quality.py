import numpy as np
import pytest

from gateway.domain.faces import Box, Detection, QualityIssue
from gateway.vision.align import TEMPLATE
from gateway.vision.quality import Limits, assess, geometry

LIMITS = Limits(min_eye_distance_px=30)
RNG = np.random.default_rng(1)
SHARP = np.clip(RNG.normal(120, 30, (112, 112, 1)), 0, 255).astype(np.uint8).repeat(3, axis=2)
PICTURE = np.zeros((600, 600, 3), np.uint8)


def face(move=lambda x, y: (x, y), scale=2.0, box=None):
    points = tuple((100 + scale * x, 100 + scale * y) for x, y in (move(x, y) for x, y in TEMPLATE))
    whole = Box(100 + scale * 20, 100 + scale * 15, scale * 72, scale * 92)
    return Detection(box=box or whole, landmarks=points, score=0.95)


def issues(detection, aligned=SHARP, image=PICTURE):
    return set(assess(image, detection, aligned, LIMITS).issues)


def test_a_frontal_sharp_well_lit_face_has_nothing_against_it():
    found = assess(PICTURE, face(), SHARP, LIMITS)
    assert found.usable
    assert found.eye_distance_px == pytest.approx(70.5, abs=0.1)
    assert found.yaw == pytest.approx(0, abs=0.01)
    assert found.pitch == pytest.approx(0.5, abs=0.02)
    assert found.roll_deg == pytest.approx(-0.3, abs=0.1)
    assert 0.5 < found.score <= 1


def test_too_small():
    assert issues(face(scale=0.8)) == {QualityIssue.TOO_SMALL}


@pytest.mark.parametrize("aside", [-16, 16])
def test_a_nose_to_one_side_is_a_turned_head(aside):
    nose = TEMPLATE[2]
    turned = face(lambda x, y: (x + aside, y) if (x, y) == nose else (x, y))
    assert np.sign(geometry(turned).yaw) == np.sign(aside)
    assert issues(turned) == {QualityIssue.POSE}


@pytest.mark.parametrize("share", [0.2, 0.9])
def test_a_nose_at_eyes_or_mouth_is_a_nodding_head(share):
    nose = TEMPLATE[2]
    height = 51.6 + share * (92.3 - 51.6)
    assert QualityIssue.POSE in issues(face(lambda x, y: (x, height) if (x, y) == nose else (x, y)))


def test_a_head_on_its_side_is_turned_however_frontal():
    lying = face(lambda x, y: (112 - y, x))
    assert geometry(lying).roll_deg == pytest.approx(90, abs=1)
    assert geometry(lying).yaw == pytest.approx(0, abs=0.02)
    assert QualityIssue.POSE in issues(lying)


@pytest.mark.parametrize(
    "move",
    [
        lambda x, y: (56, 60),
        lambda x, y: (x, 112 - y),
        lambda x, y: (112 - x if y > 80 else x, y),
        lambda x, y: (float("nan"), y),
    ],
    ids=["one point", "mouth over eyes", "mouth corners crossed", "not a number"],
)
def test_points_that_are_no_face_are_refused(move):
    found = assess(PICTURE, face(move), SHARP, LIMITS)
    assert QualityIssue.LANDMARKS in found.issues
    assert found.score == 0


def test_landmarks_beside_the_box_are_refused():
    assert QualityIssue.LANDMARKS in issues(face(box=Box(300, 300, 100, 120)))


def test_a_face_that_could_not_be_aligned_is_refused():
    assert QualityIssue.LANDMARKS in issues(face(), aligned=None)


def test_cut_off_by_the_pictures_edge():
    assert issues(face(), image=PICTURE[:, :240]) == {QualityIssue.CUT_OFF}


@pytest.mark.parametrize(
    ("aligned", "issue"),
    [
        (np.full_like(SHARP, 120), QualityIssue.BLURRED),
        ((SHARP * 0.15).astype(np.uint8), QualityIssue.TOO_DARK),
        (np.clip(SHARP.astype(int) + 125, 0, 255).astype(np.uint8), QualityIssue.TOO_BRIGHT),
    ],
)
def test_light_and_focus(aligned, issue):
    assert issue in issues(face(), aligned=aligned)


def test_the_score_ranks_the_better_sample_first():
    scores = [assess(PICTURE, d, a, LIMITS).score for d, a in (
        (face(), SHARP),
        (face(scale=1.0), SHARP),
        (face(scale=1.0), (SHARP * 0.3 + 80).astype(np.uint8)),
    )]  # fmt: skip
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) == 3

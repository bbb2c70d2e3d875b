import cv2
import numpy as np
import pytest

from gateway.domain.faces import Box, Detection
from gateway.vision.align import SIZE, TEMPLATE, align, similarity


def at(points):
    return Detection(box=Box(0, 0, 1, 1), landmarks=tuple(map(tuple, points)), score=1.0)


def moved(angle_deg, scale, shift):
    turn = scale * np.exp(1j * np.radians(angle_deg))
    z = np.array([complex(x, y) for x, y in TEMPLATE]) * turn + complex(*shift)
    return [(p.real, p.imag) for p in z]


@pytest.mark.parametrize(
    ("angle", "scale", "shift"), [(0, 1, (0, 0)), (30, 2.5, (100, -7)), (-170, 0.2, (3, 9))]
)
def test_the_fit_undoes_a_known_turn_scale_and_shift(angle, scale, shift):
    points = moved(angle, scale, shift)
    back = np.column_stack([points, np.ones(5)]) @ similarity(tuple(points)).T
    np.testing.assert_allclose(back, TEMPLATE, atol=1e-9)


def test_it_never_mirrors():
    mirrored = tuple((-x, y) for x, y in TEMPLATE)
    matrix = similarity(mirrored)
    assert np.linalg.det(matrix[:, :2]) > 0


def test_the_fit_is_the_best_there_is():
    """No similarity close by has a smaller squared error (the normal equations hold)."""
    rng = np.random.default_rng(2)
    points = np.array(moved(12, 1.7, (40, 20))) + rng.normal(0, 3, (5, 2))

    def error(matrix):
        return ((np.column_stack([points, np.ones(5)]) @ matrix.T - TEMPLATE) ** 2).sum()

    best = similarity(tuple(map(tuple, points)))
    for a, b, x, y in rng.normal(0, 1e-3, (50, 4)):
        other = best + np.array([[a, -b, x], [b, a, y]])
        assert error(other) >= error(best) - 1e-9


@pytest.mark.parametrize("point", [(5.0, 5.0), (np.nan, 1.0), (np.inf, 0.0)])
def test_points_in_one_place_or_nowhere_have_no_direction(point):
    with pytest.raises(ValueError, match="landmarks"):
        similarity((point,) * 5)


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0, 3.4, 9.0])
def test_landmarks_land_on_the_template_at_any_size(scale):
    """A dot drawn at each landmark is found at its place of the template, shrunk by area or not."""
    points = moved(17, scale, (300, 120))
    picture = np.zeros((1400, 1600, 3), np.uint8)
    for x, y in points:
        radius = max(1.0, 2 * scale)
        cv2.circle(picture, (round(x * 16), round(y * 16)), round(radius * 16), (255,) * 3, -1, shift=4)
    face = align(picture, at(points))
    assert face.shape == (SIZE, SIZE, 3)
    within = max(0.8, 0.6 / scale)
    for x, y in TEMPLATE:
        near = face[round(y) - 6 : round(y) + 7, round(x) - 6 : round(x) + 7, 0].astype(float)
        rows, columns = np.indices(near.shape) - 6
        assert near.sum() > 0
        assert (near * columns).sum() / near.sum() == pytest.approx(x - round(x), abs=within)
        assert (near * rows).sum() / near.sum() == pytest.approx(y - round(y), abs=within)


def test_a_face_far_outside_of_the_picture_gives_a_picture_all_the_same():
    points = moved(0, 4, (5000, 5000))
    assert align(np.full((40, 40, 3), 77, np.uint8), at(points)).shape == (SIZE, SIZE, 3)

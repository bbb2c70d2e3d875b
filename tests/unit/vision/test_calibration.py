import math

import msgspec
import numpy as np
import pytest

from gateway.domain.errors import ConfigError, InvalidInput
from gateway.domain.faces import freeze
from gateway.vision.calibration import Calibration, false_match_rate, impostor_scores, measure
from gateway.vision.manifest import Manifest

POINTS = Calibration(points=((1e-2, 0.3), (1e-3, 0.4), (1e-4, 0.46)), measured_on="made up")


@pytest.mark.parametrize(("rate", "cosine"), [(1e-2, 0.3), (1e-3, 0.4), (1e-4, 0.46), (10**-3.5, 0.43)])
def test_between_points_it_is_linear_in_the_logarithm(rate, cosine):
    assert POINTS.threshold(rate) == pytest.approx(cosine)


def test_never_below_the_lowest_measured_threshold():
    assert POINTS.threshold(0.5) == 0.3


def test_beyond_the_last_point_the_last_decade_goes_on():
    assert POINTS.threshold(1e-6) == pytest.approx(0.58)
    assert POINTS.threshold(1e-30) == 0.95


def test_a_rarer_false_match_never_has_a_lower_threshold():
    thresholds = [POINTS.threshold(10**-x) for x in np.linspace(0.1, 12, 200)]
    assert thresholds == sorted(thresholds)


@pytest.mark.parametrize("rate", [0.0, 1.0, -1e-3, math.nan])
def test_a_rate_outside_of_0_and_1_is_refused(rate):
    with pytest.raises(InvalidInput):
        POINTS.threshold(rate)


@pytest.mark.parametrize(
    "points",
    [((1e-3, 0.4),), ((1e-3, 0.4), (1e-2, 0.5)), ((1e-2, 0.4), (1e-3, 0.4)), ((2, 0.3), (1e-3, 0.4))],
)
def test_points_no_threshold_can_come_from_are_refused(points):
    with pytest.raises(ValueError, match="calibration"):
        Calibration(points=points, measured_on="")
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"points": points, "measured_on": ""}, Calibration)


def test_the_rate_of_one_comparison_keeps_the_target_of_a_search():
    for templates in (1, 10, 1000, 10**6):
        one = false_match_rate(1e-3, templates)
        assert -math.expm1(templates * math.log1p(-one)) == pytest.approx(1e-3)


def test_an_empty_gallery_counts_as_one_template():
    assert false_match_rate(1e-3, 0) == pytest.approx(1e-3)


def test_measured_points_accept_the_stated_share_of_impostors():
    rng = np.random.default_rng(5)
    people = [[freeze(rng.normal(size=32)) for _ in range(4)] for _ in range(100)]
    scores = impostor_scores(people)
    assert scores.size == 400 * 399 // 2 - 100 * 6
    found = measure(people, "noise")
    assert found.points[0][0] == pytest.approx(1e-2)
    for rate, cosine in found.points:
        assert (scores > cosine).sum() == math.floor(rate * scores.size) >= 30


def test_too_few_people_give_no_calibration():
    rng = np.random.default_rng(5)
    with pytest.raises(InvalidInput, match="too few"):
        measure([[freeze(rng.normal(size=8))] for _ in range(20)], "noise")


def test_a_manifest_without_an_embedder_gives_no_threshold():
    with pytest.raises(ConfigError, match="embedder"):
        Manifest().threshold(1e-3, 10)

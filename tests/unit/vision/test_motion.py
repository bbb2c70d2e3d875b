import numpy as np

from gateway.vision.motion import MotionGate
from tests.fakes.vision import Face, picture


def test_the_first_picture_is_worth_a_look():
    assert MotionGate().look(picture()).moved


def test_a_still_noisy_room_does_not_move():
    gate = MotionGate()
    gate.look(picture(grain=0))
    assert not any(gate.look(picture(grain=i)).moved for i in range(1, 50))


def test_somebody_who_comes_in_moves_and_is_no_cut():
    gate = MotionGate()
    gate.look(picture())
    seen = gate.look(picture(Face(1, size=60)))
    assert seen.moved
    assert not seen.cut


def test_somebody_who_creeps_is_noticed_against_the_background():
    gate = MotionGate()
    gate.look(picture(Face(14, x=100)))
    assert any(gate.look(picture(Face(14, x=100 + 2 * i))).moved for i in range(1, 10))


def test_a_cut_between_shots_is_one():
    gate = MotionGate()
    gate.look(picture(shade=40))
    assert gate.look(picture(shade=200)).cut


def test_a_camera_that_changes_its_size_is_a_cut():
    gate = MotionGate()
    gate.look(np.zeros((360, 640, 3), np.uint8))
    assert gate.look(np.zeros((480, 640, 3), np.uint8)).cut


def test_tiny_and_odd_pictures_are_looked_at():
    for shape in ((2, 2, 3), (7, 333, 3), (333, 7, 3), (1, 1, 3)):
        MotionGate().look(np.zeros(shape, np.uint8))


def test_strong_sensor_noise_of_a_dark_camera_does_not_move():
    rng, gate = np.random.default_rng(1), MotionGate()
    noisy = [
        (picture(shade=40) + rng.normal(0, 8, (360, 640, 3))).clip(0, 255).astype(np.uint8) for _ in range(8)
    ]
    gate.look(noisy[0])
    assert not any(gate.look(image).moved for image in noisy[1:])

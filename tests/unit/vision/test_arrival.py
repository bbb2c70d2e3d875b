import numpy as np
import pytest

from gateway.vision.arrival import FreezeDetector, ReplayDetector

S = 1_000_000_000
STEP = S // 10


def noisy(i: int):
    """Small, so that hundreds of them are quick."""
    return np.random.default_rng(i).integers(0, 255, (48, 64, 3), np.uint8)


class TestFreeze:
    def test_a_live_scene_is_never_frozen(self):
        detector = FreezeDetector(3)
        assert not any(detector.frozen(noisy(i), i * STEP) for i in range(100))

    def test_one_picture_again_and_again_is_frozen_after_the_limit(self):
        detector = FreezeDetector(3)
        said = [detector.frozen(noisy(1), i * STEP) for i in range(60)]
        assert said.index(True) == 30
        assert all(said[30:])

    def test_a_still_scene_with_a_key_frame_every_two_seconds_is_not_frozen(self):
        detector = FreezeDetector(3)
        assert not any(detector.frozen(noisy(i // 20), i * STEP) for i in range(200))

    def test_a_hung_sensor_before_an_encoder_that_repeats_a_few_pictures_is_frozen(self):
        detector = FreezeDetector(3)
        said = [detector.frozen(noisy(i % 12), i * STEP) for i in range(60)]
        assert not any(said[:40])
        assert all(said[45:])

    def test_a_frozen_camera_is_believed_again_after_three_new_pictures(self):
        detector = FreezeDetector(1)
        for i in range(20):
            frozen = detector.frozen(noisy(1), i * STEP)
        assert frozen
        later = [detector.frozen(noisy(100 + i), (20 + i) * STEP) for i in range(10)]
        assert later == [True, True] + [False] * 8

    def test_one_new_picture_now_and_then_does_not_thaw_at_once(self):
        detector = FreezeDetector(1)
        said = [detector.frozen(noisy(i // 50), i * STEP) for i in range(140)]
        assert all(said[11:])

    def test_the_same_picture_after_a_reconnection_is_still_frozen(self):
        detector = FreezeDetector(3)
        detector.frozen(noisy(1), 0)
        assert detector.frozen(noisy(1), 60 * S)

    def test_a_change_of_size_is_new(self):
        detector = FreezeDetector(1)
        detector.frozen(noisy(1), 0)
        assert not detector.frozen(np.zeros((100, 100, 3), np.uint8), 5 * S)


class TestReplay:
    def said(self, arrivals):
        replay = ReplayDetector()
        return [replay.old(round(t * S)) for t in arrivals]

    def test_a_steady_camera_has_none(self):
        assert not any(self.said([i / 25 for i in range(200)]))

    def test_jitter_is_none(self):
        rng = np.random.default_rng(3)
        arrivals = np.cumsum(rng.uniform(0.02, 0.12, 400))
        assert not any(self.said(arrivals.tolist()))

    def test_what_waited_during_a_stall_is_old_until_the_usual_pace_returns(self):
        steady = [i / 25 for i in range(50)]
        burst = [steady[-1] + 2 + i / 500 for i in range(50)]
        after = [burst[-1] + (i + 1) / 25 for i in range(20)]
        said = self.said(steady + burst + after)
        assert said == [False] * 50 + [True] * 51 + [False] * 19  # two steps of three at the usual pace

    def test_a_camera_that_changed_its_rate_is_believed_after_two_seconds(self):
        slow = [i / 5 for i in range(30)]
        fast = [slow[-1] + 2 + i / 30 for i in range(200)]
        said = self.said(slow + fast)[30:]
        assert said[0]
        assert 55 <= said.index(False) <= 65
        assert not any(said[65:])

    @pytest.mark.parametrize("arrivals", [[], [1.0], [1.0, 9.0]])
    def test_too_little_to_go_by_is_not_old(self, arrivals):
        assert not any(self.said(arrivals))

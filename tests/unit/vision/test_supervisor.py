import time
from dataclasses import replace

import pytest

from gateway.domain.ids import CameraId
from gateway.settings import Camera, Recognition, Vision
from gateway.vision.codec import Beat, MalformedMessage, Seen, Setup
from gateway.vision.supervisor import MOST_RESTARTS, REST_S, Patience, _Life
from tests.fakes import faces

SETUP = Setup(
    epoch=1,
    cameras=(Camera(id="cam-1", url="fake:walk"),),
    liveness=("cam-1",),
    vision=Vision(),
    recognition=Recognition(),
    models_folder="/nowhere",
    threads=1,
)


class TestPatience:
    def test_five_quick_restarts_and_then_one_a_minute(self):
        patience = Patience()
        rests = [patience.rest_s(float(i), 1.0) for i in range(MOST_RESTARTS)]
        assert rests == sorted(rests)
        assert sum(rests) < 10
        assert not patience.given_up
        now = 5.0
        for _ in range(4):
            assert patience.rest_s(now, 1.0) == REST_S
            assert patience.given_up
            now += REST_S + 1

    def test_a_life_that_lasts_earns_quick_restarts_again(self):
        patience = Patience()
        for i in range(MOST_RESTARTS + 1):
            patience.rest_s(float(i), 1.0)
        assert patience.rest_s(1000.0, 900.0) < 1
        assert not patience.given_up

    def test_a_crash_an_hour_is_always_restarted_at_once(self):
        patience = Patience()
        assert {patience.rest_s(3600.0 * i, 3600.0) for i in range(20)} == {0.2}


class TestWhatAWorkerMaySay:
    def life(self):
        return _Life(SETUP, None)

    def seen(self, **changes):
        now = time.monotonic_ns()
        return Seen(replace(faces.sighting(faces.sample(faces.axis(0), at_ns=now), at_ns=now), **changes))

    def test_its_own_sightings(self):
        self.life().check(self.seen())
        self.life().check(self.seen(samples=()))

    @pytest.mark.parametrize(
        "changes",
        [
            {"worker_epoch": 2},
            {"camera_id": CameraId("cam-2")},
            {"samples": (faces.sample(faces.axis(0), at_ns=0),) * 6},
            {"frame_ns": 2**62},
            {"samples": (faces.sample(faces.axis(0), at_ns=2**62),)},
        ],
    )
    def test_nothing_of_others_and_nothing_from_the_future(self, changes):
        with pytest.raises(MalformedMessage):
            self.life().check(self.seen(**changes))

    def test_no_flood(self):
        def flood(life, messages=5000):  # the second may turn while this runs
            for _ in range(messages):
                life.check(Beat())

        with pytest.raises(MalformedMessage, match="in a second"):
            flood(self.life())

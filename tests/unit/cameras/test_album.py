"""A look at a camera for an enrolment: a few pictures, evenly, and then it is let go."""

import threading
import time

import numpy as np
import pytest

from drivers.cameras.album import PICTURES, Album, look
from gateway.domain.errors import CameraUnavailable, InvalidInput


class Source:
    def __init__(self, *, paced: bool = True, frames: int = 10_000, fails_at: int | None = None):
        self.paced, self.left, self.fails_at = paced, frames, fails_at
        self.given, self.opened, self.closed = 0, False, False

    def open(self) -> None:
        self.opened = True

    def read(self):
        if self.given == self.fails_at:
            raise CameraUnavailable("silent")
        if self.left == 0:
            return None
        if self.paced:
            time.sleep(0.002)
        self.left -= 1
        self.given += 1
        return np.full((2, 2, 3), self.given % 255, np.uint8), self.given / 25 if not self.paced else None

    def close(self) -> None:
        self.closed = True


def test_as_many_pictures_as_are_kept_and_no_two_at_once():
    source = Source()
    taken = look(source, 0.4, threading.Event())
    assert 3 <= len(taken) <= PICTURES
    assert source.given > len(taken)
    assert source.closed


def test_a_recording_gives_pictures_of_its_own_time():
    taken = look(Source(paced=False), 4.0, threading.Event())
    assert len(taken) == PICTURES
    assert [int(p[0, 0, 0]) for p in taken] == pytest.approx(
        [1 + i * 4 * 25 / PICTURES for i in range(12)], abs=2
    )


def test_the_end_of_a_recording_ends_it():
    source = Source(paced=False, frames=3)
    assert len(look(source, 1.0, threading.Event())) <= 3
    assert source.closed


def test_a_camera_that_fails_is_let_go():
    source = Source(fails_at=2)
    with pytest.raises(CameraUnavailable):
        look(source, 1.0, threading.Event())
    assert source.closed


def test_told_to_stop_it_stops():
    source, stop = Source(), threading.Event()
    stop.set()
    assert look(source, 60.0, stop) == []
    assert source.closed


async def test_a_camera_that_is_not_there():
    with pytest.raises(InvalidInput) as refused:
        await Album({}).pictures("nowhere", 1.0)
    assert refused.value.code == "no_such_camera"

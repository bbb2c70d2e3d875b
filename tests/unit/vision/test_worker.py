"""The worker's body in this process, over a socket pair."""

import contextlib
import itertools
import socket
import threading
import time

import pytest

from gateway.domain.errors import CameraUnavailable
from gateway.settings import Camera, Recognition, Vision
from gateway.vision import codec
from gateway.vision.worker import Worker
from tests.fakes.frame_source import FakeFrameSource
from tests.fakes.vision import Face, FakeEngine, picture

SETUP = codec.Setup(
    epoch=3,
    cameras=(Camera(id="cam-1", url="fake:"),),
    liveness=(),
    vision=Vision(),
    recognition=Recognition(),
    models_folder="/nowhere",
    threads=1,
)


def walk(count, first=0):
    return [picture(Face(2, x=100 + i), grain=i) for i in range(first, first + count)]


class SlowEngine(FakeEngine):
    """Detects only while the gate is open, and slowly at first."""

    def __init__(self, first_s=0.0):
        super().__init__()
        self.gate, self.entered, self._first_s = threading.Event(), threading.Event(), first_s
        self.gate.set()

    def detect(self, image):
        self.entered.set()
        self.gate.wait(20)
        if not self.detected:
            time.sleep(self._first_s)
        return super().detect(image)


class Running:
    """A worker in a thread; ``messages`` yields what it says until the link closes."""

    def __init__(self, source, engine, on_abandoned=lambda: None):
        self.ours, theirs = socket.socketpair()
        self.ours.settimeout(10)
        self.code = None
        self._theirs, self._engine = theirs, engine
        self._worker = Worker(theirs, lambda _camera: source, lambda _setup: (engine, True), on_abandoned)
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        self.code = self._worker.run()

    def __enter__(self):
        self._thread.start()
        self.ours.sendall(codec.pack(SETUP))
        return self

    def __exit__(self, *_):
        self._engine.gate.set()
        with contextlib.suppress(OSError):
            self.ours.shutdown(socket.SHUT_RDWR)
        self.ours.close()
        self._thread.join(10)
        self._theirs.close()
        assert not self._thread.is_alive()

    def messages(self):
        stream = self.ours.makefile("rb")
        while (body := codec.read_blocking(stream)) is not None:
            yield codec.unpack_for_control(body)

    def sightings(self):
        return (m.sighting for m in self.messages() if isinstance(m, codec.Seen))


def live(script):
    return FakeFrameSource(script, paced=True, live=True, resume=True, interval_s=0.05, read_timeout_s=30)


def test_it_says_ready_first_and_then_what_it_sees():
    with Running(live(walk(400)), SlowEngine()) as running:
        messages = running.messages()
        assert next(messages) == codec.Ready(epoch=3, has_liveness=True)
        assert any(isinstance(m, codec.Seen) for m in itertools.islice(messages, 100))


def test_the_end_of_a_recording_is_told_after_its_last_sighting():
    source = FakeFrameSource(walk(10), fps=10)
    with Running(source, SlowEngine()) as running:
        told = []
        for message in running.messages():
            told.append(message)
            if isinstance(message, codec.Report) and message.report.state.value == "ended":
                break
    seen = [m.sighting for m in told if isinstance(m, codec.Seen)]
    assert seen[-1].ended
    assert len(seen[-1].samples) == Recognition().of


def test_nobody_is_followed_over_a_reconnection_however_quick():
    # The first look takes as long as the camera needs to fail and come back.
    source = live([*walk(1), 0.15, CameraUnavailable("cut"), *walk(200, first=3)])
    with Running(source, SlowEngine(first_s=0.5)) as running:
        seen = list(itertools.islice(running.sightings(), 3))
    assert source.opened == 2
    assert [(s.track_id, s.ended) for s in seen[:2]] == [(1, False), (1, True)]
    assert seen[2].track_id == 2


def test_a_stop_ends_it_in_order():
    with Running(live(walk(400)), SlowEngine()) as running:
        next(running.sightings())
        running.ours.sendall(codec.pack(codec.Stop()))
        running._thread.join(5)
        assert running.code == 0


@pytest.mark.parametrize("hangs", [False, True])
def test_who_is_left_alone_ends_itself_even_when_analysis_hangs(hangs):
    abandoned, engine = threading.Event(), SlowEngine()
    with Running(live(walk(400)), engine, abandoned.set) as running:
        next(running.sightings())
        if hangs:
            engine.gate.clear()
            engine.entered.clear()
            assert engine.entered.wait(5)
        running.ours.shutdown(socket.SHUT_RDWR)
        assert abandoned.wait(3) is hangs

"""Photographs are looked at in a process of its own: what breaks it is refused, the next is served."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from gateway.domain.errors import InvalidInput, Unavailable
from gateway.domain.ids import ModelId
from gateway.enrolment_desk import photo_process
from gateway.rehearsal import portraits
from gateway.vision import models
from gateway.vision.engine import FaceEngine
from gateway.vision.photo import PhotoAnalyser
from gateway.vision.photo_process import PhotoProcess
from tests.fakes.office import SITE

CHILD = """
import os, signal, socket, sys, time
from gateway.vision.photo_link import *
from gateway.domain.enrolment import FacesInPicture
link = socket.socket(fileno=int(sys.argv[1]))
if sys.argv[2].endswith("failing"):
    send(link, Failed("no models here")); sys.exit(1)
if sys.argv[2].endswith("silent"):
    sys.exit(1)
send(link, Loaded("other:1" if sys.argv[2].endswith("other") else "made-up:1"))
while (asked := receive_asked(link)) is not None:
    if asked.data == b"crash": os.kill(os.getpid(), signal.SIGSEGV)
    if asked.data == b"hang": time.sleep(60)
    if asked.data == b"garbage": link.sendall(b"\\x00\\x00\\x00\\x03abc"); continue
    if asked.data == b"huge": link.sendall(b"\\xff\\xff\\xff\\xff"); continue
    if asked.data == b"bad": send(link, Refused("damaged", "cut off")); continue
    send(link, Seen(FacesInPicture(faces=(), clean=asked.data, media_type="image/jpeg")))
"""


def made_up(folder: str = "/none", patience_s: float = 30.0) -> PhotoProcess:
    return PhotoProcess(
        model_id=ModelId("made-up:1"),
        models_folder=Path(folder),
        min_eye_distance_px=34.0,
        entry=("-c", CHILD),
        patience_s=patience_s,
    )


@pytest.fixture
def process() -> Iterator[PhotoProcess]:
    with made_up() as one:
        yield one


def test_one_process_serves_many(process: PhotoProcess):
    assert [process.look(bytes([i])).clean for i in range(5)] == [bytes([i]) for i in range(5)]
    assert process.starts == 1


@pytest.mark.parametrize("data", [b"crash", b"garbage", b"huge"])
def test_what_breaks_it_twice_is_refused_and_the_next_is_served(process: PhotoProcess, data: bytes):
    with pytest.raises(InvalidInput) as refused:
        process.look(data)
    assert refused.value.code == "bad_photo"
    assert process.starts == 2
    assert process.look(b"good").clean == b"good"
    assert process.starts == 3


def test_what_takes_too_long_is_refused_and_the_process_is_no_more():
    with made_up(patience_s=0.5) as process:
        process.look(b"good")
        pid = process.pid
        with pytest.raises(InvalidInput, match=r"takes longer than 0\.5 s"):
            process.look(b"hang")
        assert pid is not None
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
        assert process.look(b"good").clean == b"good"


def test_killed_from_outside_the_picture_is_looked_at_all_the_same(process: PhotoProcess):
    process.look(b"good")
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    assert process.look(b"another").clean == b"another"


def test_its_refusals_keep_their_code(process: PhotoProcess):
    with pytest.raises(InvalidInput, match="cut off") as refused:
        process.look(b"bad")
    assert refused.value.code == "damaged"
    assert process.starts == 1


@pytest.mark.parametrize(
    ("folder", "why"), [("/failing", "no models here"), ("/silent", "or none"), ("/other", "other models")]
)
def test_without_its_models_nothing_is_refused_for_the_pictures_sake(folder: str, why: str):
    with made_up(folder) as process, pytest.raises(Unavailable, match=why):
        process.look(b"good")


def test_closed_while_it_is_asked_it_ends_at_once():
    process = made_up()
    process.look(b"good")
    found: list[BaseException] = []

    def ask() -> None:
        try:
            process.look(b"hang")
        except (InvalidInput, Unavailable) as error:
            found.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    time.sleep(0.3)
    began = time.monotonic()
    process.close()
    thread.join(5)
    assert time.monotonic() - began < 5
    assert found
    with pytest.raises(Unavailable):
        process.look(b"good")


def test_it_sees_what_the_analyser_sees_itself():
    folder = models.default_folder()
    if any(state != "ok" for _, _, state in models.states(folder)):
        pytest.skip("the models are not there: run `facegate models pull`")
    here = PhotoAnalyser(FaceEngine.load(folder, threads=1, min_eye_distance_px=34.0))
    portrait = portraits.collins(here)
    with photo_process(SITE) as there:
        for mine, theirs in (
            (here.look(portrait.png()), there.look(portrait.png())),
            (here.frame(portrait.picture), there.frame(portrait.picture)),
        ):
            assert (mine.clean, mine.media_type) == (theirs.clean, theirs.media_type)
            assert [f.detection for f in mine.faces] == [f.detection for f in theirs.faces]
            assert [f.measures for f in mine.faces] == [f.measures for f in theirs.faces]
            for a, b in zip(mine.faces, theirs.faces, strict=True):
                assert a.embedding is not None
                assert b.embedding is not None
                assert np.allclose(a.embedding, b.embedding)
        with pytest.raises(InvalidInput):
            there.look(b"no picture")
        assert there.pid is not None
        assert os.getpriority(os.PRIO_PROCESS, there.pid) == 19 or sys.platform != "linux"

"""The real worker process over a film of a real face, every frame of it."""

import asyncio
import contextlib
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from gateway.domain.ids import ModelId
from gateway.domain.sightings import CameraState
from gateway.settings import Camera, Recognition, Vision
from gateway.vision import codec, engine
from gateway.vision.codec import Setup
from gateway.vision.supervisor import VisionWorker, WorkerState

ROOT = Path(__file__).resolve().parents[2]
MODELS = Path(sys.prefix) / "share/facegate/models"
FRAMES, FPS = 60, 15
SIZE = (480, 352)
ROOM = 20
"""Pictures without anybody, at the end."""

pytestmark = [
    pytest.mark.models,
    pytest.mark.skipif(not MODELS.is_dir(), reason="needs the models: run facegate models pull"),
]


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """A camera that sways before the astronaut, then looks at a bare wall."""
    data = pytest.importorskip("skimage.data", reason="needs scikit-image (extra demo)")
    portrait = data.astronaut()[:, :, ::-1]
    path = tmp_path_factory.mktemp("film") / "astronaut.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), FPS, SIZE)
    for i in range(FRAMES):
        x, y = round(15 + 15 * np.sin(i / 6)), round(15 + 15 * np.cos(i / 5))
        writer.write(np.ascontiguousarray(portrait[y : y + SIZE[1], x : x + SIZE[0]]))
    for _ in range(ROOM):
        writer.write(np.full((SIZE[1], SIZE[0], 3), 120, np.uint8))
    writer.release()
    return path


async def watch(film):
    """Sightings, reports and states of a worker that plays the film to its end."""
    sightings, reports, states = [], [], []
    camera = Camera(id="door", url=str(film), pace="every-frame")
    worker = VisionWorker(
        name="vision-1",
        setup=lambda epoch: Setup(
            epoch=epoch,
            cameras=(camera,),
            liveness=("door",),
            vision=Vision(),
            recognition=Recognition(),
            models_folder=str(MODELS),
            threads=1,
        ),
        max_memory_mb=1500,
        max_age_s=5.0,
        on_sighting=sightings.append,
        on_report=reports.append,
        on_state=lambda _name, state, why: states.append((state, why)),
    )
    task = asyncio.create_task(worker.run(), name="worker")
    try:
        async with asyncio.timeout(60):
            while not reports or reports[-1].state is not CameraState.ENDED:
                assert not task.done()
                await asyncio.sleep(0.05)
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    return sightings, reports, states


async def test_every_frame_of_a_film_and_one_track_of_live_evidence(film, monkeypatch):
    monkeypatch.chdir(ROOT)
    sightings, reports, states = await watch(film)
    last = reports[-1]
    assert [s for s, _ in states] == [WorkerState.STARTING, WorkerState.UP]
    assert (last.frames, last.dropped) == (FRAMES + ROOM, 0)
    assert FRAMES <= last.analysed <= last.frames

    assert [s.ended for s in sightings].count(True) == 1
    assert {s.track_id for s in sightings} == {1}
    whole = sightings[-1]
    assert whole.ended
    assert len(whole.samples) == Recognition().of
    assert whole.frames_seen >= FRAMES - 2
    times = [s.media_time_s for s in whole.samples]
    assert len(set(times)) == len(times)
    assert all(np.diff(times) > 0.05)

    model = ModelId(engine.check_all(MODELS).of("embedder").model_id)
    assert {s.model_id for s in whole.samples} == {model}
    assert all(s.quality.usable for s in whole.samples)
    assert all(s.live is not None and s.live > 0.5 for s in whole.samples)
    alike = [float(a.embedding @ b.embedding) for a in whole.samples for b in whole.samples]
    assert min(alike) > 0.8

    third = next(s for s in sightings if len(s.samples) == 3)
    assert min(third.stages.detect, third.stages.liveness, third.stages.embed) > 0
    assert max(len(codec.pack(codec.Seen(s))) for s in sightings) < 16_000


async def test_without_models_it_says_so_and_is_tried_again(film, monkeypatch, tmp_path, capfd):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys.modules[__name__], "MODELS", tmp_path)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(3):
            await watch(film)
    assert "worker_cannot_start" in capfd.readouterr().err

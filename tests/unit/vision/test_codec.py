import io
import math
from dataclasses import replace
from datetime import UTC, datetime

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.faces import FaceSample, freeze
from gateway.domain.ids import CameraId
from gateway.domain.sightings import CameraReport, CameraState, Settled
from gateway.settings import Camera, Recognition, Vision
from gateway.vision import codec
from tests.fakes import faces


def carried(message):
    return codec.unpack_for_control(codec.pack(message)[codec.LENGTH.size :])


def big(count=10, size=512) -> list[FaceSample]:
    rng = np.random.default_rng(1)
    return [faces.sample(freeze(rng.normal(size=size))) for _ in range(count)]


def report(**changes):
    found = CameraReport(
        camera_id=CameraId("cam-1"),
        worker_epoch=3,
        state=CameraState.UP,
        detail="",
        frames=1,
        dropped=0,
        analysed=1,
        frame_age_ms=12.5,
        at_ns=5,
    )
    return replace(found, **changes)


def test_a_sighting_comes_out_as_it_went_in():
    sent = faces.sighting(*big(3), poor=faces.QualityIssue.POSE)
    got = carried(codec.Seen(sent)).sighting
    assert replace(got, samples=()) == replace(sent, samples=())
    for a, b in zip(got.samples, sent.samples, strict=True):
        assert np.allclose(a.embedding, b.embedding, atol=1e-6)
        assert not a.embedding.flags.writeable
        assert (a.quality, a.live, a.captured_at, a.model_id) == (
            b.quality,
            b.live,
            b.captured_at,
            b.model_id,
        )


def test_the_largest_sighting_is_far_under_the_limit_and_a_frame_is_over_it():
    packed = codec.pack(codec.Seen(faces.sighting(*big())))
    assert len(packed) < 30_000
    with pytest.raises(ValueError, match="too long"):
        codec.pack(codec.Seen(faces.sighting(*big(40))))


def test_orders_and_reports_come_out_as_they_went_in():
    setup = codec.Setup(
        epoch=4,
        cameras=(Camera(id="a", url="rtsp://x/y"),),
        liveness=("a",),
        vision=Vision(),
        recognition=Recognition(),
        models_folder="/models",
        threads=2,
    )
    settle = codec.Settle(camera_id=CameraId("a"), track_id=9, settled=Settled.AGAIN)
    for order in (setup, settle, codec.Stop()):
        assert codec.unpack_for_worker(codec.pack(order)[4:]) == order
    for told in (codec.Ready(epoch=1, has_liveness=True), codec.Report(report()), codec.Beat()):
        assert carried(told) == told


@pytest.mark.parametrize(
    "changes",
    [
        {"live": math.nan},
        {"live": 1.5},
        {"live": -0.1},
        {"quality": faces.quality(math.nan)},
        {"quality": faces.quality(7.0)},
        {"media_time_s": math.inf},
        {"captured_at": datetime(2026, 1, 1)},  # noqa: DTZ001  # that is what is refused
    ],
)
def test_a_sample_with_figures_that_are_none_is_refused(changes):
    bad = replace(faces.sample(faces.axis(0)), **changes)
    with pytest.raises(codec.MalformedMessage):
        carried(codec.Seen(faces.sighting(bad)))


@pytest.mark.parametrize("raw", [b"", b"\0\0", b"\0" * 64, np.full(16, np.nan, "<f4").tobytes()])
def test_an_embedding_without_direction_is_refused(raw):
    tree = msgspec.msgpack.decode(codec.pack(codec.Seen(faces.sighting(faces.sample(faces.axis(0)))))[4:])
    tree["sighting"]["samples"][0]["embedding"] = raw
    with pytest.raises(codec.MalformedMessage):
        codec.unpack_for_control(msgspec.msgpack.encode(tree))


def test_samples_of_two_sizes_are_refused():
    mixed = faces.sighting(faces.sample(faces.axis(0)), *big(1))
    with pytest.raises(codec.MalformedMessage):
        carried(codec.Seen(mixed))


def test_times_that_are_none_are_refused():
    for bad in (
        replace(faces.sighting(), media_time_s=math.nan),
        replace(faces.sighting(), stages=replace(faces.NO_TIMES, embed=math.inf)),
        replace(faces.sighting(), captured_at=datetime.now(UTC).replace(tzinfo=None)),
    ):
        with pytest.raises(codec.MalformedMessage):
            carried(codec.Seen(bad))


def test_a_report_that_talks_too_much_is_refused():
    for bad in (report(detail="x" * 3000), report(frame_age_ms=math.nan)):
        with pytest.raises(codec.MalformedMessage):
            carried(codec.Report(bad))


@given(st.binary(max_size=400))
def test_noise_is_refused_and_nothing_else_happens(noise):
    for unpack in (codec.unpack_for_control, codec.unpack_for_worker):
        try:
            unpack(noise)
        except codec.MalformedMessage:
            continue


@given(st.data())
def test_a_spoilt_sighting_is_refused_or_still_one(data):
    body = bytearray(codec.pack(codec.Seen(faces.sighting(*big(2, 16))))[4:])
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        message = codec.unpack_for_control(bytes(body))
    except codec.MalformedMessage:
        return
    assert isinstance(message, codec.Seen)
    for sample in message.sighting.samples:
        assert np.isfinite(sample.embedding).all()
        assert sample.live is None or 0 <= sample.live <= 1


def test_control_does_not_take_orders():
    with pytest.raises(codec.MalformedMessage):
        codec.unpack_for_control(codec.pack(codec.Stop())[4:])


def test_reading_stops_at_the_end_and_refuses_the_endless():
    packed = codec.pack(codec.Beat())
    assert codec.read_blocking(io.BytesIO(packed)) == packed[4:]
    assert codec.read_blocking(io.BytesIO(b"")) is None
    assert codec.read_blocking(io.BytesIO(packed[:-1])) is None
    with pytest.raises(codec.MalformedMessage):
        codec.read_blocking(io.BytesIO(b"\xff\xff\xff\xff"))

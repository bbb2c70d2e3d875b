"""Messages between the control process and a vision worker: msgpack of fixed types, never pickle.

The worker parses hostile pictures; what it sends is decoded without executing anything, and is small.
"""

import math
import struct
from typing import Any, BinaryIO

import msgspec
import numpy as np

from gateway.domain.faces import FaceSample, freeze
from gateway.domain.ids import CameraId
from gateway.domain.sightings import CameraReport, Settled, Sighting
from gateway.settings import Camera, Recognition, Vision

LONGEST = 64 * 1024
"""Bytes of one message; a sighting with ten samples of 512 dimensions has under 30 000."""
_LONGEST_DETAIL = 2000
_LONGEST_PART = 1.01
LENGTH = struct.Struct(">I")


class Setup(msgspec.Struct, frozen=True, tag="setup", kw_only=True):
    """First message to a worker."""

    epoch: int
    cameras: tuple[Camera, ...]
    liveness: tuple[str, ...]
    """Cameras whose door requires it."""
    vision: Vision
    recognition: Recognition
    models_folder: str
    threads: int


class Settle(msgspec.Struct, frozen=True, tag="settle", kw_only=True):
    """Control has decided on a track."""

    camera_id: CameraId
    track_id: int
    settled: Settled


class Stop(msgspec.Struct, frozen=True, tag="stop"):
    """End in order."""


class Ready(msgspec.Struct, frozen=True, tag="ready", kw_only=True):
    """The models are loaded."""

    epoch: int
    has_liveness: bool


class Seen(msgspec.Struct, frozen=True, tag="seen"):
    """A sighting."""

    sighting: Sighting


class Report(msgspec.Struct, frozen=True, tag="report"):
    """A camera's state; also the heartbeat."""

    report: CameraReport


class Beat(msgspec.Struct, frozen=True, tag="beat"):
    """The analysis loop turns."""


ToWorker = Setup | Settle | Stop
ToControl = Ready | Seen | Report | Beat


class MalformedMessage(Exception):
    """The other side sent what it must not."""


def embedding_out(value: Any) -> Any:
    """What msgspec asks for an embedding: float32, little-endian."""
    if isinstance(value, np.ndarray):
        return value.astype("<f4").tobytes()
    raise NotImplementedError(type(value))


def embedding_in(_kind: type, value: Any) -> Any:
    """Inverse of ``embedding_out``: the only type msgspec does not know is an embedding."""
    if not isinstance(value, bytes):
        raise ValueError("an embedding that is not bytes")  # noqa: TRY004  # what the decoder's callers expect
    vector = np.frombuffer(value, "<f4")
    if not (np.abs(vector) < _LONGEST_PART).all():
        raise ValueError("an embedding that is not of unit length")
    return freeze(vector)


_encoder = msgspec.msgpack.Encoder(enc_hook=embedding_out)
_from_control = msgspec.msgpack.Decoder(ToWorker, dec_hook=embedding_in)
_from_worker = msgspec.msgpack.Decoder(ToControl, dec_hook=embedding_in)


def pack(message: ToWorker | ToControl) -> bytes:
    """A message with its length before it. Raises ValueError when it is too long."""
    body = _encoder.encode(message)
    if len(body) > LONGEST:
        raise ValueError(f"a message of {len(body)} bytes is too long")
    return LENGTH.pack(len(body)) + body


def unpack_for_control(body: bytes) -> ToControl:
    """Decode what a worker sent. Raises MalformedMessage."""
    try:
        message: ToControl = _from_worker.decode(body)
    except (msgspec.MsgspecError, ValueError) as error:
        raise MalformedMessage(str(error)) from error
    if isinstance(message, Seen):
        _check_sighting(message.sighting)
    elif isinstance(message, Report):
        _check_report(message.report)
    return message


def _check_sighting(sighting: Sighting) -> None:
    """Numbers that are none, and times without a zone, would pass comparisons that keep a door shut."""
    stages = sighting.stages
    times = [getattr(stages, name) for name in stages.__slots__]
    media = () if sighting.media_time_s is None else (sighting.media_time_s,)
    if not all(map(math.isfinite, (*times, *media))) or sighting.captured_at.tzinfo is None:
        raise MalformedMessage("a sighting's times are not times")
    sizes = {s.embedding.size for s in sighting.samples}
    if len(sizes) > 1 or not all(map(_good, sighting.samples)):
        raise MalformedMessage("a sample's figures are out of range")


def _good(sample: FaceSample) -> bool:
    quality = sample.quality
    measured = (quality.eye_distance_px, quality.sharpness, quality.luma, quality.yaw, quality.pitch)
    media = () if sample.media_time_s is None else (sample.media_time_s,)
    return (
        (sample.live is None or 0 <= sample.live <= 1)
        and 0 <= quality.score <= 1
        and all(map(math.isfinite, (*measured, quality.roll_deg, *media)))
        and sample.captured_at.tzinfo is not None
    )


def _check_report(report: CameraReport) -> None:
    age = report.frame_age_ms
    if len(report.detail) > _LONGEST_DETAIL or not (age is None or math.isfinite(age)):
        raise MalformedMessage("a camera report's figures are out of range")


def unpack_for_worker(body: bytes) -> ToWorker:
    """Decode what control sent. Raises MalformedMessage."""
    try:
        message: ToWorker = _from_control.decode(body)
    except (msgspec.MsgspecError, ValueError) as error:
        raise MalformedMessage(str(error)) from error
    return message


def read_blocking(stream: BinaryIO) -> bytes | None:
    """Next message body from a blocking stream; None at its end. Raises MalformedMessage."""
    head = stream.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    (length,) = LENGTH.unpack(head)
    if length > LONGEST:
        raise MalformedMessage(f"announces {length} bytes")
    body = stream.read(length)
    return body if len(body) == length else None

"""Messages between the control process and the one that looks at photographs: msgpack, never pickle.

That process decodes whatever people upload; what it says is decoded without executing anything, and checked.
"""

import math
import socket
import struct

import msgspec

from gateway.domain.enrolment import FacesInPicture, PhotoFace
from gateway.vision.codec import MalformedMessage, embedding_in, embedding_out

LONGEST = 80_000_000
"""Bytes of one message: a camera's picture of 24 megapixels, or an upload and more."""
_LENGTH = struct.Struct(">I")
_MOST_FACES = 2000


class Look(msgspec.Struct, frozen=True, tag="look"):
    """An encoded photograph."""

    data: bytes


class Frame(msgspec.Struct, frozen=True, tag="frame"):
    """A camera's picture, BGR, rows from the top."""

    height: int
    width: int
    data: bytes


class Loaded(msgspec.Struct, frozen=True, tag="loaded"):
    """The models are there."""

    model_id: str


class Seen(msgspec.Struct, frozen=True, tag="seen"):
    """What a picture shows."""

    found: FacesInPicture


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """The picture is at fault."""

    code: str
    message: str


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """The process is at fault, or what it was given."""

    message: str


Asked = Look | Frame
Said = Loaded | Seen | Refused | Failed

_encoder = msgspec.msgpack.Encoder(enc_hook=embedding_out)
_asked = msgspec.msgpack.Decoder(Asked)
_said = msgspec.msgpack.Decoder(Said, dec_hook=embedding_in)


def send(link: socket.socket, message: Asked | Said) -> None:
    """Blocking. Raises OSError (TimeoutError), MalformedMessage for what is too long."""
    body = _encoder.encode(message)
    if len(body) > LONGEST:
        raise MalformedMessage(f"a message of {len(body)} bytes is too long")
    link.sendall(_LENGTH.pack(len(body)))
    link.sendall(body)


def receive_asked(link: socket.socket) -> Asked | None:
    """Blocking; None when the other side has gone. Raises MalformedMessage."""
    body = _body(link)
    try:
        return None if body is None else _asked.decode(body)
    except msgspec.MsgspecError as error:
        raise MalformedMessage(str(error)) from error


def receive_said(link: socket.socket) -> Said | None:
    """Blocking; None when the other side has gone. Raises OSError (TimeoutError), MalformedMessage."""
    body = _body(link)
    if body is None:
        return None
    try:
        said: Said = _said.decode(body)
    except (msgspec.MsgspecError, ValueError) as error:
        raise MalformedMessage(str(error)) from error
    if isinstance(said, Seen):
        _check(said.found)
    return said


def _check(found: FacesInPicture) -> None:
    """Numbers that are none would pass comparisons that refuse a photograph."""
    if len(found.faces) > _MOST_FACES or not all(map(_good, found.faces)):
        raise MalformedMessage("a face's figures are out of range")
    sizes = {face.embedding.size for face in found.faces if face.embedding is not None}
    if len(sizes) > 1:
        raise MalformedMessage("embeddings of different sizes")


def _good(face: PhotoFace) -> bool:
    box, quality = face.detection.box, face.quality
    points = [number for point in face.detection.landmarks for number in point]
    measured = [m.value for m in face.measures]
    shares = [quality.score, face.detection.score, *(m.score for m in face.measures)]
    if face.live is not None:
        shares.append(face.live)
    figures = (box.x, box.y, box.w, box.h, *points, *measured)
    more = (quality.eye_distance_px, quality.sharpness, quality.luma, quality.yaw, quality.pitch)
    return all(map(math.isfinite, (*figures, *more, quality.roll_deg))) and all(0 <= s <= 1 for s in shares)


def _body(link: socket.socket) -> bytes | None:
    head = _exactly(link, _LENGTH.size)
    if head is None:
        return None
    (length,) = _LENGTH.unpack(head)
    if length > LONGEST:
        raise MalformedMessage(f"announces {length} bytes")
    return _exactly(link, length)


def _exactly(link: socket.socket, count: int) -> bytes | None:
    got = bytearray(count)
    view, at = memoryview(got), 0
    while at < count:
        size = link.recv_into(view[at:])
        if size == 0:
            return None
        at += size
    return bytes(got)

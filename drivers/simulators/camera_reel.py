"""A film held in memory as the access units a camera's encoder would put out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.domain.errors import InvalidInput

_START = b"\x00\x00\x01"
SPS, PPS, DELIMITER = 7, 8, 9
"""NAL unit types of H.264 (ITU-T H.264, table 7-1)."""


@dataclass(frozen=True, slots=True)
class AccessUnit:
    """One coded picture: its NAL units without start codes, in decoding order."""

    nals: tuple[bytes, ...]
    due_s: float
    """When it leaves the encoder, seconds from the film's start."""
    shown_s: float
    """When its picture is shown; differs from ``due_s`` only in films with B-frames."""
    key: bool
    """Decoding can start here."""


@dataclass(frozen=True, slots=True)
class Reel:
    """A whole film."""

    path: Path
    units: tuple[AccessUnit, ...]
    sps: bytes
    pps: bytes
    interval_s: float
    """Time from the last picture of one round to the first of the next."""

    @property
    def fps(self) -> float:
        """Pictures a second."""
        return 1.0 / self.interval_s

    def key_at_or_before(self, index: int) -> int:
        """The picture from which ``index`` can be decoded."""
        return next((i for i in range(index, -1, -1) if self.units[i].key), 0)

    def shown_rank(self) -> tuple[int, ...]:
        """For each unit the place of its picture in the order of showing."""
        order = sorted(range(len(self.units)), key=lambda i: self.units[i].shown_s)
        rank = [0] * len(order)
        for place, i in enumerate(order):
            rank[i] = place
        return tuple(rank)


def split_annex_b(data: bytes) -> tuple[bytes, ...]:
    """NAL units between start codes (ITU-T H.264 annex B), without trailing zero bytes."""
    nals = []
    start = data.find(_START)
    while start != -1:
        start += len(_START)
        end = data.find(_START, start)
        nal = (data[start:] if end == -1 else data[start:end]).rstrip(b"\x00")
        if nal:
            nals.append(nal)
        start = end
    return tuple(nals)


def load(path: Path) -> Reel:
    """Read an H.264 film, MP4 or Annex B. Blocking; needs PyAV (extra ``demo``). Raises InvalidInput."""
    import av  # an optional extra, heavy to load

    try:
        with av.open(str(path)) as container:
            video = container.streams.video[0] if container.streams.video else None
            if video is None or video.codec_context.name != "h264":
                raise InvalidInput(f"{path}: holds no H.264 video; encode it as H.264 first")
            interval = 1.0 / float(video.average_rate or video.guessed_rate or 25)
            packets = _as_annex_b(av, container, video)
    except (av.error.FFmpegError, OSError) as error:
        raise InvalidInput(f"{path}: cannot be read as a film ({error})") from error
    units = [_unit(i, packet, interval) for i, packet in enumerate(packets)]
    return _reel(path, units, interval)


def jpegs(reel: Reel, quality: int = 88) -> tuple[bytes, ...]:
    """The film's pictures as JPEG, in the order they are shown. Blocking."""
    import av
    import cv2

    with av.open(str(reel.path)) as container:
        return tuple(
            cv2.imencode(".jpg", frame.to_ndarray(format="bgr24"), [cv2.IMWRITE_JPEG_QUALITY, quality])[
                1
            ].tobytes()
            for frame in container.decode(video=0)
        )


def _as_annex_b(av: Any, container: Any, video: Any) -> list[Any]:
    convert = av.BitStreamFilterContext("h264_mp4toannexb", video)
    return [out for packet in container.demux(video) if packet.size for out in convert.filter(packet)]


def _unit(index: int, packet: Any, interval: float) -> AccessUnit:
    base = float(packet.time_base) if packet.time_base else 0.0
    due = index * interval if packet.dts is None else packet.dts * base
    shown = due if packet.pts is None else packet.pts * base
    nals = tuple(n for n in split_annex_b(bytes(packet)) if n[0] & 31 != DELIMITER)
    return AccessUnit(nals, due, shown, bool(packet.is_keyframe))


def _reel(path: Path, units: Sequence[AccessUnit], interval: float) -> Reel:
    kinds = {n[0] & 31: n for u in units for n in u.nals if n[0] & 31 in {SPS, PPS}}
    if len(kinds) < 2 or not units[0].key:
        raise InvalidInput(f"{path}: does not begin with a key frame that names its parameters")
    zero, shown_zero = units[0].due_s, units[0].shown_s
    units = [AccessUnit(u.nals, u.due_s - zero, u.shown_s - shown_zero, u.key) for u in units]
    return Reel(path, tuple(units), kinds[SPS], kinds[PPS], interval)

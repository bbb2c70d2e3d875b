"""H.264 over RTP: RFC 3550 headers, RFC 6184 payloads (single NAL units and FU-A), RFC 4566 description."""

import base64
import secrets
import struct
from collections.abc import Iterator, Sequence

CLOCK_HZ = 90_000
PAYLOAD_TYPE = 96
MAX_PAYLOAD = 1400
"""Bytes of payload a packet: fits Ethernet's MTU with all headers."""
_NTP_EPOCH = 2_208_988_800
_FU_A = 28


class RtpSender:
    """Numbers and packs the packets of one receiver's stream."""

    def __init__(self) -> None:
        self.ssrc = secrets.randbits(32)
        self.sequence = secrets.randbits(16)
        self._offset = secrets.randbits(32)
        self._packets = 0
        self._octets = 0

    def timestamp(self, media_s: float) -> int:
        """RTP timestamp of a media time in seconds."""
        return (self._offset + round(media_s * CLOCK_HZ)) & 0xFFFFFFFF

    def packets(self, nals: Sequence[bytes], media_s: float) -> Iterator[bytes]:
        """RTP packets of one picture; the last one carries the marker bit."""
        stamp = self.timestamp(media_s)
        payloads = [p for nal in nals for p in fragment(nal)]
        for i, payload in enumerate(payloads):
            marker = 0x80 if i == len(payloads) - 1 else 0
            head = struct.pack("!BBHII", 0x80, marker | PAYLOAD_TYPE, self.sequence, stamp, self.ssrc)
            self.sequence = (self.sequence + 1) & 0xFFFF
            self._packets += 1
            self._octets += len(payload)
            yield head + payload

    def report(self, media_s: float, unix_s: float) -> bytes:
        """RTCP sender report with a CNAME: ties the media time to the wall clock."""
        seconds, fraction = divmod(unix_s + _NTP_EPOCH, 1.0)
        sender = struct.pack(
            "!BBHIIIIII",
            *(0x80, 200, 6, self.ssrc, int(seconds) & 0xFFFFFFFF, int(fraction * 2**32)),
            *(self.timestamp(media_s), self._packets & 0xFFFFFFFF, self._octets & 0xFFFFFFFF),
        )
        return sender + _source_description(self.ssrc)

    def goodbye(self) -> bytes:
        """RTCP BYE, after an empty receiver report as a compound packet must begin with one."""
        return struct.pack("!BBHIBBHI", 0x80, 201, 1, self.ssrc, 0x81, 203, 1, self.ssrc)


def fragment(nal: bytes) -> Iterator[bytes]:
    """One NAL unit as payloads: whole if it fits, else FU-A fragments (RFC 6184 §5.8)."""
    if len(nal) <= MAX_PAYLOAD:
        yield nal
        return
    indicator = nal[0] & 0xE0 | _FU_A
    step = MAX_PAYLOAD - 2
    for start in range(1, len(nal), step):
        first = 0x80 if start == 1 else 0
        last = 0x40 if start + step >= len(nal) else 0
        yield bytes((indicator, first | last | nal[0] & 0x1F)) + nal[start : start + step]


def description(sps: bytes, pps: bytes, host: str) -> str:
    """The SDP a camera answers DESCRIBE with; the track is called ``trackID=0``."""
    sprop = "sprop-parameter-sets=" + ",".join(base64.b64encode(s).decode("ascii") for s in (sps, pps))
    level = sps[1:4].hex().upper()
    family = "IP6" if ":" in host else "IP4"
    return "\r\n".join(
        (
            "v=0",
            f"o=- 0 1 IN {family} {host}",
            "s=Simulated camera",
            f"c=IN {family} {'::' if family == 'IP6' else '0.0.0.0'}",  # noqa: S104  # SDP's "anywhere"
            "t=0 0",
            "a=range:npt=now-",
            f"m=video 0 RTP/AVP {PAYLOAD_TYPE}",
            f"a=rtpmap:{PAYLOAD_TYPE} H264/{CLOCK_HZ}",
            f"a=fmtp:{PAYLOAD_TYPE} packetization-mode=1;profile-level-id={level};{sprop}",
            "a=control:trackID=0",
            "",
        )
    )


def _source_description(ssrc: int) -> bytes:
    name = b"camera"
    chunk = struct.pack("!IBB", ssrc, 1, len(name)) + name + b"\x00"
    chunk += bytes(-len(chunk) % 4)
    return struct.pack("!BBH", 0x81, 202, len(chunk) // 4) + chunk

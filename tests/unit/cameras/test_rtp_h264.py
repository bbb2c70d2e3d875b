import struct

from hypothesis import given
from hypothesis import strategies as st

from drivers.simulators.camera_reel import split_annex_b
from drivers.simulators.rtp_h264 import MAX_PAYLOAD, RtpSender, description, fragment


def joined(payloads: list[bytes]) -> list[bytes]:
    """What RFC 6184 says a receiver makes of them."""
    nals: list[bytes] = []
    for payload in payloads:
        if payload[0] & 31 != 28:
            nals.append(payload)
        elif payload[1] & 0x80:
            nals.append(bytes((payload[0] & 0xE0 | payload[1] & 31,)) + payload[2:])
        else:
            nals[-1] += payload[2:]
    return nals


@given(st.binary(min_size=1, max_size=5000).map(lambda b: b"\x65" + b))
def test_fragments_are_small_and_join_to_what_they_were(nal: bytes) -> None:
    payloads = list(fragment(nal))
    assert joined(payloads) == [nal]
    assert max(map(len, payloads)) <= MAX_PAYLOAD
    starts = [p[1] & 0x80 for p in payloads if p[0] & 31 == 28]
    ends = [p[1] & 0x40 for p in payloads if p[0] & 31 == 28]
    assert (sum(map(bool, starts)), sum(map(bool, ends))) in {(0, 0), (1, 1)}


def test_packets_of_a_picture_share_a_time_and_the_last_is_marked() -> None:
    sender = RtpSender()
    sender.sequence = 65535
    packets = list(sender.packets([b"\x67abc", b"\x65" + bytes(3000)], 2.0))
    heads = [struct.unpack("!BBHII", p[:12]) for p in packets]
    assert [h[2] for h in heads] == [65535, 0, 1, 2]
    assert {h[3] for h in heads} == {sender.timestamp(2.0)}
    assert [h[1] >> 7 for h in heads] == [0, 0, 0, 1]
    assert (sender.timestamp(3.0) - sender.timestamp(2.0)) % 2**32 == 90_000


def test_a_sender_report_counts_what_was_sent() -> None:
    sender = RtpSender()
    list(sender.packets([b"\x41abcd"], 0.0))
    report = sender.report(1.0, 0.5)
    kind, words, ssrc, seconds, fraction, _, packets, octets = struct.unpack("!xBHIIIIII", report[:28])
    assert (kind, words, ssrc, packets, octets) == (200, 6, sender.ssrc, 1, 5)
    assert (seconds, fraction) == (2_208_988_800, 1 << 31)
    assert len(report) % 4 == 0


def test_the_description_names_the_parameter_sets() -> None:
    text = description(b"\x67\x42\xc0\x1erest", b"\x68pps", "127.0.0.1")
    assert "profile-level-id=42C01E" in text
    assert "sprop-parameter-sets=Z0LAHnJlc3Q=,aHBwcw==" in text
    assert text.endswith("a=control:trackID=0\r\n")


def test_start_codes_of_both_lengths() -> None:
    assert split_annex_b(b"\x00\x00\x00\x01ab\x00\x00\x01cd\x00\x00\x00\x01e\x00") == (b"ab", b"cd", b"e")

"""Devices made from profiles: memory, pulses, watchdogs, counters, latches, and frames on a line."""

import asyncio
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.simulators.memory import Cell, Memory
from drivers.simulators.modbus_wire import Asked, Mbap, Rtu, crc16
from drivers.simulators.profiled import ProfiledDevice
from tests.fakes.profiled_rig import PROFILES, hastened


def device(name: str) -> ProfiledDevice:
    return ProfiledDevice(hastened(PROFILES[name]))


def read(made: ProfiledDevice, function: int, address: int, count: int = 1) -> bytes:
    return made.answer(struct.pack(">BHH", function, address, count))


def write(made: ProfiledDevice, function: int, address: int, value: int) -> bytes:
    return made.answer(struct.pack(">BHH", function, address, value))


@pytest.mark.parametrize("name", sorted(PROFILES))
async def test_all_outputs_are_off_after_power_on(name: str) -> None:
    made = device(name)
    assert not any(made.relays.contact(n) for n in range(1, made.relays.count + 1))


@pytest.mark.parametrize("name", sorted(PROFILES))
async def test_what_is_not_there_answers_exception_2_and_nothing_moves(name: str) -> None:
    made = device(name)
    for function in (1, 2, 3, 4):
        assert read(made, function, 0xFFF0) == bytes([function | 0x80, 2])
    assert write(made, 5, 0xFFF0, 0xFF00) == b"\x85\x02"
    assert write(made, 6, 0xFFF0, 1) == b"\x86\x02"
    assert made.answer(b"\x2b\x0e\x01\x00") == b"\xab\x01"
    assert made.relays.edges == []


async def test_preset_pulses_take_their_length_from_registers() -> None:
    made = device("moxa-e1212")
    pulse = made.profile.outputs.pulse
    assert write(made, 5, pulse.start, 0xFF00) == b"\x85\x03", "no width, no pulse"
    write(made, 6, pulse.on_width.first, 100)
    made.answer(struct.pack(">BHHBHH", 16, pulse.count.first, 2, 4, 0, 1))
    assert write(made, 5, pulse.start, 0xFF00)[0] == 5
    edge = await made.relays.wait_edge(relay=1, on=False, timeout_s=2)
    assert 50 <= (edge.mono_ns - made.relays.edges[0].mono_ns) / 1e6 <= 600


async def test_a_watchdog_drops_what_is_on_when_nobody_speaks() -> None:
    made = device("wago-750")
    dog = made.profile.watchdog
    assert dog is not None
    assert read(made, 3, dog.running.address)[-1] != dog.running.equals
    write(made, 6, 0x1000, dog.timeout_ms // dog.unit_ms)
    assert read(made, 3, dog.running.address)[-1] == dog.running.equals
    write(made, 5, 0, 0xFF00)
    for _ in range(4):
        await asyncio.sleep(dog.timeout_ms / 2000)
        read(made, 2, 0)  # any request feeds it
    assert made.relays.contact(1)
    await made.relays.wait_edge(relay=1, on=False, timeout_s=dog.timeout_ms / 1000 + 2)
    assert made.watchdog is not None
    assert made.watchdog.expiries == 1


async def test_wago_reads_inputs_where_others_read_outputs() -> None:
    made = device("wago-750")
    write(made, 5, 0, 0xFF00)
    assert read(made, 1, 0)[-1] == 0
    assert read(made, 1, 0x0200)[-1] == 1
    made.inputs.put(1, high=True)
    assert read(made, 1, 0)[-1] == 1
    made.power_off("test")


async def test_counters_and_latches_keep_what_a_poll_would_miss() -> None:
    made = device("icpdas-et-2260")
    known = made.profile.inputs
    assert known is not None
    assert known.latches is not None
    made.inputs.put(1, high=True)
    made.inputs.put(1, high=False)
    assert read(made, 2, known.latches.high.first)[-1] == 1
    assert read(made, 2, known.latches.low.first)[-1] == 1
    write(made, 5, known.latches.clear_high.coil, 0xFF00)
    assert read(made, 2, known.latches.high.first)[-1] == 0
    assert read(made, 2, known.latches.low.first)[-1] == 1


async def test_the_reboot_flag_reads_once() -> None:
    made = device("tm-r5")
    flag = made.profile.rebooted
    assert flag is not None
    assert [read(made, 1, flag.address)[-1] for _ in range(2)] == [1, 0]
    made.power_off("test")
    assert read(made, 1, flag.address)[-1] == 1


def test_crc_of_the_specification_s_frames() -> None:
    assert struct.pack("<H", crc16(bytes.fromhex("010600010500"))) == bytes.fromhex("DB5A")
    assert struct.pack("<H", crc16(bytes.fromhex("010600010603"))) == bytes.fromhex("9BAB")


def stream(*parts: bytes) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    for part in parts:
        reader.feed_data(part)
    reader.feed_eof()
    return reader


def rtu(unit: int, pdu: bytes) -> bytes:
    body = bytes([unit]) + pdu
    return body + struct.pack("<H", crc16(body))


async def test_rtu_frames_are_found_among_rubbish_and_in_pieces() -> None:
    first, second = rtu(1, bytes.fromhex("0100000008")), rtu(2, bytes.fromhex("100000000102000A"))
    reader, wire = stream(b"\x00\xff", first[:3], first[3:] + second), Rtu()
    assert await wire.request(reader) == Asked(0, 1, first[1:-2])
    assert await wire.request(reader) == Asked(0, 2, second[1:-2])


async def test_a_wrong_checksum_is_silence() -> None:
    frame = bytearray(rtu(1, bytes.fromhex("0100000008")))
    frame[-1] ^= 1
    with pytest.raises(asyncio.IncompleteReadError):
        await Rtu().request(stream(bytes(frame)))


async def test_two_requests_in_one_segment_and_a_bad_head() -> None:
    one = struct.pack(">HHHB", 7, 0, 6, 1) + bytes.fromhex("0100000008")
    reader, wire = stream(one + one), Mbap()
    assert await wire.request(reader) == await wire.request(reader) == Asked(7, 1, one[7:])
    assert await Mbap().request(stream(struct.pack(">HHHB", 7, 9, 6, 1))) is None


@given(st.binary(min_size=1, max_size=40))
def test_no_request_makes_the_memory_fall_over(pdu: bytes) -> None:
    memory = Memory()
    memory.cells["coils", 0] = Cell(lambda: 1, lambda _raw: None)
    memory.keep("holding", 0, 7)
    reply = memory.answer(pdu)
    assert reply[0] in {pdu[0], pdu[0] | 0x80}

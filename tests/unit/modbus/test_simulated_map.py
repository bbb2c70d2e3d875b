"""The simulated board answers as the vendor's map says, and times its own pulses."""

import asyncio

import pytest

from drivers.simulators.modbus_faults import PULSES, Fault, FaultKind, FaultScript
from drivers.simulators.modbus_map import RegisterMap
from drivers.simulators.modbus_relays import Edge, Relays

FLASH_1 = bytes.fromhex("0502000003")


@pytest.fixture
def relays() -> Relays:
    return Relays(8)


@pytest.fixture
def board(relays: Relays) -> RegisterMap:
    return RegisterMap(relays, 1)


@pytest.mark.parametrize(
    ("request_pdu", "reply"),
    [
        ("0100000008", "010100"),
        ("0200000008", "020100"),
        ("0380000001", "030200c8"),
        ("0340000001", "03020001"),
        ("050000ff00", "050000ff00"),
        ("0500ff0000", "0500ff0000"),
        ("0640000001", "0640000001"),
        ("0f0000000801ff", "0f00000008"),
        ("10400000010200ff", "9003"),
        ("1040000001020001", "1040000001"),
    ],
)
def test_replies(board: RegisterMap, request_pdu: str, reply: str) -> None:
    assert board.answer(bytes.fromhex(request_pdu)).hex() == reply


@pytest.mark.parametrize(
    ("request_pdu", "code"),
    [
        ("0400000001", 1),
        ("2b0e0100", 1),
        ("0100080001", 2),
        ("0100000009", 2),
        ("0100000000", 3),
        ("01000007d1", 3),
        ("0200000009", 2),
        ("0300000001", 2),
        ("050008ff00", 2),
        ("0500001234", 3),
        ("0502000000", 3),
        ("0502080003", 2),
        ("05020000", 3),
        ("0612340001", 2),
        ("0640000000", 3),
        ("0f0000000902ff01", 2),
        ("0f0000000801", 3),
        ("0f00000000010f", 3),
    ],
)
def test_exceptions(board: RegisterMap, request_pdu: str, code: int) -> None:
    pdu = bytes.fromhex(request_pdu)
    assert board.answer(pdu) == bytes([pdu[0] | 0x80, code])


async def test_a_flash_ends_by_itself(board: RegisterMap, relays: Relays) -> None:
    assert board.answer(FLASH_1) == FLASH_1
    assert board.answer(bytes.fromhex("0100000008")) == bytes.fromhex("010101")
    off = await relays.wait_edge(on=False)
    assert 0.29 < (off.mono_ns - relays.edges[0].mono_ns) / 1e9 < 0.8
    assert (off.relay, off.why) == (1, "timer")


async def test_a_second_flash_starts_the_timer_again(board: RegisterMap, relays: Relays) -> None:
    board.answer(FLASH_1)
    await asyncio.sleep(0.2)
    board.answer(FLASH_1)
    off = await relays.wait_edge(on=False)
    assert (off.mono_ns - relays.edges[0].mono_ns) / 1e9 > 0.48
    assert relays.pulses(1) == 1


async def test_flash_off_comes_back_on(board: RegisterMap, relays: Relays) -> None:
    relays.write(0, on=True, why="before")
    board.answer(bytes.fromhex("0504000001"))
    assert not relays.contact(1)
    assert (await relays.wait_edge(2)).on


async def test_a_plain_write_ends_the_timer(board: RegisterMap, relays: Relays) -> None:
    board.answer(FLASH_1)
    board.answer(bytes.fromhex("0500000000"))
    await asyncio.sleep(0.4)
    assert [e.why for e in relays.edges] == ["flash on 3", "write"]


async def test_power_off_drops_everything_and_forgets_the_timers(board: RegisterMap, relays: Relays) -> None:
    board.answer(FLASH_1)
    relays.power_off("reboot")
    assert not relays.contact(1)
    assert [e.why for e in relays.edges] == ["flash on 3", "reboot"]


def test_a_welded_contact_stays_closed_while_its_coil_reads_off(board: RegisterMap, relays: Relays) -> None:
    relays.weld(1)
    board.answer(bytes.fromhex("050000ff00"))
    board.answer(bytes.fromhex("0500000000"))
    assert (relays.contact(1), relays.coil(0)) == (True, False)


def test_all_and_toggle_move_every_relay(board: RegisterMap, relays: Relays) -> None:
    board.answer(bytes.fromhex("0500ffff00"))
    assert all(relays.contact(i) for i in range(1, 9))
    board.answer(bytes.fromhex("0501ffff00"))
    assert not any(relays.contact(i) for i in range(1, 9))


async def test_wait_edge_gives_up_in_time_and_tells_each_edge(relays: Relays) -> None:
    with pytest.raises(TimeoutError):
        await relays.wait_edge(timeout_s=0.01)
    told: list[Edge] = []
    heard = Relays(2, told.append)
    heard.write(1, on=True, why="x")
    heard.write(1, on=True, why="again")
    assert [(e.relay, e.on, e.why) for e in told] == [(2, True, "x")]


def test_faults_strike_whom_they_are_meant_for_and_once() -> None:
    script = FaultScript()
    pulse_only = Fault(kind=FaultKind.DROP_AFTER, addresses=PULSES)
    script.once(pulse_only)
    assert script.take(bytes.fromhex("0100000008")) is None
    assert script.take(FLASH_1) is pulse_only
    assert script.take(FLASH_1) is None
    reads = Fault(kind=FaultKind.SILENT, functions=frozenset({1}))
    script.always(reads)
    assert script.take(FLASH_1) is None
    assert script.take(bytes.fromhex("0100000008")) is reads
    script.clear()
    assert script.take(bytes.fromhex("0100000008")) is None

"""What is read together: everything that touches or is numbered in one row, nothing that is not there."""

from drivers.modbus.frames import Echoed, ReadBits, ReadWords
from drivers.modbus.plan import Field, reads_of
from drivers.modbus.rows import Placed, merged


def bit(number: int, address: int, function: int = 2) -> Placed:
    return Placed(number, Field(read=ReadBits(1, function, address)))


def test_inputs_of_one_row_are_one_request_and_keep_their_places() -> None:
    fields = merged([bit(1, 16), bit(8, 23), bit(3, 18)])
    assert reads_of(list(fields.values())) == (ReadBits(1, 2, 16, 8),)
    reply = Echoed(sent_ns=1, done_ns=2, bits=(True, False, True, False, False, False, False, False))
    assert {n: f.bit(reply) for n, f in fields.items()} == {1: True, 3: True, 8: False}


def test_a_gap_that_is_not_the_rows_own_is_not_read_over() -> None:
    fields = merged([bit(1, 0), bit(2, 10)])
    assert len(reads_of(list(fields.values()))) == 2


def test_counters_of_two_registers_each_are_read_together() -> None:
    placed = [Placed(n, Field(read=ReadWords(1, 4, 0x10 + 2 * (n - 1), 2), words=2)) for n in (1, 2, 4)]
    fields = merged(placed)
    assert reads_of(list(fields.values())) == (ReadWords(1, 4, 0x10, 8),)
    reply = Echoed(sent_ns=1, done_ns=2, words=(0, 1, 0, 2, 0, 3, 1, 4))
    assert {n: f.number(reply) for n, f in fields.items()} == {1: 1, 2: 2, 4: 65_540}


def test_different_functions_never_share_a_request() -> None:
    fields = merged([bit(1, 0, 1), bit(2, 1, 2)])
    assert len(reads_of(list(fields.values()))) == 2


def test_bits_of_one_register_are_one_request() -> None:
    row = [Placed(n, Field(read=ReadWords(1, 4, 0x30), mask=1 << n - 1)) for n in (1, 2, 5)]
    fields = merged(row)
    assert reads_of(list(fields.values())) == (ReadWords(1, 4, 0x30),)
    reply = Echoed(sent_ns=1, done_ns=2, words=(0b10010,))
    assert {n: f.bit(reply) for n, f in fields.items()} == {1: False, 2: True, 5: True}


def test_a_request_stays_below_what_a_small_device_can_answer() -> None:
    row = [Placed(n, Field(read=ReadWords(1, 3, 2 * n, 2), words=2)) for n in range(1, 65)]
    reads = reads_of(list(merged(row).values()))
    assert sum(r.count for r in reads) == 128
    assert all(r.count <= 120 for r in reads)

"""What a reply proves, what may leave, and in which order."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.modbus.frames import (
    Ambiguous,
    Echoed,
    Job,
    JobQueue,
    NotSent,
    Priority,
    ReadBits,
    ReadWords,
    Refused,
    Reply,
    Request,
    WriteCoil,
    WriteWord,
    WriteWords,
    judge,
)

PULSE = WriteCoil(unit=1, address=0x0200, value=30)
READ = ReadBits(unit=1, function=1, address=0, count=3)
LATER = 10**18


def job(request: WriteCoil | ReadBits, priority: Priority = Priority.UNLOCK, before_ns: int = LATER) -> Job:
    made = Job(request, priority, before_ns)
    made.sent_ns = 100
    return made


def echo(**changes: object) -> Reply:
    return Reply(**{"transaction": 7, "unit": 1, "function": 5, "echo": (0x0200, 30), **changes})


async def test_only_the_exact_echo_counts() -> None:
    assert judge(job(PULSE), 7, echo(), 200) == Echoed(sent_ns=100, done_ns=200)


@pytest.mark.parametrize(
    "changes",
    [
        {"transaction": 8},
        {"transaction": 0},
        {"unit": 2},
        {"function": 1, "echo": None, "bits": (False,) * 8},
        {"echo": (0x0201, 30)},
        {"echo": (0x0200, 31)},
        {"echo": (0x0200, 0xFF00)},
        {"echo": None},
        {"function": 1, "exception": 2},
    ],
)
async def test_every_other_reply_is_a_lie_and_proves_nothing(changes: dict[str, object]) -> None:
    result = judge(job(PULSE), 7, echo(**changes), 200)
    assert isinstance(result, Ambiguous)
    assert result.lied
    assert (result.sent_ns, result.done_ns) == (100, 200)


async def test_a_read_gives_the_bits_asked_for_without_the_padding() -> None:
    bits = (True, False, True) + (True,) * 5
    result = judge(job(READ), 7, Reply(transaction=7, unit=1, function=1, bits=bits), 200)
    assert result == Echoed(sent_ns=100, done_ns=200, bits=(True, False, True))


@pytest.mark.parametrize("length", [0, 1, 3, 7, 16])
async def test_a_read_of_the_wrong_size_is_a_lie(length: int) -> None:
    result = judge(job(READ), 7, Reply(transaction=7, unit=1, function=1, bits=(True,) * length), 200)
    assert isinstance(result, Ambiguous)
    assert result.lied


@pytest.mark.parametrize("code", [1, 2, 3, 6, 0x0A])
async def test_exceptions_that_say_nothing_was_done(code: int) -> None:
    result = judge(job(PULSE), 7, echo(exception=code, echo=None), 200)
    assert isinstance(result, Refused)
    assert result.code == code


@given(st.integers(0, 255).filter(lambda c: c not in {1, 2, 3, 6, 0x0A}))
def test_every_other_exception_is_ambiguous(code: int) -> None:
    async def check() -> None:
        result = judge(job(PULSE), 7, echo(exception=code, echo=None), 200)
        assert isinstance(result, Ambiguous)
        assert not result.lied
        assert str(code) in result.why

    asyncio.run(check())


@pytest.mark.parametrize(
    ("request_", "reply", "right"),
    [
        (ReadWords(1, 3, 5, 2), {"function": 3, "words": (1, 2)}, True),
        (ReadWords(1, 3, 5, 2), {"function": 3, "words": (1,)}, False),
        (ReadWords(1, 3, 5, 2), {"function": 3, "words": (1, 2, 3)}, False),
        (ReadWords(1, 3, 5, 2), {"function": 4, "words": (1, 2)}, False),
        (ReadWords(1, 4, 5, 1), {"function": 4, "words": ()}, False),
        (WriteWord(1, 5, 9), {"function": 6, "echo": (5, 9)}, True),
        (WriteWord(1, 5, 9), {"function": 6, "echo": (5, 8)}, False),
        (WriteWord(1, 5, 9), {"function": 6, "echo": (4, 9)}, False),
        (WriteWord(1, 5, 9), {"function": 6, "echo": None}, False),
        (WriteWord(1, 5, 9), {"function": 16, "echo": (5, 9)}, False),
        (WriteWords(1, 5, (9, 8)), {"function": 16, "echo": (5, 2)}, True),
        (WriteWords(1, 5, (9, 8)), {"function": 16, "echo": (5, 1)}, False),
        (WriteWords(1, 5, (9, 8)), {"function": 16, "echo": (6, 2)}, False),
        (WriteWords(1, 5, (9, 8)), {"function": 6, "echo": (5, 2)}, False),
    ],
)
async def test_registers_are_believed_by_function_address_value_and_count(
    request_: Request, reply: dict[str, object], right: bool
) -> None:
    made = Job(request_, Priority.LOCK, LATER, sent_ns=100)
    result = judge(made, 0, Reply(transaction=0, unit=1, **reply), 200)
    assert isinstance(result, Echoed if right else Ambiguous)
    assert right or result.lied


async def test_the_queue_goes_by_priority_then_by_arrival() -> None:
    queue = JobQueue()
    jobs = [job(READ, p) for p in (Priority.POLL, Priority.LOCK, Priority.UNLOCK, Priority.LOCK)]
    for one in jobs:
        queue.push(one)
    assert [queue.pop() for _ in range(5)] == [jobs[2], jobs[1], jobs[3], jobs[0], None]


async def test_within_a_priority_whoever_may_take_a_time_out_goes_last() -> None:
    queue = JobQueue()
    silent, alive, urgent = job(READ, Priority.LOCK), job(READ, Priority.LOCK), job(READ)
    queue.push(silent, last=True)
    queue.push(alive)
    queue.push(urgent, last=True)
    assert [queue.pop() for _ in range(3)] == [urgent, alive, silent]


async def test_the_queue_forgets_who_has_stopped_waiting() -> None:
    queue = JobQueue()
    gone, answered, left = job(PULSE), job(PULSE), job(PULSE)
    for one in (gone, answered, left):
        queue.push(one)
    gone.future.cancel()
    answered.settle(NotSent(why="x"))
    assert queue.pop() is left
    assert queue.pop() is None


async def test_a_job_leaves_neither_late_nor_against_its_condition_nor_for_nobody() -> None:
    one = Job(PULSE, Priority.UNLOCK, 1000)
    assert one.why_not(999) is None
    assert "deadline" in (one.why_not(1000) or "")
    barred = Job(PULSE, Priority.UNLOCK, 1000, lambda: "the door is closing")
    assert barred.why_not(1) == "the door is closing"
    one.future.cancel()
    assert "nobody" in (one.why_not(1) or "")


async def test_a_job_has_one_result() -> None:
    one = job(PULSE)
    one.settle(NotSent(why="first"))
    one.settle(NotSent(why="second"))
    one.fail(RuntimeError("third"))
    assert await one.future == NotSent(why="first")

"""What is remembered of grants, of round trips and of alarms."""

from drivers.modbus.alarms import Alarms
from drivers.modbus.frames import Ambiguous, Echoed, NotSent, Refused
from drivers.modbus.grant_memory import _KEEP, _MOST, GrantMemory
from drivers.modbus.meter import Meter, Meters
from gateway.domain.decisions import Grant
from gateway.domain.ids import AccessPointId, GrantId, PersonId


def grant(number: int, expires_ns: int) -> Grant:
    return Grant(
        grant_id=GrantId(f"g{number}"),
        access_point_id=AccessPointId("door"),
        person_id=PersonId("person"),
        expires_ns=expires_ns,
    )


async def test_only_grants_that_have_expired_are_forgotten() -> None:
    memory = GrantMemory()
    for i in range(_KEEP):
        memory.begin(grant(i, 1000 + i), 0)
    memory.begin(grant(_KEEP, 5000), 1000)
    assert memory.find(GrantId("g0")) is None
    assert all(memory.find(GrantId(f"g{i}")) is not None for i in range(1, _KEEP + 1))


async def test_memory_is_bounded_and_a_full_one_takes_no_more() -> None:
    memory = GrantMemory()
    for i in range(_MOST):
        assert memory.begin(grant(i, 10**9), 0) is not None
    assert memory.begin(grant(_MOST, 10**9), 0) is None
    assert memory.find(GrantId("g0")) is not None
    assert memory.begin(grant(_MOST, 10**9), 10**9) is not None


def test_the_meter_counts_what_left() -> None:
    meter = Meter()
    assert meter.rtt_p99_ms is None
    for i in range(1, 101):
        meter.count(Echoed(sent_ns=0, done_ns=i * 1_000_000))
    assert meter.rtt_p99_ms == 99.0
    meter.count(Ambiguous(why="x", sent_ns=0, done_ns=1))
    meter.count(Refused(code=2, why="x", sent_ns=0, done_ns=1))
    meter.count(NotSent(why="x"))
    assert meter.failures == 2
    meter.count(Echoed(sent_ns=0, done_ns=7))
    assert (meter.failures, meter.last_ok_ns) == (0, 7)


def test_a_healthy_unit_does_not_show_a_dead_neighbour_s_failures() -> None:
    meters = Meters()
    healthy, dead = meters.of(1), meters.of(2)
    meters.count(2, Ambiguous(why="x", sent_ns=0, done_ns=1))
    meters.count(1, Echoed(sent_ns=0, done_ns=5_000_000))
    meters.count(2, Ambiguous(why="x", sent_ns=0, done_ns=1))
    assert (healthy.failures, dead.failures, meters.all.failures) == (0, 2, 1)
    assert (healthy.rtt_p99_ms, dead.rtt_p99_ms, meters.all.last_ok_ns) == (5.0, None, 5_000_000)
    meters.failed()  # a connection that fails is everybody's
    assert (healthy.failures, dead.failures, meters.all.failures) == (1, 3, 2)


def test_alarms_stand_or_fade() -> None:
    alarms = Alarms()
    alarms.stand("refused")
    alarms.flash("foreign_write", 0)
    assert alarms.at(59_000_000_000) == {"refused", "foreign_write"}
    assert alarms.at(60_000_000_000) == {"refused"}
    alarms.clear("refused")
    assert alarms.at(60_000_000_000) == frozenset()

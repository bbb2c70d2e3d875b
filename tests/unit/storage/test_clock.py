"""The machine's clocks."""

import time
from datetime import timedelta

from gateway.telemetry.clock import SystemClock


def test_records_are_in_utc_and_deadlines_on_the_clock_that_all_processes_share() -> None:
    clock = SystemClock()
    assert clock.now().utcoffset() == timedelta(0)
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    now = clock.monotonic_ns()
    assert before <= now <= time.clock_gettime_ns(time.CLOCK_MONOTONIC)

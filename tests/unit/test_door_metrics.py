"""What Prometheus reads of each door."""

from gateway.domain.doors import DoorHealth, Link
from gateway.domain.ids import DoorId
from gateway.telemetry.door_metrics import registry
from tests.fakes.clock import FakeClock


def health(**changes: object) -> DoorHealth:
    known: dict[str, object] = {
        "door_id": DoorId("main"),
        "link": Link.UP,
        "detail": "",
        "last_ok_ns": 0,
        "rtt_p99_ms": 2.5,
        "failures": 3,
        "alarms": frozenset({"stuck_on"}),
        "facts": {"class": "B", "profile": "WAGO 750", "unit": "1"},
    }
    return DoorHealth(**{**known, **changes})


def test_every_fact_has_its_sample() -> None:
    clock = FakeClock()
    found = registry(lambda: [health(last_ok_ns=clock.monotonic_ns() - 2_000_000_000)], clock)
    door = {"door": "main"}
    assert found.get_sample_value("facegate_door_link", {**door, "state": "up"}) == 1
    assert found.get_sample_value("facegate_door_link", {**door, "state": "down"}) == 0
    assert found.get_sample_value("facegate_door_ready", door) == 1
    assert found.get_sample_value("facegate_door_last_reply_age_seconds", door) == 2
    assert found.get_sample_value("facegate_door_round_trip_p99_seconds", door) == 0.0025
    assert found.get_sample_value("facegate_door_failed_requests", door) == 3
    assert found.get_sample_value("facegate_door_alarm", {**door, "alarm": "stuck_on"}) == 1
    device = {**door, "class": "B", "profile": "WAGO 750", "unit": "1"}
    assert found.get_sample_value("facegate_door_device_info", device) == 1


def test_what_is_not_known_has_no_sample() -> None:
    found = registry(
        lambda: [health(link=Link.UNARMED, last_ok_ns=None, rtt_p99_ms=None, alarms=frozenset())], FakeClock()
    )
    door = {"door": "main"}
    assert found.get_sample_value("facegate_door_ready", door) == 0
    assert found.get_sample_value("facegate_door_link", {**door, "state": "unarmed"}) == 1
    assert found.get_sample_value("facegate_door_last_reply_age_seconds", door) is None
    assert found.get_sample_value("facegate_door_round_trip_p99_seconds", door) is None

"""How each door's hardware is, in Prometheus' words.

Names follow prometheus.io/docs/practices/naming: base units, a prefix, no person and no secret in a label.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from gateway.domain.doors import DoorHealth, Link
from gateway.ports import Clock

_INFO = ("class", "profile", "verified", "endpoint", "unit", "relay")


class DoorMetrics(Collector):
    """Read when Prometheus asks; keeps nothing."""

    def __init__(self, health: Callable[[], Iterable[DoorHealth]], clock: Clock) -> None:
        self._health, self._clock = health, clock

    def collect(self) -> Iterator[Metric]:
        """One family a fact, one sample a door."""
        doors = tuple(self._health())
        yield _states(doors)
        yield self._ages(doors)
        yield _gauge(
            "facegate_door_round_trip_p99_seconds",
            "99th percentile of the last good requests to the door's device",
            {h.door_id: h.rtt_p99_ms / 1e3 for h in doors if h.rtt_p99_ms is not None},
        )
        yield _gauge(
            "facegate_door_failed_requests",
            "Failed requests in a row to the door's device",
            {h.door_id: h.failures for h in doors},
        )
        yield _gauge(
            "facegate_door_ready",
            "1 when an unlock would be sent: link up, output proven, watchdog armed where there is one",
            {h.door_id: h.ready for h in doors},
        )
        yield _alarms(doors)
        yield _info(doors)

    def _ages(self, doors: Iterable[DoorHealth]) -> Metric:
        now = self._clock.monotonic_ns()
        return _gauge(
            "facegate_door_last_reply_age_seconds",
            "Time since the last good reply of the door's device",
            {h.door_id: (now - h.last_ok_ns) / 1e9 for h in doors if h.last_ok_ns is not None},
        )


def registry(health: Callable[[], Iterable[DoorHealth]], clock: Clock) -> CollectorRegistry:
    """A registry of this gateway alone, beside the library's global one."""
    made = CollectorRegistry(auto_describe=False)
    made.register(DoorMetrics(health, clock))
    return made


def _gauge(name: str, text: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=("door",))
    for door, value in values.items():
        family.add_metric((door,), float(value))
    return family


def _states(doors: Iterable[DoorHealth]) -> Metric:
    family = GaugeMetricFamily("facegate_door_link", "1 for the link's state", labels=("door", "state"))
    for health in doors:
        for state in Link:
            family.add_metric((health.door_id, state.value), float(health.link is state))
    return family


def _alarms(doors: Iterable[DoorHealth]) -> Metric:
    family = GaugeMetricFamily("facegate_door_alarm", "1 while an alarm stands", labels=("door", "alarm"))
    for health in doors:
        for alarm in sorted(health.alarms):
            family.add_metric((health.door_id, alarm), 1.0)
    return family


def _info(doors: Iterable[DoorHealth]) -> Metric:
    family = InfoMetricFamily("facegate_door_device", "What moves the door", labels=("door",))
    for health in doors:
        facts = {key: health.facts[key] for key in _INFO if key in health.facts}
        family.add_metric((health.door_id,), facts)
    return family

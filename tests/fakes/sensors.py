"""Sensors in memory that keep to ``ports.Sensors``."""

from collections.abc import Callable

from gateway.domain.readings import Readings


class FakeSensors:
    def __init__(self) -> None:
        self.troubles: frozenset[str] = frozenset()
        self._latest = Readings(at_ns=0, seq=0)
        self._listeners: list[Callable[[Readings], None]] = []

    def subscribe(self, on_readings: Callable[[Readings], None]) -> None:
        self._listeners.append(on_readings)

    def latest(self) -> Readings:
        return self._latest

    def alarms(self) -> frozenset[str]:
        return self.troubles

    def say(self, readings: Readings) -> None:
        """A new look."""
        self._latest = readings
        for listener in self._listeners:
            listener(readings)

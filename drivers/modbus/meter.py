"""What a bus has measured of itself and of its units."""

from collections import deque

from drivers.modbus.frames import Echoed, NotSent, Result

_WINDOW = 256


class Meter:
    """Round-trip times of the last requests, the last good reply, failures in a row."""

    def __init__(self) -> None:
        self.last_ok_ns: int | None = None
        self.failures = 0
        self._rtt_ns: deque[int] = deque(maxlen=_WINDOW)

    def count(self, result: Result) -> None:
        """Take one result in; a frame that never left says nothing about the device."""
        if isinstance(result, NotSent):
            return
        if not isinstance(result, Echoed):
            self.failed()
            return
        self.failures = 0
        self.last_ok_ns = result.done_ns
        self._rtt_ns.append(result.done_ns - result.sent_ns)

    def failed(self) -> None:
        """One more failure in a row."""
        self.failures += 1

    @property
    def rtt_p99_ms(self) -> float | None:
        """99th percentile of the last 256 good round trips, None before the first."""
        if not self._rtt_ns:
            return None
        ordered = sorted(self._rtt_ns)
        return round(ordered[(len(ordered) * 99 - 1) // 100] / 1e6, 3)


class Meters:
    """One meter of the whole bus, and one of each unit."""

    def __init__(self) -> None:
        self.all = Meter()
        self._units: dict[int, Meter] = {}

    def of(self, unit: int) -> Meter:
        """Of this unit alone; made when first asked for."""
        return self._units.setdefault(unit, Meter())

    def count(self, unit: int, result: Result) -> None:
        """Take in what became of a request to this unit."""
        self.all.count(result)
        self.of(unit).count(result)

    def failed(self) -> None:
        """A connection failed, and with it every unit."""
        for meter in (self.all, *self._units.values()):
            meter.failed()

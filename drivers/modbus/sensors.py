"""What the sensors of one door or turnstile say, from inputs of one or several devices."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import structlog

from drivers.modbus.alarms import COUNTER_RESET, INPUTS_UNREADABLE, Alarms
from drivers.modbus.relay_line import RelayLine
from drivers.modbus.unit import Unit
from gateway.domain.ids import DoorId
from gateway.domain.readings import Direction, Readings, Sensor
from gateway.ports import Clock

_log = structlog.get_logger(__name__)

_LOOKS: Final = 3
"""A look at a relay older than so many looks says nothing of now."""


@dataclass(frozen=True, slots=True)
class InputRef:
    """A sensor's wire: an input of a unit, numbered from 1, and which level means that the sensor is on."""

    unit: Unit
    number: int
    active: Literal["high", "low"] = "high"

    def on(self) -> bool | None:
        """In the sensor's own sense; None when it cannot be read."""
        level = self.unit.inputs.on(self.number)
        return None if level is None else level is (self.active == "high")

    def count(self) -> int:
        """How often the sensor has gone on."""
        edges = self.unit.inputs.edges(self.number)
        return edges.rises if self.active == "high" else edges.falls


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorMap:
    """What is fitted, and to which wires."""

    sensors: Mapping[Sensor, InputRef] = field(default_factory=dict)
    passages: Mapping[Direction, InputRef] = field(default_factory=dict)

    @property
    def refs(self) -> tuple[InputRef, ...]:
        """Every wire."""
        return (*self.sensors.values(), *self.passages.values())


class DoorSensors:
    """``ports.Sensors``: a new look whenever one of its devices was read, or can be read no more.

    ``lines`` are the door's own relays. A device whose inputs fail makes its own sensors unknown, no others.
    """

    def __init__(
        self, door_id: DoorId, wiring: SensorMap, *, clock: Clock, lines: Mapping[RelayLine, Unit]
    ) -> None:
        self._door_id, self._wiring, self._clock = door_id, wiring, clock
        self._lines = dict(lines)
        self._units: Sequence[Unit] = tuple(dict.fromkeys(ref.unit for ref in wiring.refs))
        self._listeners: list[Callable[[Readings], None]] = []
        self._alarms = Alarms()
        self._resets = 0
        self._seq = 0
        self._latest = self._compose()
        self._started = self._closed = False

    async def start(self) -> None:
        """Begin reading; returns at once. Idempotent."""
        if self._started or self._closed:
            return
        self._started = True
        for unit in self._units:
            unit.inputs.listeners.append(self._news)
            unit.enter()
        for unit in dict.fromkeys(self._lines.values()):
            unit.looked.append(self._news)

    def subscribe(self, on_readings: Callable[[Readings], None]) -> None:
        """``on_readings`` is called with each look, and must not raise."""
        self._listeners.append(on_readings)

    def latest(self) -> Readings:
        """The last look; never blocks."""
        return self._latest

    def alarms(self) -> frozenset[str]:
        """What is wrong with the sensors."""
        return self._alarms.at(self._clock.monotonic_ns())

    async def aclose(self) -> None:
        """Stop reading. Idempotent."""
        if not self._started or self._closed:
            self._closed = True
            return
        self._closed = True
        for unit in dict.fromkeys(self._lines.values()):
            unit.looked.remove(self._news)
        for unit in self._units:
            unit.inputs.listeners.remove(self._news)
            await unit.leave()

    def _news(self) -> None:
        self._latest = readings = self._compose()
        self._note_troubles()
        for listener in tuple(self._listeners):
            try:
                listener(readings)
            except Exception:  # noqa: BLE001  # told with its trace; one listener must not stop the device's task
                _log.exception("sensor_listener_failed", door=self._door_id)

    def _compose(self) -> Readings:
        self._seq += 1
        wiring = self._wiring
        readable = [u.inputs.at_ns for u in self._units if u.inputs.why_unreadable is None]
        return Readings(
            at_ns=min(readable) if readable else self._clock.monotonic_ns(),
            seq=self._seq,
            on={sensor: ref.on() for sensor, ref in wiring.sensors.items()},
            edges={sensor: ref.count() for sensor, ref in wiring.sensors.items()},
            passages={way: None if ref.on() is None else ref.count() for way, ref in wiring.passages.items()},
            output_on=self._output_on(),
        )

    def _output_on(self) -> bool | None:
        """Any of the relays ON; None when one that was not seen of late might be."""
        now = self._clock.monotonic_ns()
        states = []
        for line, unit in self._lines.items():
            seen = line.seen
            fresh = seen is not None and now - seen.asked_ns < _LOOKS * unit.look_s * 1e9
            states.append(seen.on if seen is not None and fresh else None)
        if any(states):
            return True
        return None if not states or None in states else False

    def _note_troubles(self) -> None:
        dark = [u for u in self._units if u.inputs.why_unreadable is not None]
        if dark:
            self._alarms.stand(INPUTS_UNREADABLE)
        else:
            self._alarms.clear(INPUTS_UNREADABLE)
        resets = sum(ref.unit.inputs.edges(ref.number).resets for ref in self._wiring.refs)
        if resets > self._resets:
            self._alarms.flash(COUNTER_RESET, self._clock.monotonic_ns())
            _log.warning("input_counter_reset", door=self._door_id)
        self._resets = resets

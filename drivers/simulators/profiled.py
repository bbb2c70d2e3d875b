"""A device made from its profile: outputs with hardware timers, inputs with counters, a watchdog."""

from collections.abc import Callable
from typing import Final

from drivers.modbus.profile import (
    CodePulse,
    Expect,
    Place,
    PresetPulse,
    Profile,
    Setting,
    TicksPulse,
)
from drivers.simulators.device_watchdog import DeviceWatchdog
from drivers.simulators.digital_inputs import DigitalInputs
from drivers.simulators.memory import ILLEGAL_VALUE, OFF, ON, Cell, Memory, Wrong
from drivers.simulators.modbus_relays import TICK_S, Edge, Relays

_WRITES: Final = frozenset({5, 6, 15, 16})


class ProfiledDevice:
    """What answers at one unit address. ``relays`` and ``inputs`` are its wires."""

    def __init__(
        self,
        profile: Profile,
        *,
        unit: int | None = None,
        watchdog_set_by_hand: bool = True,
        on_edge: Callable[[Edge], None] | None = None,
    ) -> None:
        self.profile = profile
        self.unit = unit or profile.unit
        self.relays = Relays(profile.outputs.count, on_edge)
        self.inputs = DigitalInputs(profile.inputs.count if profile.inputs else 0)
        self._on_edge = on_edge
        self._by_hand = watchdog_set_by_hand
        self._build(rebooted=True)

    def answer(self, pdu: bytes) -> bytes:
        """Carry out a request, and feed the watchdog with it."""
        if self.watchdog is not None:
            self.watchdog.fed(write=pdu[0] in _WRITES)
        return self.memory.answer(pdu)

    def power_off(self, why: str) -> None:
        """Outputs drop; what is not kept in the device's own memory is forgotten."""
        if self.watchdog is not None:
            self.watchdog.stop()
        self.relays.power_off(why)
        self._build(rebooted=True)

    def factory_reset(self) -> None:
        """Every setting as delivered, in the middle of everything; the outputs stay as they are."""
        if self.watchdog is not None:
            self.watchdog.stop()
        self._by_hand = False
        self._build(rebooted=False)

    def _build(self, *, rebooted: bool) -> None:
        self.memory = Memory()
        self.watchdog = self._watchdog()
        self._outputs()
        self._pulses()
        self._inputs()
        self._settings(rebooted=rebooted)

    def _watchdog(self) -> DeviceWatchdog | None:
        dog = self.profile.watchdog
        if dog is None:
            return None
        made = DeviceWatchdog(dog, self.memory, lambda: self.relays.power_off("watchdog"))
        if dog.time is None and self._by_hand:
            made.set_time(dog.timeout_ms)
        return made

    def _outputs(self) -> None:
        out = self.profile.outputs
        for i in range(out.count):
            cell = self.memory.cell("coils" if out.write == "coil" else "holding", out.first + i)
            cell.set = self._switch(i)
        _row(self.memory, out.readback, out.count, lambda i: int(self.relays.coil(i)))
        if out.cycles is not None:
            _row(self.memory, out.cycles, out.count, lambda i: self.relays.pulses(i + 1))
        inputs_there = self.profile.inputs is not None and out.readback.space == "coils"
        if inputs_there and out.readback.first != out.first and out.write == "coil":
            for i in range(out.count):  # such as WAGO: an output's own address reads the input of that number
                self.memory.cell("coils", out.first + i).get = self._input_or_zero(i)

    def _input_or_zero(self, index: int) -> Callable[[], int]:
        return lambda: int(index < self.inputs.count and self.inputs.state(index))

    def _switch(self, index: int) -> Callable[[int], None]:
        out = self.profile.outputs

        def write(raw: int) -> None:
            if raw != out.off:
                self._must_not_be_blocked()
            if (
                isinstance(out.pulse, CodePulse)
                and raw >> 8 == out.pulse.code
                and raw not in {out.on, out.off}
            ):
                self._flash(index, (raw & 0xFF) * out.pulse.unit_ms)
            elif raw in {out.on, out.off}:
                self.relays.write(index, on=raw == out.on, why="write")
            else:
                raise Wrong(ILLEGAL_VALUE)

        return write

    def _must_not_be_blocked(self) -> None:
        if self.watchdog is not None and self.watchdog.blocks:
            raise Wrong(ILLEGAL_VALUE)

    def _flash(self, index: int, length_ms: float) -> None:
        self._must_not_be_blocked()
        if length_ms <= 0:
            raise Wrong(ILLEGAL_VALUE)
        self.relays.flash(index, length_ms / 1000 / TICK_S, on=True)

    def _pulses(self) -> None:
        out, pulse = self.profile.outputs, self.profile.outputs.pulse
        if isinstance(pulse, TicksPulse):
            for i in range(out.count):
                self.memory.cell("coils", pulse.base + i).set = self._ticks(i, pulse.unit_ms)
        if isinstance(pulse, PresetPulse):
            for place in (pulse.on_width, pulse.off_width, pulse.count):
                for i in range(out.count):
                    for word in range(place.words):
                        self.memory.keep("holding", place.first + i * place.stride + word)
            for i in range(out.count):
                self.memory.cells["coils", pulse.start + i] = Cell(self._is_on(i), self._start(i, pulse))

    def _is_on(self, index: int) -> Callable[[], int]:
        return lambda: int(self.relays.coil(index))

    def _ticks(self, index: int, unit_ms: int) -> Callable[[int], None]:
        return lambda raw: self._flash(index, raw * unit_ms)

    def _start(self, index: int, pulse: PresetPulse) -> Callable[[int], None]:
        def write(raw: int) -> None:
            if raw == OFF:
                self.relays.write(index, on=False, why="pulse stopped")
                return
            if raw != ON or _number(self.memory, pulse.count, index) < 1:
                raise Wrong(ILLEGAL_VALUE)
            self._flash(index, _number(self.memory, pulse.on_width, index) * pulse.unit_us / 1000)

        return write

    def _inputs(self) -> None:
        known = self.profile.inputs
        if known is None:
            return
        inputs = self.inputs
        _row(self.memory, known.state, known.count, lambda i: int(inputs.state(i)))
        if known.counter is not None:
            _row(self.memory, known.counter, known.count, inputs.counted)
            if known.counter.start is not None:
                for i in range(known.count):
                    self.memory.keep("coils", known.counter.start + i)
        if known.latches is not None:
            _row(self.memory, known.latches.high, known.count, lambda i: int(inputs.went_high(i)))
            _row(self.memory, known.latches.low, known.count, lambda i: int(inputs.went_low(i)))
            self._on_write(known.latches.clear_high, inputs.clear_high)
            self._on_write(known.latches.clear_low, inputs.clear_low)

    def _on_write(self, setting: Setting, act: Callable[[], None]) -> None:
        if setting.coil is not None:
            self.memory.cells["coils", setting.coil] = Cell(lambda: 0, lambda _raw: act())
        elif setting.register is not None:
            self.memory.cells["holding", setting.register] = Cell(lambda: 0, lambda _raw: act())

    def _settings(self, *, rebooted: bool) -> None:
        """What the profile asks of the device's settings reads as it asks, and takes what is written."""
        out = self.profile.outputs
        for place in (out.power_on, out.safe):
            if place is not None:
                _kept(self.memory, place, out.count, 0)
        for mode in out.modes:
            _kept(self.memory, mode, out.count, mode.equals)
        for expect in (*self.profile.checks, *self.profile.identity):
            self.memory.keep(expect.space, expect.address, _wanted(expect))
        if self.profile.rebooted is not None:
            self._rebooted(self.profile.rebooted, rebooted=rebooted)

    def _rebooted(self, expect: Expect, *, rebooted: bool) -> None:
        told = [not rebooted]

        def read() -> int:
            value = 0 if told[0] else _wanted(expect)
            told[0] = True
            return value

        self.memory.cells[expect.space, expect.address] = Cell(read)


def _wanted(expect: Expect) -> int:
    if expect.equals is not None:
        return expect.equals
    return expect.low if expect.low is not None else expect.high or 0


def _row(memory: Memory, place: Place, count: int, value: Callable[[int], int]) -> None:
    """Cells that read a value for each channel."""
    if place.packed:
        for word in range((count + 15) // 16):
            bits = range(16 * word, min(16 * word + 16, count))
            memory.cell(place.space, place.first + word).get = lambda bits=bits: sum(
                bool(value(i)) << i % 16 for i in bits
            )
        return
    for i in range(count):
        for word in range(place.words):
            shift = 16 * (word if place.low_word_first else place.words - 1 - word)
            memory.cell(place.space, place.first + i * place.stride + word).get = lambda i=i, shift=shift: (
                value(i) >> shift & 0xFFFF
            )


def _kept(memory: Memory, place: Place, count: int, value: int) -> None:
    """Cells that remember what is written."""
    if place.packed:
        memory.keep(place.space, place.first, value)
        return
    for i in range(count):
        memory.keep(place.space, place.first + i * place.stride, value)


def _number(memory: Memory, place: Place, index: int) -> int:
    words = [
        memory.value(place.space, place.first + index * place.stride + word) for word in range(place.words)
    ]
    value = 0
    for word in reversed(words) if place.low_word_first else words:
        value = value << 16 | word
    return value

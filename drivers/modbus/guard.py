"""The one place every frame passes before it leaves: what must never be sent, is not."""

import struct
from dataclasses import dataclass

from drivers.modbus.frames import OFF, TOGGLE, WRITE_COIL, WRITE_COILS
from gateway.domain.errors import InvariantBroken

_READS = frozenset({1, 2, 3, 4})


class Forbidden(InvariantBroken):
    """The program tried to send a frame that must never leave: a bug, not a device fault."""

    code = "forbidden_frame"


@dataclass(frozen=True, slots=True)
class PulseRange:
    """Coil addresses that take a pulse length, and the values allowed there."""

    first: int
    last: int
    low: int
    high: int

    def allows(self, address: int, value: int) -> bool:
        """This address takes pulses and the value is one a door may ask for."""
        return self.first <= address <= self.last and self.low <= value <= self.high


@dataclass(frozen=True, slots=True)
class Guard:
    """Lets reads, OFF and bounded pulses pass; refuses everything else.

    A coil is never switched ON for good: a dead gateway could not switch it OFF again.
    """

    pulses: tuple[PulseRange, ...] = ()
    banned: frozenset[int] = frozenset()
    """Coil addresses that move more than one output or toggle."""
    exclusive: tuple[frozenset[int], ...] = ()
    """Groups of coils that one FC15 must not touch together, such as both directions of a turnstile."""

    def check(self, unit: int, function: int, data: bytes) -> None:
        """Pass or raise Forbidden. ``data`` is the PDU after its function code."""
        if not 1 <= unit <= 247:
            self._refuse(unit, function, "unit 0 is a broadcast, above 247 is reserved")
        if function == WRITE_COIL:
            self._check_coil(unit, *struct.unpack(">HH", data))
        elif function == WRITE_COILS:
            self._check_coils(unit, data)
        elif function not in _READS:
            self._refuse(unit, function, "only reads and coil writes are allowed")

    def _check_coil(self, unit: int, address: int, value: int) -> None:
        where = f"coil 0x{address:04X} value 0x{value:04X}"
        if value == TOGGLE:
            self._refuse(unit, WRITE_COIL, f"{where} toggles: what it does depends on what was before")
        if address in self.banned:
            self._refuse(unit, WRITE_COIL, f"{where} moves outputs of other doors")
        if value == OFF and any(p.first <= address <= p.last for p in self.pulses):
            self._refuse(unit, WRITE_COIL, f"{where} is a pulse of no length: no manual says what that does")
        if value != OFF and not any(p.allows(address, value) for p in self.pulses):
            self._refuse(unit, WRITE_COIL, f"{where} is neither OFF nor a pulse within bounds")

    def _check_coils(self, unit: int, data: bytes) -> None:
        address, count = struct.unpack(">HH", data[:4])
        coils = frozenset(range(address, address + count))
        if any(data[5:]):
            self._refuse(unit, WRITE_COILS, "it switches outputs ON for good")
        if coils & self.banned:
            self._refuse(unit, WRITE_COILS, "it covers an address that moves outputs of other doors")
        if any(len(coils & group) > 1 for group in self.exclusive):
            self._refuse(unit, WRITE_COILS, "it spans outputs that must never change together")

    def _refuse(self, unit: int, function: int, why: str) -> None:
        raise Forbidden(f"Modbus frame refused (unit {unit}, function {function}): {why}")

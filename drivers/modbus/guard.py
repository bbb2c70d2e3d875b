"""The one place every frame passes before it leaves: what must never be sent, is not."""

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NoReturn

from drivers.modbus.frames import OFF, TOGGLE, WRITE_COIL, WRITE_COILS, WRITE_WORD, WRITE_WORDS
from drivers.modbus.plan import UnitRules
from gateway.domain.errors import InvariantBroken

_READS: Final = frozenset({1, 2, 3, 4})
_NAMES: Final = {WRITE_COIL: "coil", WRITE_COILS: "coil", WRITE_WORD: "register", WRITE_WORDS: "register"}


class Forbidden(InvariantBroken):
    """The program tried to send a frame that must never leave: a bug, not a device fault."""

    code = "forbidden_frame"


@dataclass(frozen=True, slots=True)
class Guard:
    """Lets reads of any unit pass, and the writes that the rules of their unit name; nothing else."""

    units: Mapping[int, UnitRules] = field(default_factory=dict)

    def check(self, unit: int, function: int, data: bytes) -> None:
        """Pass or raise Forbidden. ``data`` is the PDU after its function code."""
        frame = _Frame(unit, function)
        if not 1 <= unit <= 247:
            frame.refuse("unit 0 is a broadcast, above 247 is reserved")
        if function in _READS:
            return
        if function not in _NAMES:
            frame.refuse("neither a read nor a write of coils or registers")
        rules = self.units.get(unit)
        if rules is None:
            frame.refuse("nothing may be written to this unit: the site uses no output of it")
        values = frame.values(data)
        _check_whole(frame, values, rules)
        for address, value in values.items():
            _check_one(frame, address, value, rules)


@dataclass(frozen=True, slots=True)
class _Frame:
    """What is to be written, for the checks and for the error's words."""

    unit: int
    function: int

    def refuse(self, why: str) -> NoReturn:
        raise Forbidden(f"Modbus frame refused (unit {self.unit}, function {self.function}): {why}")

    def values(self, data: bytes) -> dict[int, int]:
        """Value by address. Refuses what is malformed."""
        try:
            if self.function in {WRITE_COIL, WRITE_WORD}:
                address, value = struct.unpack(">HH", data)
                return {address: value}
            address, count, size = struct.unpack_from(">HHB", data)
            row = data[5:]
            coils = self.function == WRITE_COILS
            if len(row) != size or size != ((count + 7) // 8 if coils else 2 * count) or not count:
                self.refuse("its lengths contradict each other")
            words = [int(any(row))] * count if coils else struct.unpack(f">{count}H", row)
        except struct.error as error:
            self.refuse(f"malformed: {error}")
        return dict(enumerate(words, address))


def _check_whole(frame: _Frame, values: Iterable[int], rules: UnitRules) -> None:
    touched = frozenset(values)
    if frame.function in {WRITE_COIL, WRITE_WORD}:
        return
    for group in rules.exclusive:
        # The group names outputs. Registers of the same numbers are something else, unless FC06 switches it.
        same_kind = frame.function == WRITE_COILS or all(_may(rules, WRITE_WORD, a, None) for a in group)
        if same_kind and len(touched & group) > 1:
            frame.refuse("it spans outputs that must never change together")


def _check_one(frame: _Frame, address: int, value: int, rules: UnitRules) -> None:
    where = f"{_NAMES[frame.function]} 0x{address:04X} value 0x{value:04X}"
    if frame.function == WRITE_COIL and value == TOGGLE:
        frame.refuse(f"{where} toggles: what it does depends on what was before")
    if address > 0xFFFF:
        frame.refuse("it runs beyond the last address")
    for ban in rules.banned:
        if ban.address == address:
            frame.refuse(f"{where} is banned: {ban.why}")
    if frame.function == WRITE_COILS:
        if value != OFF:
            frame.refuse("it switches coils ON together")
        if not _may(rules, WRITE_COIL, address, OFF):
            frame.refuse(f"{where} may not be switched OFF by this site")
    elif not _may(rules, frame.function, address, value):
        frame.refuse(f"{where} is not among the writes that this unit's plan holds")


def _may(rules: UnitRules, function: int, address: int, value: int | None) -> bool:
    """Whether a rule names this write; ``None``: any value of it."""
    return any(
        rule.function == function
        and rule.first <= address <= rule.last
        and (value is None or rule.low <= value <= rule.high)
        for rule in rules.allowed
    )

"""Which profile a device answers like. Reads only: the guard of a scan lets no write pass."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from drivers.modbus.bus import ModbusBus
from drivers.modbus.frames import (
    READ_COILS,
    READ_DISCRETE_INPUTS,
    READ_HOLDING,
    READ_INPUT,
    Ambiguous,
    Echoed,
    Job,
    Priority,
    Read,
    ReadBits,
    ReadWords,
    Refused,
    Result,
)
from drivers.modbus.places import check_of
from drivers.modbus.plan import Check
from drivers.modbus.profile import Place, Profile

_PATIENCE_NS = 5_000_000_000
_BACK_S = 3.0
"""Some devices hang up after a question they do not know: wait for the connection before the next."""
_CODES = {"coils": READ_COILS, "discrete_inputs": READ_DISCRETE_INPUTS}
_WORDS = {"holding": READ_HOLDING, "input": READ_INPUT}


class Likeness(IntEnum):
    """How far a device and a profile agree."""

    NO = 0
    """It refuses something that the profile says it has."""
    POSSIBLE = 1
    """It answers every read; other devices may too."""
    CERTAIN = 2
    """It also says of itself what only this kind of device says."""


@dataclass(frozen=True, slots=True)
class Match:
    """One profile held against one unit."""

    profile: str
    likeness: Likeness
    reads: int
    """Different requests that were answered: the more, the better the proof."""
    why: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What one unit address answered; ``matches`` best first."""

    unit: int
    alive: bool
    round_trip_ms: float | None
    matches: tuple[Match, ...]


class _Asked:
    """Asks each question once, and remembers the reply."""

    def __init__(self, bus: ModbusBus) -> None:
        self._bus = bus
        self._known: dict[Read, Result] = {}

    async def __call__(self, read: Read) -> Result:
        if read not in self._known:
            await self._bus.wait_connected(_BACK_S)
            deadline = self._bus.clock.monotonic_ns() + _PATIENCE_NS
            self._known[read] = await self._bus.carry_out(Job(read, Priority.POLL, deadline))
        return self._known[read]

    def round_trip_ms(self) -> float | None:
        """The quickest reply so far."""
        times = [(r.done_ns - r.sent_ns) / 1e6 for r in self._known.values() if isinstance(r, Echoed)]
        return round(min(times), 2) if times else None


async def scan(bus: ModbusBus, units: Sequence[int], profiles: Mapping[str, Profile]) -> tuple[Answer, ...]:
    """Hold every profile against every unit of a connected bus, one request at a time."""
    return tuple([await _unit(bus, unit, profiles) for unit in units])


async def _unit(bus: ModbusBus, unit: int, profiles: Mapping[str, Profile]) -> Answer:
    ask = _Asked(bus)
    alive = isinstance(await ask(ReadBits(unit, READ_COILS, 0)), Echoed | Refused)
    if not alive:
        alive = isinstance(await ask(ReadWords(unit, READ_HOLDING, 1)), Echoed | Refused)
    if not alive:
        return Answer(unit, alive=False, round_trip_ms=None, matches=())
    found = [await _compare(ask, unit, name, profile) for name, profile in profiles.items()]
    found.sort(key=lambda m: (-m.likeness, -m.reads, m.profile))
    matches = tuple(m for m in found if m.likeness is not Likeness.NO)
    return Answer(unit, alive=True, round_trip_ms=ask.round_trip_ms(), matches=matches)


async def _compare(ask: _Asked, unit: int, name: str, profile: Profile) -> Match:
    reads = _reads(profile, unit)
    for read, what in reads.items():
        result = await ask(read)
        if not isinstance(result, Echoed):
            why = result.why if isinstance(result, Refused | Ambiguous) else "not asked"
            return Match(name, Likeness.NO, 0, f"{what}: {why}")
    checks = [check_of(expect, unit) for expect in profile.identity]
    for check in checks:
        if not _holds(check, await ask(check.field.read)):
            return Match(name, Likeness.NO, 0, f"{check.what}: not so")
    if checks:
        return Match(name, Likeness.CERTAIN, len(reads), "says so of itself")
    return Match(name, Likeness.POSSIBLE, len(reads), f"answers {', '.join(reads.values())}")


def _holds(check: Check, result: Result) -> bool:
    return isinstance(result, Echoed) and check.holds(result)


def _reads(profile: Profile, unit: int) -> dict[Read, str]:
    """A read of the first of everything the profile names, with words for it."""
    places: list[tuple[Place, int, str]] = [(profile.outputs.readback, profile.outputs.count, "outputs")]
    for place, what in (
        (profile.outputs.cycles, "relay counters"),
        (profile.outputs.power_on, "power-on values"),
        (profile.outputs.safe, "safe values"),
    ):
        if place is not None:
            places.append((place, profile.outputs.count, what))
    if profile.inputs is not None:
        places.append((profile.inputs.state, profile.inputs.count, "inputs"))
        if profile.inputs.counter is not None:
            places.append((profile.inputs.counter, 1, "input counters"))
        if profile.inputs.latches is not None:
            places.append((profile.inputs.latches.high, 1, "input latches"))
    reads = {_row(place, count, unit): what for place, count, what in places}
    dog = profile.watchdog
    if dog is not None and dog.time is not None:
        reads[ReadWords(unit, READ_HOLDING, dog.time)] = "watchdog"
    return reads


def _row(place: Place, count: int, unit: int) -> Read:
    if place.space in _CODES:
        return ReadBits(unit, _CODES[place.space], place.first, count if place.stride == 1 else 1)
    words = 1 if place.packed or place.stride != place.words else min(count * place.words, 60)
    return ReadWords(unit, _WORDS[place.space], place.first, max(words, place.words))

"""What a profile reads and writes, address by address: places that do not fit, and places that collide."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

from drivers.modbus.places import address_of, is_bits
from drivers.modbus.profile import Place, PresetPulse, Profile, Setting, TicksPulse

Problem = tuple[str, str]
"""The key, and what is wrong with it and what to do."""


@dataclass(frozen=True, slots=True)
class Cells:
    """Addresses of one kind that one key of the profile stands for."""

    key: str
    space: str
    addresses: frozenset[int]
    group: str
    """Two of the same group may share addresses."""


def place_problems(profile: Profile) -> Iterator[Problem]:
    """Places of a shape their kind cannot have."""
    for key, place, count in (*read_places(profile), *_written_places(profile)):
        yield from _shape(key, place, count)
    for key, place, _ in _written_places(profile):
        if place.space != "holding" or place.packed:
            yield key, 'cannot be written there; a number to be written is in the space "holding", not packed'


def cell_problems(profile: Profile) -> Iterator[Problem]:
    """Addresses beyond the last, addresses that mean two things, and banned ones that are needed."""
    written, read = tuple(_written(profile)), tuple(_read(profile))
    for cells in (*written, *read):
        if max(cells.addresses) > 0xFFFF:
            yield cells.key, "puts an address beyond 0xFFFF; lower it or the count"
    for kind in (written, read):
        for one, other in combinations(kind, 2):
            shared = one.addresses & other.addresses
            if shared and one.space == other.space and one.group != other.group:
                yield other.key, f"0x{min(shared):04X} is also in {one.key}; correct one of them"
    for i, ban in enumerate(profile.banned):
        for cells in written:
            if ban.address in cells.addresses:
                yield (
                    f"banned[{i}].address",
                    f"0x{ban.address:04X} is needed for {cells.key}; remove the ban or correct that key",
                )


def read_places(profile: Profile) -> Iterator[tuple[str, Place, int]]:
    """Every place that is read for each channel: key, place, channels."""
    out, inputs = profile.outputs, profile.inputs
    yield "outputs.readback", out.readback, out.count
    for key, place in (("cycles", out.cycles), ("power_on", out.power_on), ("safe", out.safe)):
        if place is not None:
            yield f"outputs.{key}", place, out.count
    for i, mode in enumerate(out.modes):
        yield f"outputs.modes[{i}]", mode, out.count
    if inputs is None:
        return
    yield "inputs.state", inputs.state, inputs.count
    if inputs.counter is not None:
        yield "inputs.counter", inputs.counter, inputs.count
    if inputs.latches is not None:
        yield "inputs.latches.high", inputs.latches.high, inputs.count
        yield "inputs.latches.low", inputs.latches.low, inputs.count


def _written_places(profile: Profile) -> Iterator[tuple[str, Place, int]]:
    pulse = profile.outputs.pulse
    if isinstance(pulse, PresetPulse):
        for key in ("on_width", "off_width", "count"):
            yield f"outputs.pulse.{key}", getattr(pulse, key), profile.outputs.count


def _shape(key: str, place: Place, count: int) -> Iterator[Problem]:
    if is_bits(place):
        if place.words != 1 or place.low_word_first or place.packed:
            yield key, "words, low_word_first and packed are for registers, not for bits; remove them"
        return
    if place.low_word_first and place.words == 1:
        yield key, "low_word_first means nothing for one register; remove it or set words = 2"
    if place.packed:
        if count > 16:
            yield key, f"one register holds 16 bits, not {count}; lower the count or use bits"
        if place.words != 1 or place.stride != 1:
            yield key, "a packed register has neither words nor stride; remove them"
    elif place.stride < place.words and count > 1:
        yield key, f"numbers of {place.words} registers overlap; set stride = {place.words}"


def _read(profile: Profile) -> Iterator[Cells]:
    for key, place, count in read_places(profile):
        group = "states to come" if key in {"outputs.power_on", "outputs.safe"} else key
        yield Cells(key, place.space, _addresses(place, count), group)


def _written(profile: Profile) -> Iterator[Cells]:
    out, pulse, inputs = profile.outputs, profile.outputs.pulse, profile.inputs
    space = "coils" if out.write == "coil" else "holding"
    yield Cells("outputs.first", space, _row(out.first, out.count), "outputs")
    if isinstance(pulse, TicksPulse):
        yield Cells("outputs.pulse.base", "coils", _row(pulse.base, out.count), "pulse")
    if isinstance(pulse, PresetPulse):
        yield Cells("outputs.pulse.start", "coils", _row(pulse.start, out.count), "pulse")
    for key, place, count in _written_places(profile):
        yield Cells(key, place.space, _addresses(place, count), key)
    if inputs is not None and inputs.counter is not None and inputs.counter.start is not None:
        yield Cells("inputs.counter.start", "coils", _row(inputs.counter.start, inputs.count), "counters")
    if profile.watchdog is not None and profile.watchdog.time is not None:
        yield Cells("watchdog.time", "holding", frozenset({profile.watchdog.time}), "watchdog")
    for key, setting in settings(profile):
        kind = "coils" if setting.coil is not None else "holding"
        first = setting.coil if setting.coil is not None else setting.register or 0
        yield Cells(key, kind, _row(first, 1 + len(setting.words)), key.split(".", 1)[0])


def settings(profile: Profile) -> Iterator[tuple[str, Setting]]:
    """Every setting with its key."""
    dog, inputs = profile.watchdog, profile.inputs
    if dog is not None:
        for name, row in (("before", dog.before), ("after", dog.after), ("clear", dog.clear)):
            yield from ((f"watchdog.{name}[{i}]", setting) for i, setting in enumerate(row))
    if inputs is not None and inputs.latches is not None:
        yield "inputs.latches.clear_high", inputs.latches.clear_high
        yield "inputs.latches.clear_low", inputs.latches.clear_low


def _row(first: int, count: int) -> frozenset[int]:
    return frozenset(range(first, first + count))


def _addresses(place: Place, count: int) -> frozenset[int]:
    if place.packed:
        return frozenset({place.first})
    return frozenset(address_of(place, n) + word for n in range(1, count + 1) for word in range(place.words))

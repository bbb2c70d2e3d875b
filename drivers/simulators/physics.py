"""What stands at the other end of the wires: a door leaf with people, and a turnstile.

A door's relay lets it be opened; its sensors are wires to inputs, of the same device or another. A turnstile
waits for its person by its own timer, whatever the length of the pulse (PERCo TTR-04: five seconds).
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from drivers.simulators.modbus_relays import Edge, Relays
from drivers.simulators.profiled import ProfiledDevice

PASS_S: Final = 0.3
"""A turnstile's passage pulse (TiSO)."""

Say = Callable[[str], None]


def _silent(_text: str) -> None:
    """Nobody listens."""


@dataclass(frozen=True, slots=True)
class Wire:
    """An input, and the level that means "on"."""

    device: ProfiledDevice
    number: int
    closed: bool = True

    def put(self, *, on: bool) -> None:
        """The sensor says so."""
        self.device.inputs.put(self.number, high=on == self.closed)


@dataclass(slots=True, kw_only=True)
class SimulatedDoor:
    """One leaf. Methods are what people do; each returns when it is done."""

    name: str
    relays: Relays
    relay: int
    contact: Wire | None = None
    bolt: Wire | None = None
    rex: Wire | None = None
    tamper: Wire | None = None
    fire: Wire | None = None
    say: Say = _silent
    is_open: bool = False
    openings: int = 0

    def __post_init__(self) -> None:
        for wire in (self.contact, self.rex, self.tamper, self.fire):
            if wire is not None:
                wire.put(on=False)
        if self.bolt is not None:
            self.bolt.put(on=True)

    @property
    def released(self) -> bool:
        """The lock lets the leaf be opened."""
        return self.relays.contact(self.relay)

    def edge(self, edge: Edge) -> None:
        """The relay moved: the bolt follows, if the leaf is shut."""
        if edge.relay == self.relay and self.bolt is not None:
            self.bolt.put(on=not edge.on and not self.is_open)

    async def person_walks(self, *, patience_s: float = 3.0, open_s: float = 1.0) -> bool:
        """Wait for the lock, go through, let the leaf fall shut. False when it stayed locked."""
        async with asyncio.timeout(patience_s + 1):
            for _ in range(int(patience_s / 0.02)):
                if self.released:
                    break
                await asyncio.sleep(0.02)
        if not self.released:
            self.say(f"{self.name}: somebody found it locked")
            return False
        self.open("somebody walks through")
        await asyncio.sleep(open_s)
        self.shut()
        return True

    async def person_holds(self, *, patience_s: float = 3.0, hold_s: float = 60.0) -> bool:
        """As ``person_walks``, and hold the leaf."""
        return await self.person_walks(patience_s=patience_s, open_s=hold_s)

    async def force(self, *, open_s: float = 1.0) -> None:
        """Somebody breaks it open."""
        self.open("it is forced")
        await asyncio.sleep(open_s)
        self.shut()

    async def bounce(self, *, times: int = 5, each_s: float = 0.005) -> None:
        """The contact rattles; nobody opens."""
        for _ in range(times):
            self._put(self.contact, on=True)
            await asyncio.sleep(each_s)
            self._put(self.contact, on=False)
            await asyncio.sleep(each_s)

    async def press_rex(self, *, press_s: float = 0.3) -> None:
        """Somebody inside asks to go out."""
        self.say(f"{self.name}: request to exit")
        self._put(self.rex, on=True)
        await asyncio.sleep(press_s)
        self._put(self.rex, on=False)

    def set_fire(self, *, on: bool) -> None:
        """The fire panel."""
        self.say(f"{self.name}: fire {'on' if on else 'off'}")
        self._put(self.fire, on=on)

    def set_tamper(self, *, on: bool) -> None:
        """The cover of the controller."""
        self._put(self.tamper, on=on)

    def open(self, why: str) -> None:
        """The leaf opens."""
        self.is_open = True
        self.openings += 1
        self.say(f"{self.name}: opens ({why})")
        self._put(self.contact, on=True)
        self._put(self.bolt, on=False)

    def shut(self) -> None:
        """The leaf falls shut."""
        self.is_open = False
        self.say(f"{self.name}: shut")
        self._put(self.contact, on=False)
        self._put(self.bolt, on=not self.released)

    @staticmethod
    def _put(wire: Wire | None, *, on: bool) -> None:
        if wire is not None:
            wire.put(on=on)


@dataclass(slots=True, kw_only=True)
class SimulatedTurnstile:
    """Two ways, each with a relay; ``ways`` maps a direction to its relay and its passage wire."""

    name: str
    relays: Relays
    ways: dict[str, tuple[int, Wire | None]]
    free: Wire | None = None
    wait_s: float = 5.0
    say: Say = _silent
    passages: dict[str, int] = field(default_factory=dict)
    free_mode: bool = False
    _armed_until: dict[str, float] = field(default_factory=dict)

    def edge(self, edge: Edge) -> None:
        """A relay moved. Both ways at once mean "always free" to some makers, and then to this one."""
        for way, (relay, _) in self.ways.items():
            if edge.relay == relay and edge.on:
                self._armed_until[way] = asyncio.get_running_loop().time() + self.wait_s
                self.say(f"{self.name}: waits for somebody {way}")
        if all(self.relays.contact(relay) for relay, _ in self.ways.values()) and len(self.ways) > 1:
            self.set_free(on=True)

    def armed(self, way: str) -> bool:
        """One person may pass."""
        return self.free_mode or self._armed_until.get(way, 0.0) > asyncio.get_running_loop().time()

    async def person_walks(self, way: str, *, people: int = 1) -> bool:
        """Pass, with others close behind. False when it was locked."""
        if not self.armed(way):
            self.say(f"{self.name}: somebody found it locked {way}")
            return False
        self._armed_until.pop(way, None)
        for _ in range(people):
            await self.passes(way)
        return True

    async def passes(self, way: str) -> None:
        """Somebody goes through, whether they may or not."""
        self.passages[way] = self.passages.get(way, 0) + 1
        self.say(f"{self.name}: somebody passes {way}")
        wire = self.ways[way][1]
        if wire is not None:
            wire.put(on=True)
            await asyncio.sleep(PASS_S)
            wire.put(on=False)
            await asyncio.sleep(PASS_S / 2)

    def set_free(self, *, on: bool) -> None:
        """Antipanic."""
        self.free_mode = on
        self.say(f"{self.name}: free mode {'on' if on else 'off'}")
        if self.free is not None:
            self.free.put(on=on)

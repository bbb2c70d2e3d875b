"""What a profile means for one device on one bus: ready-made requests, and how to read their replies.

A profile is data; a plan is that data worked out for a unit address, a channel and a pulse length. The
drivers know plans only, so that no driver knows a device.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from drivers.modbus.frames import Echoed, Read, ReadBits, Write


class PulseClass(StrEnum):
    """Who ends a pulse when the gateway dies."""

    A = "A"
    """The device: one frame opens, its own timer closes."""
    B = "B"
    """The device's watchdog, once nobody speaks to it any more."""
    C = "C"
    """Nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A bit or a number in a device's memory: how to read it, and which part of the reply it is."""

    read: Read
    index: int = 0
    """Bit or register within the reply."""
    words: int = 1
    """Registers of the number; 2 for 32 bits."""
    low_word_first: bool = False
    mask: int = 0xFFFF_FFFF
    """Applied to a number; for one bit of a register it has a single 1."""

    def bit(self, reply: Echoed) -> bool:
        """Whether the bit, or any bit under the mask, is set."""
        return reply.bits[self.index] if isinstance(self.read, ReadBits) else self.number(reply) != 0

    def number(self, reply: Echoed) -> int:
        """The number, most significant register first unless the device does otherwise."""
        if isinstance(self.read, ReadBits):
            return int(reply.bits[self.index])
        part = reply.words[self.index : self.index + self.words]
        value = 0
        for word in reversed(part) if self.low_word_first else part:
            value = value << 16 | word
        return value & self.mask


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Something a device must say of itself before it is trusted."""

    field: Field
    low: int
    high: int
    what: str
    """For people: what it is, and what to set when it is wrong."""

    def holds(self, reply: Echoed) -> bool:
        """Whether the reply is within bounds."""
        return self.low <= self.field.number(reply) <= self.high


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputPlan:
    """One relay, for one length of pulse."""

    channel: int
    """As printed, from 1."""
    pulse_ms: int
    timed: bool
    """The device ends the pulse itself; else the driver writes ``off``, with the watchdog in reserve."""
    prepare: tuple[Write, ...]
    """Moves nothing: sets the length of the pulse. Sent, and echoed right, before every pulse."""
    pulse: Write
    """The one frame that opens."""
    off: tuple[Write, ...]
    """Closes; safe at any time."""
    state: Field
    """Whether the output is ON."""
    cycles: Field | None = None
    """Counts the relay's closings: evidence that a pulse happened."""


class Latch(StrEnum):
    """What an input's latch remembers."""

    HIGH = "high"
    LOW = "low"


@dataclass(frozen=True, slots=True, kw_only=True)
class InputPlan:
    """One digital input."""

    number: int
    """As printed, from 1."""
    state: Field
    counter: Field | None = None
    """Counts rising edges by itself, also between two polls; wraps at its width."""
    latched_high: Field | None = None
    """Set by a rising edge until cleared."""
    latched_low: Field | None = None
    prepare: tuple[Write, ...] = ()
    """Starts the counter; sent once a connection."""
    clear: tuple[Write, ...] = ()
    """Clears the latches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchdogPlan:
    """How a class B device is made to drop its outputs when nobody speaks to it any more."""

    timeout_ms: int
    arm: tuple[Write, ...]
    """Some devices keep these over a power cycle in memory that wears out, and some refuse them while the
    watchdog runs: verify first, write only what is not so."""
    verify: tuple[Check, ...]
    """What must read back, at every connect and then once a second."""
    running: Check | None
    """The device's own word that the watchdog runs; None: only a test with a spare output proves it."""
    feed: Write | None
    """What keeps it fed; None: any request does."""
    clear: tuple[Write, ...] = ()
    """Takes outputs back into service after an expiry."""
    spare: OutputPlan | None = None
    """The unused output that proves the watchdog: switched ON, left alone, read back as OFF."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Allow:
    """Writes that may leave for one unit: this function, these addresses, these values."""

    function: int
    first: int
    last: int
    low: int
    high: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ban:
    """A coil or register address that must never be written, and why."""

    address: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitRules:
    """Everything that may be written to one unit; reads are always allowed. Nothing else ever leaves."""

    allowed: tuple[Allow, ...]
    banned: tuple[Ban, ...] = ()
    exclusive: tuple[frozenset[int], ...] = ()
    """Groups of output addresses that no single frame may touch together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitPlan:
    """One device at one unit address: what a site uses of it."""

    unit: int
    pulse_class: PulseClass
    outputs: tuple[OutputPlan, ...]
    inputs: tuple[InputPlan, ...]
    checks: tuple[Check, ...]
    """Besides the watchdog: power-on and safe values OFF, counters and modes as they must be."""
    watchdog: WatchdogPlan | None
    rebooted: Field | None
    """Set by the first power-on since it was read last."""
    rules: UnitRules
    min_gap_s: float
    """Silence between two requests to this unit."""

    def worst_open_ms(self, output: OutputPlan) -> int | None:
        """How long an output of this unit can stay ON when the gateway dies at the worst moment.

        None: nobody ends it.
        """
        if output.timed:
            return output.pulse_ms
        return output.pulse_ms + self.watchdog.timeout_ms if self.watchdog else None


def reads_of(fields: Sequence[Field]) -> tuple[Read, ...]:
    """Every distinct request that is needed to know these fields, in order."""
    return tuple(dict.fromkeys(field.read for field in fields))

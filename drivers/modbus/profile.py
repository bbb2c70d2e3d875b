"""Devices as data: what a profile file says of a device's outputs, inputs and watchdog.

Addresses are 0-based PDU addresses. Outputs and inputs are numbered from 1, as printed on the device. What
the keys mean together is worked out in ``planning``; what contradicts itself is refused in ``profile_rules``.
"""

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from drivers.modbus.plan import PulseClass

Word = Annotated[int, Meta(ge=0, le=0xFFFF)]
Positive = Annotated[int, Meta(ge=1, le=0xFFFF)]
Count = Annotated[int, Meta(ge=1, le=64)]
Port = Annotated[int, Meta(ge=1, le=65535)]
Space = Literal["coils", "discrete_inputs", "holding", "input"]
"""FC01, FC02, FC03, FC04."""
Transport = Literal["tcp", "tls", "rtu_tcp", "rtu"]


TLS_PORT: Final = 802
"""MODBUS/TCP Security, protocol specification v36."""


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of every table of a profile."""


class Place(_Table, frozen=True, kw_only=True):
    """Where a row of bits or numbers is, one for each channel: the n-th at ``first + (n - 1) * stride``."""

    space: Space
    first: Word
    stride: Positive = 1
    words: Literal[1, 2] = 1
    """Registers of one number."""
    low_word_first: bool = False
    packed: bool = False
    """Registers only: all channels are bits of the register ``first``, channel 1 the lowest."""


class Setting(_Table, frozen=True, kw_only=True):
    """One thing to write: a coil (0 or 1) or a register."""

    coil: Word | None = None
    register: Word | None = None
    value: Word
    words: tuple[Word, ...] = ()
    """More registers after the first: one FC16."""


class Expect(_Table, frozen=True, kw_only=True):
    """One thing that must read so."""

    space: Space
    address: Word
    mask: Word = 0xFFFF
    equals: Word | None = None
    low: Word | None = None
    high: Word | None = None
    what: str
    """For people: what it is, and what to set when it is wrong."""


class Mode(Place, frozen=True, kw_only=True):
    """A setting each output has for itself, and what it must be for every output the site uses."""

    equals: Word
    what: str
    """For people: what it is, and what to set when it is wrong."""


class TicksPulse(_Table, frozen=True, kw_only=True, tag_field="kind", tag="fc05_ticks"):
    """FC05 at ``base`` + channel - 1, with the length in the value field: one frame, timed by the device."""

    base: Word
    unit_ms: Positive
    min_ticks: Positive = 1
    max_ticks: Positive = 0xFFFF


class CodePulse(_Table, frozen=True, kw_only=True, tag_field="kind", tag="fc06_code"):
    """FC06 at the output's own register: ``code`` in the high byte, the length in the low byte."""

    code: Annotated[int, Meta(ge=0, le=0xFF)]
    unit_ms: Positive
    min_ticks: Positive = 1
    max_ticks: Annotated[int, Meta(ge=1, le=0xFF)] = 0xFF


class PresetPulse(_Table, frozen=True, kw_only=True, tag_field="kind", tag="preset"):
    """Length and count are set in registers beforehand; coil ``start`` + channel - 1 starts the pulse."""

    start: Word
    on_width: Place
    off_width: Place
    count: Place
    unit_us: Annotated[int, Meta(ge=1)]
    """Unit of the widths in microseconds."""
    min_ticks: Positive = 1
    max_ticks: Positive = 0xFFFF


class HeldPulse(_Table, frozen=True, kw_only=True, tag_field="kind", tag="held"):
    """ON until OFF is written: the gateway times it; the watchdog (class B) or nobody (C) is the reserve."""


class Outputs(_Table, frozen=True, kw_only=True):
    """A block of relays with consecutive addresses."""

    first: Word
    count: Count
    write: Literal["coil", "register"] = "coil"
    """FC05 or FC06."""
    on: Word = 0xFF00
    off: Word = 0x0000
    readback: Place
    pulse: Annotated[TicksPulse | CodePulse | PresetPulse | HeldPulse, Meta()]
    cycles: Place | None = None
    power_on: Place | None = None
    """The state after power returns; must read OFF for every output the site owns."""
    safe: Place | None = None
    """The state after the watchdog expired; must read OFF likewise."""
    modes: tuple[Mode, ...] = ()
    """Settings of each output that keep the rest of the profile true."""


class Counter(Place, frozen=True, kw_only=True):
    """Counters of the inputs' rising edges."""

    start: Word | None = None
    """Coil of input 1 that starts counting, one after the other."""


class Latches(_Table, frozen=True, kw_only=True):
    """Edges remembered until cleared."""

    high: Place
    low: Place
    clear_high: Setting
    clear_low: Setting


class Inputs(_Table, frozen=True, kw_only=True):
    """A block of digital inputs."""

    count: Count
    state: Place
    counter: Counter | None = None
    latches: Latches | None = None


class Watchdog(_Table, frozen=True, kw_only=True):
    """The device's own timer that drops the outputs, set in the register ``time`` in units of ``unit_ms``."""

    time: Word | None = None
    """Holding register of the time-out; None when only the device's web page can set it."""
    unit_ms: Positive = 1
    timeout_ms: Positive
    """What it is set to, or, without ``time``, what the installer must set."""
    min_ticks: Positive = 1
    max_ticks: Positive = 0xFFFF
    """What the register holds, in units; some devices take a short time for "off"."""
    before: tuple[Setting, ...] = ()
    """Written before the time, to unlock or stop it."""
    after: tuple[Setting, ...] = ()
    """Written after the time, to start it."""
    verify: tuple[Expect, ...] = ()
    """Besides the time, which is always read back."""
    running: Expect | None = None
    """The device's own word that it runs. Without it a spare output must prove it."""
    fed_by: Literal["any", "write"] = "any"
    """Which requests feed it. "write": an OFF to the spare output does."""
    clear: tuple[Setting, ...] = ()
    """Takes the outputs back into service after an expiry."""

    @property
    def needs_spare(self) -> bool:
        """The site must leave one output unused, and say which."""
        return self.running is None or self.fed_by == "write"


class Banned(_Table, frozen=True, kw_only=True):
    """A coil or register address that must never be written."""

    address: Word
    why: str


class Profile(_Table, frozen=True, kw_only=True):
    """One kind of device."""

    name: str
    maker: str
    models: tuple[str, ...]
    pulse_class: PulseClass = msgspec.field(name="class")
    verified: Literal["paper", "bench"]
    """Whether the addresses have been measured on the device itself."""
    sources: tuple[str, ...]
    installer: str
    """What to set on the device, and what is not known of it."""
    transports: tuple[Transport, ...]
    port: Port = 502
    rtu_tcp_port: Port | None = None
    """Where it takes RTU frames over TCP, if not at ``port``."""
    unit: Annotated[int, Meta(ge=1, le=247)] = 1
    baud: int = 9600
    min_gap_ms: Annotated[int, Meta(ge=0, le=1000)] = 0
    max_clients: Positive | None = None
    """TCP connections it accepts, where the manual says so."""
    outputs: Outputs
    inputs: Inputs | None = None
    watchdog: Watchdog | None = None
    checks: tuple[Expect, ...] = ()
    """Modes that must be set so that no input moves a relay by itself, and the like."""
    rebooted: Expect | None = None
    """Reads so once after each power-on."""
    identity: tuple[Expect, ...] = ()
    """Reads that only this kind of device answers so; for ``door scan``."""
    banned: tuple[Banned, ...] = ()

    def port_of(self, transport: Transport) -> int:
        """The TCP port a device of this kind listens at by default."""
        if transport == "tls":
            return TLS_PORT
        return self.rtu_tcp_port or self.port if transport == "rtu_tcp" else self.port

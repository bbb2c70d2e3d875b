"""What is wired to which relay and input: the site file's doors, turnstiles and interlocks."""

from collections.abc import Iterator
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from gateway.settings.sections import Ident, Number, Seconds, Section

PulseMs = Annotated[int, Meta(ge=500, le=30_000)]
"""Bounds of a door's pulse, whatever a device could hold."""
LanePulseMs = Annotated[int, Meta(ge=100, le=500)]
"""Bounds of a turnstile's: shorter is not seen, longer means free passage to some makers."""


class Input(Section, frozen=True, kw_only=True):
    """A sensor's wire: an input of a device, and which level means that the sensor is on."""

    device: Ident
    input: Number
    on: Literal["closed", "open"] = "closed"
    """Current flows ("closed") or not ("open") while the sensor is on."""


class Sensors(Section, frozen=True, kw_only=True):
    """What is fitted to a door. What is not here is not known, and never guessed."""

    contact: Input | None = None
    """On while the leaf is open."""
    bolt: Input | None = None
    """On while the bolt is thrown or the magnet holds."""
    rex: Input | None = None
    """On while somebody asks to go out."""
    tamper: Input | None = None
    fire: Input | None = None
    """On while the fire panel releases the doors; wire it so that a cut wire means fire (``on = "open"``)."""


class Door(Section, frozen=True, kw_only=True):
    """One leaf, one lock, one relay; opened from one or both sides."""

    id: Ident
    name: str
    device: Ident
    channel: Number
    pulse_ms: PulseMs = 3000
    extended_pulse_ms: PulseMs | None = None
    """For people who need longer; ``pulse_ms`` by default."""
    relock: Literal["time", "open", "close"] = "time"
    """When the pulse runs out, or earlier, as soon as the leaf was opened or is shut again."""
    fail: Literal["secure", "safe"] = "secure"
    """What the lock does without power: stays locked, or lets go. The relay is wired to suit."""
    held_warning_s: Seconds = 15.0
    held_alarm_s: Seconds = 30.0
    extended_held_s: Seconds = 30.0
    """Added to both for people who need longer."""
    debounce_ms: Annotated[int, Meta(ge=0, le=500)] = 60
    rex: Literal["shunt", "unlock"] = "shunt"
    """A request to exit only keeps the forced alarm quiet, or also releases the lock."""
    rex_shunt_s: Seconds = 10.0
    sensors: Sensors = msgspec.field(default_factory=Sensors)


class Lane(Section, frozen=True, kw_only=True):
    """One direction of a turnstile."""

    channel: Number
    passed: Input | None = None
    """Gives a pulse for every person who went through."""


class TurnstileSensors(Section, frozen=True, kw_only=True):
    """What else a turnstile says."""

    free: Input | None = None
    """On while everybody may pass: antipanic, free mode."""
    tamper: Input | None = None
    fire: Input | None = None


class Turnstile(Section, frozen=True, kw_only=True):
    """A turnstile behind two relays of one device, which are never ON together."""

    id: Ident
    name: str
    device: Ident
    way_in: Lane | None = msgspec.field(default=None, name="in")
    way_out: Lane | None = msgspec.field(default=None, name="out")
    pulse_ms: LanePulseMs = 300
    wait_s: Annotated[float, Meta(ge=1, le=60)] = 5.0
    """How long the turnstile waits for a person by its own setting."""
    opposite: Literal["wait", "allow"] = "wait"
    """What becomes of a grant while somebody is expected from the other side: it waits, or is given too."""
    sensors: TurnstileSensors = msgspec.field(default_factory=TurnstileSensors)

    def lanes(self) -> Iterator[tuple[Literal["in", "out"], Lane]]:
        """The directions it has."""
        if self.way_in is not None:
            yield "in", self.way_in
        if self.way_out is not None:
            yield "out", self.way_out


class Interlock(Section, frozen=True, kw_only=True):
    """Doors of which at most one is open: a mantrap."""

    id: Ident
    doors: tuple[Ident, ...]
    reserve_s: Annotated[float, Meta(ge=2, le=120)] = 15.0
    """How long a person may take to open the door that was released."""

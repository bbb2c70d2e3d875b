"""What the sensors of one door or turnstile said, at one moment."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Direction(StrEnum):
    """Which way a person goes through an access point."""

    IN = "in"
    OUT = "out"


class Sensor(StrEnum):
    """What an input can tell. Each is fitted or not; that is a fact of the site."""

    CONTACT = "contact"
    """On while the door leaf is open."""
    BOLT = "bolt"
    """On while the bolt is thrown or the magnet holds."""
    REX = "rex"
    """On while somebody asks to go out."""
    TAMPER = "tamper"
    FIRE = "fire"
    """On while the fire panel releases the doors."""
    FREE = "free"
    """On while a turnstile lets everybody pass: antipanic or free mode."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """One atomic look. A fitted sensor that could not be read is None, and so is one that is not fitted.

    ``on`` holds True and False in the sensors' own sense, whatever the wiring. ``edges`` counts how often a
    sensor has gone on since the driver started, also between two looks where a counter or a latch allows it;
    ``passages`` counts a turnstile's passages likewise.
    """

    at_ns: int
    """Monotonic time of the answer; the state is not older than the round trip before it."""
    seq: int
    on: Mapping[Sensor, bool | None] = field(default_factory=dict)
    edges: Mapping[Sensor, int] = field(default_factory=dict)
    passages: Mapping[Direction, int | None] = field(default_factory=dict)
    output_on: bool | None = None
    """The relay as the device reports it; of a turnstile: any of its relays."""

    def get(self, sensor: Sensor) -> bool | None:
        """The sensor's state; None when unknown."""
        return self.on.get(sensor)

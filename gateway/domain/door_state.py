"""What a door is set to do, and what is known of it. Plain data; the rules are in ``door_machine``."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from gateway.domain.doors import Actuation
from gateway.domain.events import EventKind, Json
from gateway.domain.ids import GrantId
from gateway.domain.readings import Direction, Readings, Sensor


class Relock(StrEnum):
    """When a released lock locks again; never later than its pulse."""

    TIME = "time"
    OPEN = "open"
    CLOSE = "close"


class Phase(StrEnum):
    """What the door is doing."""

    LOCKED = "locked"
    RELEASED = "released"
    OPEN = "open"
    HELD_WARNING = "held_warning"
    HELD_ALARM = "held_alarm"
    FORCED = "forced"
    FAULT = "fault"
    FIRE = "fire"
    UNKNOWN = "unknown"


class DoorAlarm(StrEnum):
    """What a guard is told, until it is over."""

    FORCED = "forced"
    HELD_WARNING = "held_warning"
    HELD = "held"
    TAMPER = "tamper"
    FIRE = "fire"
    FIRE_UNKNOWN = "fire_unknown"
    CONTACT_UNKNOWN = "contact_unknown"
    STUCK = "stuck"
    """The lock does not lock: the bolt is not thrown, or the relay stays ON, though it should be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorConfig:
    """One door of a site; times in monotonic nanoseconds."""

    fitted: frozenset[Sensor]
    pulse_ns: int
    extended_pulse_ns: int
    relock: Relock = Relock.TIME
    held_warning_ns: int = 15_000_000_000
    held_alarm_ns: int = 30_000_000_000
    extended_held_ns: int = 30_000_000_000
    debounce_ns: int = 60_000_000
    rex_shunt_ns: int = 10_000_000_000
    rex_unlocks: bool = False
    slack_ns: int = 1_000_000_000
    """Added to a pulse: how long after it an opening still belongs to its grant."""
    stale_ns: int = 3_000_000_000
    """Readings older than that say nothing."""
    dark_ns: int = 1_000_000_000
    """A sensor that cannot be read for so long is told; a link that is made anew is no alarm."""
    stuck_ns: int = 3_000_000_000
    """How long after a pulse the lock may take to lock, and a bolt after the leaf has shut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A grant that may move the lock, until its passage is known."""

    grant_id: GrantId
    until_ns: int
    """An opening up to here is this grant's."""
    pulse_ns: int
    extended: bool
    was_open: bool
    """The leaf was open already: nobody can tell whether this person went through."""
    sure: bool = False
    """Its frame has left; until then there is no verdict."""
    opened: bool = False
    blind: bool = False
    """Somebody may have gone through without the contact telling: it was lost meanwhile, or open before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """An order to keep the door released, by one short lease after the other."""

    order_id: str
    until_ns: int
    renew_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorState:
    """Everything known of one door at one time."""

    phase: Phase = Phase.UNKNOWN
    assumed: bool = False
    """The phase rests on the relay alone: there is no contact to prove it."""
    seen_ns: int | None = None
    """When the sensors were last read; None when they cannot be."""
    known_ns: int | None = None
    """The last look before the sensors could not be read: whatever happened may have happened just after."""
    dark_since_ns: int | None = None
    """Since when the contact or the fire input cannot be read."""
    told_ns: int = 0
    """The time of the last stimulus."""
    on: Mapping[Sensor, bool | None] = field(default_factory=dict)
    output_on: bool | None = None
    open: bool | None = None
    """The contact, debounced."""
    changing_ns: int | None = None
    """Since when the contact has said otherwise …"""
    earliest_ns: int = 0
    """… and the look before that: it may have moved just after."""
    opened_ns: int | None = None
    shut_ns: int = 0
    """Since when the leaf is known to be shut: a bolt throws after that."""
    extended: bool = False
    legitimate: bool = True
    """The leaf was opened by somebody who was let through."""
    releases: tuple[Release, ...] = ()
    released_until_ns: int = 0
    """Until then the lock may be released by an order of ours."""
    covered_until_ns: int = 0
    """Up to here an opening is no break-in, though no grant waits for it: a pulse that somebody used still
    runs, or a hold has just ended."""
    rex_until_ns: int = 0
    rex_edges: int = 0
    rex_was: bool = False
    """The request to exit when it could last be read."""
    hold: Hold | None = None
    locked_down: bool = False
    fire: bool = False
    """Latched: until the input is clear and somebody has acknowledged it."""
    forced: bool = False
    """Latched likewise until the leaf is shut."""
    alarms: frozenset[DoorAlarm] = frozenset()


@dataclass(frozen=True, slots=True)
class Looked:
    """The sensors were read."""

    readings: Readings


@dataclass(frozen=True, slots=True)
class Lost:
    """The sensors can be read no more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """A frame is about to leave for this grant."""

    grant_id: GrantId
    direction: Direction = Direction.IN
    extended: bool = False


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of it."""

    grant_id: GrantId
    actuation: Actuation | None


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldOpen:
    """Keep the door released until then."""

    order_id: str
    until_ns: int


@dataclass(frozen=True, slots=True)
class EndHold:
    """Stop holding it."""


@dataclass(frozen=True, slots=True)
class LockDown:
    """Let nobody in; the way out stays free."""

    on: bool


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """Somebody has seen to the fire or the forced door."""


Stimulus = Looked | Lost | Released | Settled | Tick | HoldOpen | EndHold | LockDown | Acknowledge


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something for the record."""

    kind: EventKind
    grant_id: GrantId | None = None
    data: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RelockNow:
    """Write OFF."""


@dataclass(frozen=True, slots=True)
class Renew:
    """One more short lease, for an order or a request to exit."""

    order_id: str


Effect = Notice | RelockNow | Renew


@dataclass(frozen=True, slots=True)
class Step:
    """The next state, and what to do about it, in order."""

    state: DoorState
    effects: tuple[Effect, ...] = ()

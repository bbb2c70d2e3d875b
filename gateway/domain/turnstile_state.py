"""What a turnstile is set to do, and what is known of it. Plain data; the rules are in ``turnstile``."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from gateway.domain.door_state import Acknowledge, Effect, Looked, Lost, Released, Settled, Tick
from gateway.domain.ids import GrantId
from gateway.domain.readings import Direction, Sensor

_S = 1_000_000_000


class TurnstileAlarm(StrEnum):
    """What a guard is told."""

    TAILGATE = "tailgate"
    """A second person on one token."""
    FORCED = "forced"
    """A passage without any token."""
    WRONG_WAY = "wrong_way"
    """A passage against the direction somebody was let in."""
    FREE = "free"
    """It lets everybody pass."""
    STUCK = "stuck"
    """A relay stays ON: some makers read that as free passage."""
    TAMPER = "tamper"
    FIRE = "fire"
    FIRE_UNKNOWN = "fire_unknown"
    PASSAGES_UNKNOWN = "passages_unknown"


class TurnstilePhase(StrEnum):
    """What the turnstile is doing."""

    LOCKED = "locked"
    ARMED = "armed"
    """It waits for the person of a token."""
    FREE = "free"
    FAULT = "fault"
    FIRE = "fire"


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnstileConfig:
    """One turnstile of a site; times in monotonic nanoseconds."""

    directions: frozenset[Direction]
    counted: frozenset[Direction]
    """Directions whose passages are wired."""
    fitted: frozenset[Sensor] = frozenset()
    pulse_ns: int = 300_000_000
    wait_ns: int = 5 * _S
    grace_ns: int = _S
    """A person may be in the middle of it when the turnstile's own time is up."""
    both_ways: bool = False
    """A grant may be given while somebody is expected from the other side."""
    tail_ns: int = 3 * _S
    """A further passage so soon after a token's is somebody who slipped through behind."""
    burst: int = 3
    """So many passages without a token, each within ``burst_ns``, mean that everybody may pass."""
    burst_ns: int = 5 * _S
    stuck_ns: int = 2 * _S
    dark_ns: int = _S
    """A sensor that cannot be read for so long is told; a link that is made anew is no alarm."""
    shown_ns: int = 30 * _S
    """How long an alarm of one moment is shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """One person may pass, until then."""

    grant_id: GrantId
    until_ns: int
    sure: bool = False
    """Its frame has left, and whatever became of it: it is never sent again."""
    passed: bool = False
    """Somebody went through before it was known what became of the frame."""
    blind: bool = False
    """Passages could not be read for a time: its person may have gone through uncounted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnstileState:
    """Everything known of one turnstile at one time."""

    phase: TurnstilePhase = TurnstilePhase.LOCKED
    tokens: Mapping[Direction, Token] = field(default_factory=dict)
    counts: Mapping[Direction, int | None] = field(default_factory=dict)
    passed_ns: Mapping[Direction, int] = field(default_factory=dict)
    """When the last token of a direction was used."""
    strays: tuple[int, ...] = ()
    on: Mapping[Sensor, bool | None] = field(default_factory=dict)
    output_on: bool | None = None
    pulse_until_ns: int = 0
    free: bool = False
    """Latched until the input is clear, or somebody acknowledged it."""
    fire: bool = False
    shown: Mapping[TurnstileAlarm, int] = field(default_factory=dict)
    alarms: frozenset[TurnstileAlarm] = frozenset()
    dark_since_ns: int | None = None
    """Since when passages or the fire input cannot be read."""
    told_ns: int = 0


@dataclass(frozen=True, slots=True)
class TurnstileStep:
    """The next state, and what to do about it, in order."""

    state: TurnstileState
    effects: tuple[Effect, ...] = ()


TurnstileStimulus = Looked | Lost | Released | Settled | Tick | Acknowledge

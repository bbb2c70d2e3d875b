"""What a door device can do and say."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from gateway.domain.ids import DoorId, GrantId


class Release(Protocol):
    """What a lock needs to know of an order to open once. A ``Grant`` is one; so is a lease."""

    @property
    def grant_id(self) -> GrantId:
        """One pulse at most is given for it, ever."""
        ...

    @property
    def expires_ns(self) -> int:
        """Monotonic; not sent from then on."""
        ...

    @property
    def extended(self) -> bool:
        """The longer pulse."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """One short opening of a door that is being held open, or that a request to exit opens."""

    grant_id: GrantId
    expires_ns: int
    extended: bool = False


class Link(StrEnum):
    """State of the path to a device."""

    UP = "up"
    DOWN = "down"
    DEGRADED = "degraded"
    UNARMED = "unarmed"
    """The hardware that would end a pulse by itself is not proven: unlock is refused, lock allowed."""


class Outcome(StrEnum):
    """What became of an unlock command."""

    CONFIRMED = "confirmed"
    """Echo right and the output was read back as on."""
    SENT = "sent"
    """Echo right, read-back missing."""
    NOT_SENT = "not_sent"
    """No frame left: the door has not moved for this grant."""
    REFUSED = "refused"
    """The device said no and did nothing."""
    AMBIGUOUS = "ambiguous"
    """A frame left and nothing proves what it did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Actuation:
    """The outcome of one unlock, with what is known about it."""

    outcome: Outcome
    sent_ns: int | None
    """Monotonic time just before the frame was handed to the transport; None if none was."""
    done_ns: int
    evidence: str
    """For people and the ledger: what was echoed, read back, or went wrong."""
    frames_sent: int = 0
    """Unlock frames handed to the transport for this grant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorHealth:
    """Health of one lock's hardware."""

    door_id: DoorId
    link: Link
    detail: str
    last_ok_ns: int | None
    rtt_p99_ms: float | None
    failures: int
    """Consecutive failed requests."""
    alarms: frozenset[str] = frozenset()
    facts: Mapping[str, str] = field(default_factory=dict)
    """Device profile, class of pulse, firmware …"""

    @property
    def ready(self) -> bool:
        """True when an unlock may be attempted."""
        return self.link is Link.UP

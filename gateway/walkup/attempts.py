"""One decision a track: which sightings deserve one, and when a denied track may be looked at again."""

from collections import OrderedDict
from dataclasses import dataclass, field

from gateway.domain.decisions import DenyReason
from gateway.domain.ids import PersonId
from gateway.domain.sightings import Sighting

_REMEMBERED = 256
CLEARLY_BETTER = 0.1
"""Gain in evidence strength (0..1) that earns a denied track another look."""
RETRY_NS = 1_000_000_000

PASSING = frozenset(
    {
        DenyReason.EVIDENCE_STALE,
        DenyReason.BUSY,
        DenyReason.INTERLOCK,
        DenyReason.DOOR_LOCKED_DOWN,
        DenyReason.DOOR_NOT_READY,
        DenyReason.ROSTER_STALE,
        DenyReason.JOURNAL_UNAVAILABLE,
    }
)
"""Reasons that say nothing about the person: with fresh evidence they may try again after a second."""

TrackKey = tuple[int, int]
"""Worker epoch and track number."""


@dataclass(frozen=True, slots=True)
class _Attempt:
    denied_for: DenyReason | None = None
    strength: float = 0.0
    at_ns: int = 0


@dataclass(slots=True)
class Attempts:
    """What has been decided about the tracks of one access point; forgets the oldest."""

    _tracks: OrderedDict[TrackKey, _Attempt] = field(default_factory=OrderedDict)
    _released: tuple[PersonId, int] | None = None

    def wants(self, sighting: Sighting, strength: float, now_ns: int) -> bool:
        """True when the sighting may be decided on."""
        before = self._tracks.get(key(sighting))
        if before is None:
            return True
        if before.denied_for is None:
            return False
        if before.denied_for in PASSING:
            return now_ns - before.at_ns >= RETRY_NS
        return strength >= before.strength + CLEARLY_BETTER

    def granted(self, sighting: Sighting, person: PersonId, until_ns: int) -> None:
        """The track has had its grant; the door is released for this person until a monotonic time."""
        self._remember(key(sighting), _Attempt())
        self._released = (person, until_ns)

    def denied(self, sighting: Sighting, reason: DenyReason, strength: float, now_ns: int) -> bool:
        """Note a denial; True when it is news (the track's first, or for another reason)."""
        before = self._tracks.get(key(sighting))
        self._remember(key(sighting), _Attempt(reason, strength, now_ns))
        return before is None or before.denied_for is not reason

    def released_for(self, person: PersonId, now_ns: int) -> bool:
        """The door is still released for this very person: another pulse would change nothing."""
        return self._released is not None and self._released[0] == person and now_ns < self._released[1]

    def _remember(self, track: TrackKey, attempt: _Attempt) -> None:
        self._tracks[track] = attempt
        self._tracks.move_to_end(track)
        while len(self._tracks) > _REMEMBERED:
            self._tracks.popitem(last=False)

    def failed(self, sighting: Sighting, now_ns: int) -> None:
        """The grant moved nothing: the door is not released, and the person may try again."""
        self._released = None
        self._remember(key(sighting), _Attempt(DenyReason.DOOR_NOT_READY, 0.0, now_ns))


def key(sighting: Sighting) -> TrackKey:
    """Identity of a sighting's track over worker restarts."""
    return (sighting.worker_epoch, sighting.track_id)

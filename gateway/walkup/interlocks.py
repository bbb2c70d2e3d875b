"""Doors of which at most one is open, in this process: nothing is awaited between check and reservation."""

from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.domain.decisions import DenyReason
from gateway.domain.ids import DoorId, GrantId
from gateway.domain.interlock import Interlock, Secure
from gateway.ports import Clock


@dataclass(slots=True)
class InterlockGroup:
    """One mantrap. Its doors join with a way to look at them."""

    interlock: Interlock
    clock: Clock
    _looks: dict[DoorId, Callable[[], Secure]] = field(default_factory=dict)

    def join(self, door_id: DoorId, look: Callable[[], Secure]) -> None:
        """A door of the group."""
        self._looks[door_id] = look

    def obstacle(self, door_id: DoorId) -> DenyReason | None:
        """What a reservation would be told now."""
        return self._refused(self._ask(door_id, GrantId("")))

    def reserve(self, door_id: DoorId, grant_id: GrantId) -> DenyReason | None:
        """Take the group for one door, or the reason why not."""
        asked = self._ask(door_id, grant_id)
        reason = self._refused(asked)
        if reason is None:
            self.interlock = asked
        return reason

    def release(self, grant_id: GrantId) -> None:
        """Its frame never left."""
        self.interlock = self.interlock.release(grant_id)

    def settle(self) -> None:
        """A door of the group was looked at."""
        self.interlock = self.interlock.settle(self._seen(), self.clock.monotonic_ns())

    def _ask(self, door_id: DoorId, grant_id: GrantId) -> Interlock:
        return self.interlock.reserve(door_id, grant_id, self._seen(), self.clock.monotonic_ns())

    def _seen(self) -> dict[DoorId, Secure]:
        return {door: look() for door, look in self._looks.items()}

    @staticmethod
    def _refused(asked: Interlock) -> DenyReason | None:
        return DenyReason.INTERLOCK if asked.why else None

"""The interlock of a mantrap: at most one of its doors is open, or about to be.

Check and reservation are one step of one function: two grants in the same instant cannot both pass it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.domain.ids import DoorId, GrantId


@dataclass(frozen=True, slots=True, kw_only=True)
class Secure:
    """What is known of one door of the group."""

    shut: bool | None
    output_off: bool | None
    seen_ns: int | None
    fire: bool = False

    def proven(self, now_ns: int, fresh_ns: int) -> bool:
        """Shut and locked, by readings that are fresh. What is not known is not shut."""
        fresh = self.seen_ns is not None and now_ns - self.seen_ns <= fresh_ns
        return fresh and self.shut is True and self.output_off is True


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """One door is in use."""

    door_id: DoorId
    grant_id: GrantId
    until_ns: int
    opened: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Interlock:
    """The group at one time."""

    doors: frozenset[DoorId]
    reserve_ns: int
    fresh_ns: int
    reserved: Reservation | None = None
    why: str = field(default="", compare=False)
    """Why the last reservation was refused; empty when it was given."""

    def reserve(
        self, door_id: DoorId, grant_id: GrantId, looks: Mapping[DoorId, Secure], now_ns: int
    ) -> "Interlock":
        """Take the group for one door, or say in ``why`` who or what stands against it."""
        if any(look.fire for look in looks.values()):
            return self._with(self.reserved, "")
        held = self.settle(looks, now_ns).reserved
        if held is not None and held.door_id != door_id:
            return self._with(held, f"{held.door_id} is in use")
        for other in sorted(self.doors - {door_id}):
            if other not in looks or not looks[other].proven(now_ns, self.fresh_ns):
                return self._with(held, f"{other} is not proven shut and locked")
        taken = Reservation(door_id=door_id, grant_id=grant_id, until_ns=now_ns + self.reserve_ns)
        return self._with(taken, "")

    def settle(self, looks: Mapping[DoorId, Secure], now_ns: int) -> "Interlock":
        """End a reservation whose door was opened and is shut again, or that nobody used in time."""
        held = self.reserved
        if held is None:
            return self
        look = looks.get(held.door_id)
        if look is not None and look.shut is False:
            opened = Reservation(
                door_id=held.door_id, grant_id=held.grant_id, until_ns=held.until_ns, opened=True
            )
            return self._with(opened, self.why)
        secure = look is not None and look.proven(now_ns, self.fresh_ns)
        if secure and (held.opened or now_ns > held.until_ns):
            return self._with(None, self.why)
        return self

    def release(self, grant_id: GrantId) -> "Interlock":
        """Its frame never left."""
        held = self.reserved
        return self._with(None, self.why) if held is not None and held.grant_id == grant_id else self

    def _with(self, reserved: Reservation | None, why: str) -> "Interlock":
        return Interlock(
            doors=self.doors,
            reserve_ns=self.reserve_ns,
            fresh_ns=self.fresh_ns,
            reserved=reserved,
            why=why,
        )

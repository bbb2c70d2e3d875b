"""The outputs of one device: each proven OFF by its own watch, looked at together."""

from typing import Protocol

from drivers.modbus.board import HealthBoard
from drivers.modbus.frames import Ambiguous, Echoed, Priority, Refused
from drivers.modbus.plan import Field, reads_of
from drivers.modbus.relay_line import Trouble
from drivers.modbus.rows import Placed, merged
from drivers.modbus.unit_link import UnitLink
from drivers.modbus.watch import Watch
from gateway.domain.doors import Link


class Member(Protocol):
    """A door on this device: its watch, what it says of itself, and whether its OFF is being neglected."""

    watch: Watch
    board: HealthBoard

    def neglected(self) -> bool:
        """An OFF is overdue and nobody writes it."""
        ...


class Outputs:
    """The doors of one device. What is said here is said of each."""

    def __init__(self, link: UnitLink) -> None:
        self._link = link
        self._members: tuple[Member, ...] = ()
        self._joined: dict[int, Field] = {}
        self._apart = False
        """The device refuses to be asked for several at once."""

    def add(self, member: Member) -> None:
        """One more door."""
        self._members += (member,)
        member.watch.link_changed()

    def remove(self, member: Member) -> None:
        """Look at this door no more."""
        self._members = tuple(m for m in self._members if m is not member)

    @property
    def running(self) -> bool:
        """A pulse of ours may be running."""
        return any(m.watch.line.claim.running for m in self._members)

    @property
    def unproven_and_running(self) -> bool:
        """A door waits for its own pulse to end before it can be proven."""
        return any(not m.watch.proven and m.watch.line.claim.running for m in self._members)

    @property
    def neglected(self) -> bool:
        """Some OFF is overdue and nobody writes it."""
        return any(m.neglected() for m in self._members)

    def link_changed(self) -> None:
        """Whatever was proven is no longer."""
        for member in self._members:
            member.watch.link_changed()

    def doubt(self, link: Link, why: str) -> None:
        """What was proven no longer counts, for this reason."""
        for member in self._members:
            member.watch.doubt(link, why)

    def refresh(self) -> None:
        """Say what follows from the outputs' proofs and the device's arming."""
        for member in self._members:
            member.watch.refresh()

    def tell(self) -> None:
        """Alarms that were shown for their time go."""
        for member in self._members:
            member.board.tell()

    def stand(self, alarm: str, why: str) -> None:
        """Raise until cleared."""
        for member in self._members:
            member.board.stand(alarm, why)

    def flash(self, alarm: str, why: str) -> None:
        """Raise for a minute: it may be over before anybody has looked."""
        for member in self._members:
            member.board.flash(alarm, why)

    def clear(self, *alarms: str) -> None:
        """Their causes are gone."""
        for member in self._members:
            for alarm in alarms:
                member.board.clear(alarm)

    def unproven(self) -> tuple[Watch, ...]:
        """Those that need proof and may have it now; one whose proof failed waits for the others."""
        waiting = [m.watch for m in self._members if not m.watch.proven and not m.watch.blocked]
        return tuple(sorted(waiting, key=lambda watch: watch.asked_ns))

    async def look(self, priority: Priority) -> bool:
        """Every output that is proven, in as few requests as possible. False when a reply is missing."""
        complete = True
        states = self._states()
        for read in reads_of(list(states.values())):
            result = await self._link.ask(read, priority)
            if isinstance(result, Refused) and not self._apart:
                self._apart, self._joined = True, {}
                return True
            complete = complete and not isinstance(result, Ambiguous)
            for watch in [m.watch for m in self._members]:
                field = states.get(watch.line.plan.channel)
                if field is None or field.read != read or not watch.proven:
                    continue
                if isinstance(result, Echoed):
                    await watch.looked(watch.line.see(result, field))
                else:
                    await watch.looked(Trouble.of(result))
        return complete

    def _states(self) -> dict[int, Field]:
        """Where the proven ones are read, by channel. One that the device has not must not spoil the rest."""
        plans = {m.watch.line.plan.channel: m.watch.line.plan for m in self._members if m.watch.proven}
        if self._joined.keys() != plans.keys():
            row = [Placed(n, plan.state) for n, plan in plans.items()]
            self._joined = {p.number: p.field for p in row} if self._apart else merged(row)
        return self._joined

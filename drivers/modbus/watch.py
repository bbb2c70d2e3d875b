"""Judges whether one relay may be pulsed: OFF and read back after every connect, then a look now and then."""

from collections.abc import Callable
from typing import Final

from drivers.modbus.alarms import DEVICE_LIES, FOREIGN_WRITE, NO_READBACK, REFUSED, STUCK_ON
from drivers.modbus.board import HealthBoard
from drivers.modbus.frames import Priority
from drivers.modbus.relay_line import RelayLine, Seen, Trouble
from gateway.domain.doors import Link

_UNSEEN: Final = 3
"""Pulses in a row that were never read back as ON."""
_BLOCKED_NS: Final = 30_000_000_000


class Watch:
    """Only it says that a door's link is up, and only for the connection it has proven.

    The unit's task calls it. ``why_unarmed`` is what the unit lacks to end a pulse without us, or None.
    """

    def __init__(self, line: RelayLine, board: HealthBoard, why_unarmed: Callable[[], str | None]) -> None:
        self.line, self.board = line, board
        self._link, self._why_unarmed = line.link, why_unarmed
        self.asked_ns = 0
        """When proof was last asked for, 0 before."""
        self._proven_epoch: int | None = None
        self._blocked_until_ns = 0
        self._unseen = 0
        self._first = True

    @property
    def proven(self) -> bool:
        """The output went OFF on this connection, and nothing has spoken against it since."""
        return self._link.connected and self._link.epoch == self._proven_epoch

    @property
    def blocked(self) -> bool:
        """Out of service for a while."""
        return self._link.clock.monotonic_ns() < self._blocked_until_ns

    def why_not_ready(self) -> str | None:
        """Why no pulse may leave now; None when this very connection has been proven safe."""
        if not self.proven or self.board.link is not Link.UP:
            bus = self._link.bus
            return f"door not ready: {self.board.detail if bus.connected else bus.detail}"
        why = self._why_unarmed()
        return None if why is None else f"door not ready: {why}"

    def link_changed(self) -> None:
        """The bus gained or lost its link: whatever was proven is no longer."""
        self._proven_epoch = None
        self._blocked_until_ns = 0
        self.line.seen = None
        bus = self._link.bus
        self.board.set_link(Link.DOWN, "output not yet proven OFF" if bus.connected else bus.detail)

    def doubt(self, link: Link, why: str) -> None:
        """What was proven no longer counts, for this reason."""
        self._proven_epoch = None
        if self._link.connected:
            self.board.set_link(link, why)

    def refresh(self) -> None:
        """Say what follows from the output's proof and the unit's arming."""
        if not self.proven:
            return
        why = self._why_unarmed()
        if why is None:
            self.board.set_link(Link.UP, "output OFF and read back")
        else:
            self.board.set_link(Link.UNARMED, why)

    def read_back(self, *, on: bool) -> None:
        """A pulse was echoed and then looked at. Too many never seen take the door out of service.

        It is proven anew after a while, or when the link comes back, and gets one more try.
        """
        if on:
            self._unseen = 0
            self.board.clear(NO_READBACK)
            self.board.clear(REFUSED)
            return
        self._unseen += 1
        if self._unseen < _UNSEEN:
            return
        self._unseen = _UNSEEN - 1
        why = f"{_UNSEEN} pulses were echoed and the output was never read back as ON"
        self._proven_epoch = None
        self._blocked_until_ns = self._link.clock.monotonic_ns() + _BLOCKED_NS
        self.board.stand(NO_READBACK, why)
        self.board.set_link(Link.DEGRADED, why)

    def trouble(self, trouble: Trouble) -> None:
        """Say what a bad reply means beyond its own request."""
        if trouble.lied:
            self.board.flash(DEVICE_LIES, trouble.why)
        if trouble.refused:
            self.board.stand(REFUSED, trouble.why)

    async def prove(self) -> Trouble | None:
        """The output OFF and read back, before anything else may happen on this connection.

        Returns what kept it from being asked; afterwards ``proven`` says whether it is.
        """
        epoch, line = self._link.epoch, self.line
        self.asked_ns = self._link.clock.monotonic_ns()
        if line.claim.running:
            # Our pulse outlived the link. It has an end; cutting it would shut out who was let in.
            seen = await line.read(Priority.LOCK)
            if isinstance(seen, Seen) and seen.on and not line.foreign(seen):
                self.board.set_link(Link.DEGRADED, "waits for its own pulse to end")
                return None
        elif not self._first:
            seen = await line.read(Priority.LOCK)
            if isinstance(seen, Seen) and seen.on:
                self.board.flash(FOREIGN_WRITE, "the output was ON when the link came back")
        off = await line.off(Priority.LOCK, lambda: self._other_link(epoch))
        if isinstance(off, Trouble):
            self._failed(off)
            return off
        if off.on:
            self._stuck()
        elif self._other_link(epoch) is None:
            self._first = False
            self._proven_epoch = epoch
            self.board.clear(STUCK_ON)
            self.board.clear(REFUSED)
        return None

    async def looked(self, seen: Seen | Trouble) -> None:
        """Nobody but us may switch this output."""
        if isinstance(seen, Trouble):
            if not seen.unsent:  # a look that had to give way says nothing about the device
                self._failed(seen)
        elif self.line.foreign(seen):
            self.board.flash(FOREIGN_WRITE, "the output was ON without a grant; OFF written")
            off = await self.line.off(Priority.LOCK, self._own_pulse)
            if isinstance(off, Seen) and self.line.foreign(off):
                self._stuck()
            elif isinstance(off, Trouble) and not off.unsent:
                self._failed(off)

    def _failed(self, trouble: Trouble) -> None:
        self.trouble(trouble)
        self.doubt(Link.DEGRADED, f"no good reply about this output: {trouble.why}")

    def _stuck(self) -> None:
        self._proven_epoch = None
        self.board.stand(STUCK_ON, "OFF was echoed and the output still reads ON")
        self.board.set_link(Link.DEGRADED, "the output does not go OFF")

    def _own_pulse(self) -> str | None:
        """OFF must not cut a pulse that a grant began meanwhile."""
        return "a grant came first" if self.line.claim.running else None

    def _other_link(self, epoch: int) -> str | None:
        return None if self._link.epoch == epoch else "the link has changed"

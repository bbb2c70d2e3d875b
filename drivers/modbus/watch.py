"""Keeps one relay safe and known: OFF and read back after every connect, then a slow look at it."""

import asyncio
import contextlib
from typing import Final

from drivers.modbus.alarms import DEVICE_LIES, FOREIGN_WRITE, NO_READBACK, REFUSED, STUCK_ON
from drivers.modbus.board import HealthBoard
from drivers.modbus.frames import Priority
from drivers.modbus.relay_line import RelayLine, Seen, Trouble
from gateway.domain.doors import Link

POLL_S: Final = 1.0
_AGAIN_S: Final = 0.1
_DOUBLINGS: Final = 3
"""How often the time to the next question doubles for a unit that stays silent on a link others use."""
_UNSEEN: Final = 3
"""Pulses in a row that were never read back as ON."""
_BLOCKED_NS: Final = 30_000_000_000


class Watch:
    """The door's own task. Only it says that the link is up, and only for the connection it has proven."""

    def __init__(self, line: RelayLine, board: HealthBoard, *, poll_s: float = POLL_S) -> None:
        self._line, self._board, self._poll_s = line, board, poll_s
        self._proven_epoch: int | None = None
        self._blocked_until_ns = 0
        self._unseen = 0
        self._misses = 0
        self._first = True
        self._wake = asyncio.Event()

    def why_not_ready(self) -> str | None:
        """Why no pulse may leave now; None when this very connection has been proven safe."""
        bus = self._line.bus
        if bus.connected and bus.epoch == self._proven_epoch and self._board.link is Link.UP:
            return None
        return f"door not ready: {self._board.detail if bus.connected else bus.detail}"

    def link_changed(self) -> None:
        """The bus gained or lost its link: whatever was proven is no longer."""
        self._proven_epoch = None
        self._blocked_until_ns = self._misses = 0
        bus = self._line.bus
        self._board.set_link(Link.DOWN, "output not yet proven OFF" if bus.connected else bus.detail)
        self._wake.set()

    def read_back(self, *, on: bool) -> None:
        """A pulse was echoed and then looked at. Too many never seen take the door out of service.

        It is proven anew after a while, or when the link comes back, and gets one more try.
        """
        if on:
            self._unseen = 0
            self._board.clear(NO_READBACK)
            self._board.clear(REFUSED)
            return
        self._unseen += 1
        if self._unseen < _UNSEEN:
            return
        self._unseen = _UNSEEN - 1
        why = f"{_UNSEEN} pulses were echoed and the output was never read back as ON"
        self._proven_epoch = None
        self._blocked_until_ns = self._line.bus.clock.monotonic_ns() + _BLOCKED_NS
        self._board.stand(NO_READBACK, why)
        self._board.set_link(Link.DEGRADED, why)

    def trouble(self, trouble: Trouble) -> None:
        """Say what a bad reply means beyond its own request."""
        if trouble.lied:
            self._board.flash(DEVICE_LIES, trouble.why)
        if trouble.refused:
            self._board.stand(REFUSED, trouble.why)

    async def run(self) -> None:
        """Prove and watch until cancelled."""
        while True:
            self._wake.clear()
            pause = self._poll_s
            if self._line.bus.connected:
                pause = await self._round()
            self._board.tell()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wake.wait()

    async def _round(self) -> float:
        """One step; returns seconds until the next."""
        if self._line.bus.clock.monotonic_ns() < self._blocked_until_ns:
            return self._poll_s
        if self._proven_epoch == self._line.bus.epoch:
            await self._look()
            return self._poll_s
        return await self._prove()

    async def _prove(self) -> float:
        """The output OFF and read back, before anything else may happen on this connection."""
        epoch = self._line.bus.epoch
        if self._line.may_be_ours:
            # Our pulse outlived the link. It ends by itself; cutting it would shut out who was let in.
            seen = await self._line.read(Priority.LOCK)
            if isinstance(seen, Seen) and seen.on and not self._line.foreign(seen):
                self._board.set_link(Link.DEGRADED, "waits for its own pulse to end")
                return _AGAIN_S
        elif not self._first:
            seen = await self._line.read(Priority.LOCK)
            if isinstance(seen, Seen) and seen.on:
                self._board.flash(FOREIGN_WRITE, "the output was ON when the link came back")
        off = await self._line.off(Priority.LOCK, lambda: self._other_link(epoch))
        if isinstance(off, Trouble):
            self._failed(off)
            if off.unsent:
                return _AGAIN_S
            doublings, self._misses = min(self._misses, _DOUBLINGS), self._misses + 1
            return self._poll_s * (1 << doublings)
        if off.on:
            self._stuck()
            return self._poll_s
        self._first = False
        self._misses = 0
        self._proven_epoch = epoch
        self._board.clear(STUCK_ON)
        self._board.clear(REFUSED)
        if self._other_link(epoch) is None:
            self._board.set_link(Link.UP, "output OFF and read back")
        return self._poll_s

    async def _look(self) -> None:
        """Nobody but us may switch this output."""
        seen = await self._line.read(Priority.POLL)
        if isinstance(seen, Trouble):
            if not seen.unsent:  # a look that had to give way says nothing about the device
                self._failed(seen)
        elif self._line.foreign(seen):
            self._board.flash(FOREIGN_WRITE, "the output was ON without a grant; OFF written")
            off = await self._line.off(Priority.LOCK, self._own_pulse)
            if isinstance(off, Seen) and self._line.foreign(off):
                self._stuck()
            elif isinstance(off, Trouble) and not off.unsent:
                self._failed(off)

    def _failed(self, trouble: Trouble) -> None:
        self.trouble(trouble)
        if self._line.bus.connected:
            self._proven_epoch = None
            self._board.set_link(Link.DEGRADED, f"no good reply about this output: {trouble.why}")

    def _stuck(self) -> None:
        self._proven_epoch = None
        self._board.stand(STUCK_ON, "OFF was echoed and the output still reads ON")
        self._board.set_link(Link.DEGRADED, "the output does not go OFF")

    def _own_pulse(self) -> str | None:
        """OFF must not cut a pulse that a grant began meanwhile."""
        return "a grant came first" if self._line.may_be_ours else None

    def _other_link(self, epoch: int) -> str | None:
        return None if self._line.bus.epoch == epoch else "the link has changed"

"""Ends the pulses of an output that stays ON until it is told otherwise, and never gives up.

The device's watchdog is the reserve for a gateway that dies, or whose OFF the device does not take (class B);
or there is none (class C).
"""

import asyncio
from typing import Final

import structlog

from drivers.modbus.alarms import OVERSTAY
from drivers.modbus.board import HealthBoard
from drivers.modbus.first_silence import SILENCE
from drivers.modbus.frames import Priority
from drivers.modbus.plan import WatchdogPlan
from drivers.modbus.relay_line import RelayLine, Seen, Trouble

_log = structlog.get_logger(__name__)

_AGAIN_S: Final = 0.25
_NEGLECT_NS: Final = 2_000_000_000
"""An OFF that is due for so long, and that nobody tried to write for as long, never will be."""


class HeldOutput:
    """Writes OFF when the last pulse is over, and again until it is read back.

    Owns a task while a pulse runs; cancelling who asked for the pulse does not end it. A device that is asked
    in vain for two seconds is then left alone, so that its watchdog may do what it does not do for us.
    """

    def __init__(self, line: RelayLine, board: HealthBoard, watchdog: WatchdogPlan | None) -> None:
        self._line, self._board = line, board
        self._silence_s = 0.0 if watchdog is None else watchdog.timeout_ms * SILENCE / 1000
        self._clock = line.link.clock
        self._task: asyncio.Task[None] | None = None
        self._tried_ns = self._failing_ns = 0
        self._closed = False

    def begin(self) -> None:
        """A pulse may have left: see to its end."""
        if self._line.claim.due_ns is None or self._closed:
            return
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._end_pulses(), name=f"off {self._board.door_id}")
            self._task.add_done_callback(self._ended)

    def neglected(self) -> bool:
        """Only the watchdog can end this pulse now: its OFF is in vain, or nobody writes it (a bug)."""
        due_ns, now = self._line.claim.due_ns, self._clock.monotonic_ns()
        if due_ns is None:
            return False
        return self._in_vain(now) or now > max(due_ns, self._tried_ns) + _NEGLECT_NS

    def _in_vain(self, now_ns: int) -> bool:
        return self._silence_s > 0.0 and 0 < self._failing_ns < now_ns - _NEGLECT_NS

    async def stop(self) -> None:
        """End the task; who calls this writes OFF."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _end_pulses(self) -> None:
        claim = self._line.claim
        while (due_ns := claim.due_ns) is not None:
            left_ns = due_ns - self._clock.monotonic_ns()
            if left_ns > 0:
                await asyncio.sleep(left_ns / 1e9)
            elif await self._off(due_ns):
                continue
            elif self._in_vain(self._clock.monotonic_ns()):
                await self._leave_to_watchdog()
            else:
                await asyncio.sleep(_AGAIN_S)
        self._failing_ns = 0

    async def _leave_to_watchdog(self) -> None:
        """Say nothing to the device for as long as its watchdog takes, then look."""
        _log.error("output_left_to_watchdog", door=self._board.door_id, seconds=self._silence_s)
        await asyncio.sleep(self._silence_s)
        seen = await self._line.read(Priority.LOCK)
        self._failing_ns = 0
        if isinstance(seen, Seen) and not seen.on:
            self._line.claim.over(seen.asked_ns)
            self._board.clear(OVERSTAY)

    async def _off(self, due_ns: int) -> bool:
        """Write OFF once; True when the output is OFF, or when another grant has made its pulse longer."""
        claim = self._line.claim

        def longer() -> str | None:
            return None if claim.due_ns == due_ns else "a grant came first"

        self._tried_ns = self._clock.monotonic_ns()
        seen = await self._line.off(Priority.LOCK, longer)
        if longer() is not None:
            return True
        if isinstance(seen, Seen) and not seen.on:
            claim.over(seen.asked_ns)
            self._board.clear(OVERSTAY)
            return True
        if isinstance(seen, Trouble) and seen.unsent:
            self._failing_ns = 0
        else:
            self._failing_ns = self._failing_ns or self._tried_ns
        why = seen.why if isinstance(seen, Trouble) else "OFF was echoed and the output still reads ON"
        self._board.stand(OVERSTAY, f"the pulse is over and its OFF is not confirmed: {why}")
        return False

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A task that died of a bug is replaced: somebody has to lock the door."""
        if task.cancelled() or (error := task.exception()) is None:
            return
        _log.error("door_release_failed", door=self._board.door_id, exc_info=error)
        self._board.stand(OVERSTAY, f"internal error: {error!r}")
        asyncio.get_running_loop().call_later(_AGAIN_S, self.begin)

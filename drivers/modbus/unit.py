"""One device at one unit address, with the tasks that keep it safe, known and read."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from drivers.modbus.bus import ModbusBus
from drivers.modbus.first_silence import FirstSilence
from drivers.modbus.inputs import POLL_S, Inputs
from drivers.modbus.outputs import Member, Outputs
from drivers.modbus.plan import UnitPlan
from drivers.modbus.readiness import Readiness
from drivers.modbus.relay_line import Trouble
from drivers.modbus.unit_link import UnitLink
from gateway.domain.doors import Link

LOOK_S: Final = 1.0
_SOON_S: Final = 0.1
_RESTART_S: Final = 1.0
_DOUBLINGS: Final = 3
"""How often the time to the next question doubles for a unit that stays silent on a link others use."""

_log = structlog.get_logger(__name__)


class Unit:
    """Owns a task that keeps the device safe and known, and one that reads its inputs.

    Starts with the first ``enter`` and ends with the last ``leave``. ``look_s`` is how often outputs and
    settings are looked at, ``poll_s`` the same for inputs. ``looked`` is called after each look at outputs.
    """

    def __init__(
        self, bus: ModbusBus, plan: UnitPlan, *, poll_s: float = POLL_S, look_s: float = LOOK_S
    ) -> None:
        self.plan, self.bus, self.look_s = plan, bus, look_s
        self.link = UnitLink(bus, plan.unit)
        self.inputs = Inputs(self.link, plan.inputs, poll_s=poll_s)
        self.looked: list[Callable[[], None]] = []
        self._outputs = Outputs(self.link)
        self._silence = FirstSilence(bus.clock, plan.watchdog)
        self._ready = Readiness(self.link, plan, self._outputs, self.inputs, look_s=look_s)
        dog = self._ready.watchdog
        self._period_s = look_s if dog is None else dog.period_s
        self._users = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._wake = asyncio.Event()
        self._misses = 0

    def why_unarmed(self) -> str | None:
        """What the device lacks to end every pulse without us; None when it lacks nothing, right now."""
        return self.link.quiet or self._ready.why_not()

    def enter(self, member: Member | None = None) -> None:
        """Use the unit; a door is watched from now on."""
        self._users += 1
        if self._users == 1:
            self._silence.begin()
            self.bus.attach(self._link_changed)
            name = f"unit {self.plan.unit} of {self.bus.endpoint}"
            self._start(self._supervise, name)
            if self.inputs:
                self._start(self._poll, f"inputs of {name}")
        if member is not None:
            self._outputs.add(member)
        self._wake.set()

    def forget(self, member: Member) -> None:
        """Look at this door's output no more."""
        self._outputs.remove(member)

    async def leave(self) -> None:
        """Stop using the unit; the last one out leaves the spare output OFF and lets go of the bus."""
        self._users -= 1
        if self._users > 0:
            return
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        try:
            if tasks:
                await asyncio.wait(tasks)
            if self._ready.watchdog is not None and self.bus.connected:
                await self._ready.watchdog.spare_off()
        finally:
            self.inputs.stopped()
            await self.bus.detach(self._link_changed)

    def _start(self, part: Callable[[], Awaitable[float]], name: str) -> None:
        self._tasks.append(asyncio.create_task(self._keep(part, name), name=name))

    async def _keep(self, part: Callable[[], Awaitable[float]], name: str) -> None:
        """Run ``part`` again and again, after the pause it returns; a bug shuts the doors, and is told."""
        while True:
            try:
                pause = await part()
            except Exception as error:  # noqa: BLE001  # told with its trace; the part starts again
                _log.exception("unit_part_failed", part=name)
                self._outputs.doubt(Link.DEGRADED, f"internal error: {error!r}")
                pause = _RESTART_S
            if pause > 0:
                await asyncio.sleep(pause)

    def _link_changed(self) -> None:
        self._misses = 0
        self._ready.link_changed()
        self.inputs.lost(self.bus.detail)
        self._outputs.link_changed()
        self._tell_looked()
        self._wake.set()

    def _tell_looked(self) -> None:
        for listener in tuple(self.looked):
            listener()

    async def _poll(self) -> float:
        """Inputs; spread over time, so that a hundred units do not all ask at once."""
        if self.inputs.at_ns == 0:
            await asyncio.sleep(self.inputs.poll_s * random.random())  # noqa: S311  # no secret
        return await self.inputs.round()

    async def _supervise(self) -> float:
        """One step; waits for the next one itself, so that a new link is met at once."""
        self._wake.clear()
        pause = await self._round() if self.bus.connected else self._period_s
        self._outputs.tell()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await self._wake.wait()
        return 0.0

    async def _round(self) -> float:
        """One step; returns seconds until the next."""
        neglected = self._outputs.neglected
        self.link.quiet = "an output should be OFF and nobody writes it" if neglected else None
        if neglected:
            return self._period_s  # nothing more is said to it, so that the watchdog may do what we fail to
        silent_s = self._silence.left_s
        if silent_s > 0:
            return silent_s
        trouble = await self._ready.secure()
        if trouble is not None:
            return self._miss(trouble)
        self._misses = 0
        if self._ready.armed:
            await self._ready.tend()
        elif self._ready.due:
            await self._ready.bring_up()
            await self._ready.look()
        else:
            await self._ready.look()
        self._tell_looked()
        self._outputs.refresh()
        soon = self._outputs.unproven_and_running or self._ready.waits
        return _SOON_S if soon or (not self._ready.armed and self._ready.due) else self._period_s

    def _miss(self, trouble: Trouble) -> float:
        """The device is silent: none of its outputs is known. Returns seconds until the next step."""
        if trouble.unsent:
            return _SOON_S
        self._ready.missed()
        self._outputs.doubt(Link.DEGRADED, f"no good reply about this output: {trouble.why}")
        doublings, self._misses = min(self._misses, _DOUBLINGS), self._misses + 1
        return self.look_s * (1 << doublings)

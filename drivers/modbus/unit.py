"""One device at one unit address: outputs proven OFF, settings checked, watchdog armed, inputs read."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import structlog

from drivers.modbus.alarms import DEVICE_REBOOTED, SETTINGS_WRONG, WATCHDOG_UNARMED
from drivers.modbus.arming import Watchdog, check_all
from drivers.modbus.board import HealthBoard
from drivers.modbus.bus import ModbusBus
from drivers.modbus.frames import Ambiguous, Echoed, Priority
from drivers.modbus.inputs import POLL_S, Inputs
from drivers.modbus.plan import Field, UnitPlan, reads_of
from drivers.modbus.relay_line import Trouble
from drivers.modbus.rows import Placed, merged
from drivers.modbus.unit_link import UnitLink
from drivers.modbus.watch import Watch
from gateway.domain.doors import Link

LOOK_S: Final = 1.0
_SOON_S: Final = 0.1
_RESTART_S: Final = 1.0
_DOUBLINGS: Final = 3
"""How often the time to the next question doubles for a unit that stays silent on a link others use."""
_FIRST_RETRY_S: Final = 1.0
_LAST_RETRY_S: Final = 30.0
"""Between two tries to arm a device; each may take seconds and move its spare relay."""

_log = structlog.get_logger(__name__)


class Member(Protocol):
    """A door on this unit: its watch, what it says of itself, and whether its OFF is being neglected."""

    watch: Watch
    board: HealthBoard

    def neglected(self) -> bool:
        """An OFF is overdue and nobody writes it."""
        ...


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
        self.watchdog = Watchdog(self.link, plan.watchdog, look_s=look_s) if plan.watchdog else None
        self._period_s = self.watchdog.period_s if self.watchdog else look_s
        self._members: list[Member] = []
        self._joined: dict[int, Field] = {}
        self._users = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._wake = asyncio.Event()
        self._armed_epoch: int | None = None
        self._known_epoch: int | None = None
        self._why = "not checked yet"
        self._retry_ns = 0
        self._retry_s = _FIRST_RETRY_S
        self._misses = 0
        self._before = False
        """The device has been met before: a reboot since then is news."""

    def why_unarmed(self) -> str | None:
        """What the device lacks to end every pulse without us; None when it lacks nothing, right now."""
        if self._armed_epoch != self.bus.epoch:
            return self._why
        return None if self.watchdog is None else self.watchdog.why_not()

    def enter(self, member: Member | None = None) -> None:
        """Use the unit; a door is watched from now on."""
        if member is not None:
            self._members.append(member)
            member.watch.link_changed()
        self._users += 1
        if self._users > 1:
            self._wake.set()
            return
        self.bus.attach(self._link_changed)
        name = f"unit {self.plan.unit} of {self.bus.endpoint}"
        self._start(self._supervise, name)
        if self.inputs:
            self._start(self._poll, f"inputs of {name}")

    def forget(self, member: Member) -> None:
        """Look at this door's output no more."""
        if member in self._members:
            self._members.remove(member)

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
            if self.watchdog is not None and self.bus.connected:
                await self.watchdog.spare_off()
        finally:
            self.inputs.lost("closed")
            await self.bus.detach(self._link_changed)

    def _start(self, part: Callable[[], Awaitable[float]], name: str) -> None:
        self._tasks.append(asyncio.create_task(self._keep(part, name), name=name))

    async def _keep(self, part: Callable[[], Awaitable[float]], name: str) -> None:
        """Run ``part`` again and again, after the pause that it returns. A bug leaves the doors shut, and told."""
        while True:
            try:
                pause = await part()
            except Exception as error:  # noqa: BLE001  # told with its trace; the part starts again
                _log.exception("unit_part_failed", part=name)
                self._broken(f"internal error: {error!r}")
                pause = _RESTART_S
            await asyncio.sleep(pause)

    def _broken(self, why: str) -> None:
        for member in tuple(self._members):
            member.watch.doubt(Link.DEGRADED, why)

    def _states(self) -> dict[int, Field]:
        """Where the proven outputs are read, by channel. One that the device has not must not spoil the others."""
        plans = {m.watch.line.plan.channel: m.watch.line.plan for m in self._members if m.watch.proven}
        if self._joined.keys() != plans.keys():
            self._joined = merged(Placed(n, plan.state) for n, plan in plans.items())
        return self._joined

    def _link_changed(self) -> None:
        self._misses = self._retry_ns = 0
        self._retry_s = _FIRST_RETRY_S
        self._armed_epoch, self._why = None, "not checked yet"
        self.inputs.lost(self.bus.detail)
        for member in tuple(self._members):
            member.watch.link_changed()
        for listener in tuple(self.looked):
            listener()
        self._wake.set()

    async def _poll(self) -> float:
        """Inputs; spread over time, so that a hundred units do not all ask at once."""
        if self.inputs.at_ns == 0:
            await asyncio.sleep(self.inputs.poll_s * random.random())  # noqa: S311  # no secret
        return await self.inputs.round()

    async def _supervise(self) -> float:
        """One step; waits for the next one itself, so that a new link is met at once."""
        self._wake.clear()
        pause = await self._round() if self.bus.connected else self._period_s
        for member in tuple(self._members):
            member.board.tell()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await self._wake.wait()
        return 0.0

    async def _round(self) -> float:
        """One step; returns seconds until the next."""
        neglected = any(m.neglected() for m in self._members)
        self.link.quiet = "an output should be OFF and nobody writes it" if neglected else None
        if neglected:
            return self._period_s  # nothing more is said to it, so that the watchdog may do what we fail to
        epoch = self.bus.epoch
        trouble = await self._secure()
        if trouble is not None:
            self._miss(trouble)
            if trouble.unsent:
                return _SOON_S
            doublings, self._misses = min(self._misses, _DOUBLINGS), self._misses + 1
            return self.look_s * (1 << doublings)
        self._misses = 0
        if self._armed_epoch == epoch:
            await self._tend()
        elif self.link.clock.monotonic_ns() >= self._retry_ns and not self._must_wait():
            await self._bring_up(epoch)
        else:
            await self._look()
        for member in tuple(self._members):
            member.watch.refresh()
        soon = any(not m.watch.proven and m.watch.line.claim.running for m in self._members)
        return _SOON_S if soon or self._must_wait() else self._period_s

    def _must_wait(self) -> bool:
        """The watchdog is proven by silence, and a pulse of ours still needs its OFF."""
        if self._armed_epoch == self.bus.epoch or self.watchdog is None or not self.watchdog.proof_s:
            return False
        return any(m.watch.line.claim.running for m in self._members)

    async def _secure(self) -> Trouble | None:
        """Every output OFF and read back that is not yet proven so; the first trouble ends the round."""
        for member in tuple(self._members):
            if member.watch.proven or member.watch.blocked:
                continue
            trouble = await member.watch.prove()
            if trouble is not None and trouble.refused and self.watchdog and self.watchdog.plan.clear:
                await self.watchdog.clear()  # a device whose watchdog has expired refuses even OFF
                trouble = await member.watch.prove()
            if trouble is not None and not trouble.refused:
                return trouble
        return None

    def _miss(self, trouble: Trouble) -> None:
        """The device is silent: none of its outputs is known."""
        if trouble.unsent:
            return
        if self.watchdog is not None:
            self.watchdog.doubt()
        for member in tuple(self._members):
            member.watch.doubt(Link.DEGRADED, f"no good reply about this output: {trouble.why}")

    async def _bring_up(self, epoch: int) -> None:
        """What a device must show before any of its doors may open on this connection."""
        if self._known_epoch != epoch:
            self._known_epoch = epoch
            if self.watchdog is not None:
                await self.watchdog.spare_off()
        await self._ask_rebooted()
        await self.inputs.prepare()
        why, alarm = (await check_all(self.link, self.plan.checks))[0], SETTINGS_WRONG
        if why is None and self.watchdog is not None:
            why, alarm = await self._arm(self.watchdog), WATCHDOG_UNARMED
        if self.bus.epoch != epoch or not self.bus.connected:
            return
        if why is not None:
            _log.warning("unit_unarmed", unit=self.plan.unit, endpoint=self.bus.endpoint, why=why)
            for member in tuple(self._members):
                member.board.stand(alarm, why)
            self._refuse(why, alarm)
            self._retry_ns = self.link.clock.monotonic_ns() + int(self._retry_s * 1e9)
            self._retry_s = min(self._retry_s * 2, _LAST_RETRY_S)
            return
        self._armed_epoch, self._before, self._retry_s = epoch, True, _FIRST_RETRY_S
        for member in tuple(self._members):
            member.board.clear(SETTINGS_WRONG)
            member.board.clear(WATCHDOG_UNARMED)
        await self._look()

    async def _arm(self, watchdog: Watchdog) -> str | None:
        took = f"; with this device that takes {watchdog.proof_s:.1f} s" if watchdog.proof_s else ""
        self._why = f"the watchdog is being armed and proven{took}"
        for member in tuple(self._members):
            member.watch.refresh()
        return await watchdog.arm()

    def _refuse(self, why: str, alarm: str) -> None:
        """The device cannot be relied on: its doors stay shut, and say why."""
        self._armed_epoch, self._why = None, why
        for member in tuple(self._members):
            member.board.flash(alarm, why)  # it may be over before anybody has looked
            member.watch.refresh()

    def _start_over(self, why: str, alarm: str) -> None:
        """Something about the device has changed: everything is proven anew, from the outputs on."""
        self._refuse(why, alarm)
        self._retry_ns = 0
        self.inputs.lost(why)
        for member in tuple(self._members):
            member.watch.doubt(Link.UNARMED, why)
        self._wake.set()

    async def _tend(self) -> None:
        """The device is armed: feed it, look at its outputs, and see that it is still what it was."""
        if self.watchdog is not None and self.watchdog.starved():
            self._start_over(self.watchdog.why_not() or "", WATCHDOG_UNARMED)
            return
        if self.watchdog is not None:
            await self.watchdog.feed()
        await self._look()
        if await self._ask_rebooted():
            self._start_over("the device has rebooted", DEVICE_REBOOTED)
            return
        await self.inputs.prepare()
        if self.watchdog is not None:
            why = await self.watchdog.verify()
            if why is not None:
                self._start_over(why, WATCHDOG_UNARMED)

    async def _look(self) -> None:
        """Every output that is proven, in as few requests as possible. It feeds a watchdog, so it does not wait."""
        priority = Priority.POLL if self.watchdog is None else Priority.LOCK
        states = self._states()
        for read in reads_of(list(states.values())):
            result = await self.link.ask(read, priority)
            for member in tuple(self._members):
                line, field = member.watch.line, states.get(member.watch.line.plan.channel)
                if field is None or field.read != read or not member.watch.proven:
                    continue
                await member.watch.looked(
                    line.see(result, field) if isinstance(result, Echoed) else Trouble.of(result)
                )
            if isinstance(result, Ambiguous) and self.watchdog is not None:
                self.watchdog.doubt()
        for listener in tuple(self.looked):
            listener()

    async def _ask_rebooted(self) -> bool:
        """Whether the device has lost its power since we met it; reading it clears it."""
        field = self.plan.rebooted
        if field is None:
            return False
        result = await self.link.ask(field.read, Priority.LOCK)
        if not isinstance(result, Echoed) or not field.bit(result) or not self._before:
            return False
        for member in tuple(self._members):
            member.board.flash(DEVICE_REBOOTED, "the device says that its power was away")
        return True

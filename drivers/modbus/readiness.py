"""What a device must show on each connection before its doors may open, and go on showing."""

from typing import Final

import structlog

from drivers.modbus.alarms import DEVICE_REBOOTED, SETTINGS_WRONG, WATCHDOG_UNARMED
from drivers.modbus.arming import Watchdog, check_all
from drivers.modbus.frames import Echoed, Priority
from drivers.modbus.inputs import Inputs
from drivers.modbus.outputs import Outputs
from drivers.modbus.plan import UnitPlan
from drivers.modbus.relay_line import Trouble
from drivers.modbus.unit_link import UnitLink
from gateway.domain.doors import Link

_log = structlog.get_logger(__name__)

_FIRST_RETRY_S: Final = 1.0
_LAST_RETRY_S: Final = 30.0
"""Between two tries to arm a device; each may take seconds and move its spare relay."""
_UNMET: Final = "its settings have not been checked on this connection"


class Readiness:
    """Outputs OFF, then settings, counters and watchdog; armed for the connection on which all that held."""

    def __init__(
        self, link: UnitLink, plan: UnitPlan, outputs: Outputs, inputs: Inputs, *, look_s: float
    ) -> None:
        self.watchdog = Watchdog(link, plan.watchdog, look_s=look_s) if plan.watchdog else None
        self._link, self._plan, self._outputs, self._inputs = link, plan, outputs, inputs
        self._armed_epoch: int | None = None
        self._met_epoch: int | None = None
        self._why = _UNMET
        self._retry_ns = 0
        self._retry_s = _FIRST_RETRY_S
        self._known = False
        """The device has been armed before: a reboot since then is news."""

    @property
    def armed(self) -> bool:
        """Everything held on this connection."""
        return self._armed_epoch == self._link.epoch

    @property
    def waits(self) -> bool:
        """The watchdog is proven by silence, and a pulse of ours still needs its OFF."""
        proof_s = 0.0 if self.watchdog is None else self.watchdog.proof_s
        return not self.armed and proof_s > 0 and self._outputs.running

    @property
    def due(self) -> bool:
        """It is time to try again."""
        return not self.waits and self._link.clock.monotonic_ns() >= self._retry_ns

    def why_not(self) -> str | None:
        """What the device lacks to end every pulse without us; None when it lacks nothing, right now."""
        if not self.armed:
            return self._why
        return None if self.watchdog is None else self.watchdog.why_not()

    def link_changed(self) -> None:
        """All of it has to be shown again."""
        self._armed_epoch, self._why = None, _UNMET
        self._retry_ns, self._retry_s = 0, _FIRST_RETRY_S

    def missed(self) -> None:
        """A reply is missing: nothing can be relied on until the next one."""
        if self.watchdog is not None:
            self.watchdog.doubt()

    async def secure(self) -> Trouble | None:
        """Every output OFF and read back that is not yet proven so; the first silence ends it."""
        for watch in self._outputs.unproven():
            trouble = await watch.prove()
            if trouble is not None and trouble.refused and self.watchdog and self.watchdog.plan.clear:
                await self.watchdog.clear()  # a device whose watchdog has expired refuses even OFF
                trouble = await watch.prove()
            if trouble is not None and not trouble.answered:
                return trouble
        return None

    async def bring_up(self) -> None:
        """Settings, counters, watchdog. Its doors stay shut until all of it holds."""
        epoch = self._link.epoch
        if self._met_epoch != epoch:
            self._met_epoch = epoch
            if self.watchdog is not None:
                await self.watchdog.spare_off()
        await self._ask_rebooted()
        await self._inputs.prepare()
        why, alarm = (await check_all(self._link, self._plan.checks))[0], SETTINGS_WRONG
        if why is None and self.watchdog is not None:
            why, alarm = await self._arm(self.watchdog), WATCHDOG_UNARMED
        if self._link.epoch != epoch or not self._link.connected:
            return
        if why is None:
            self._armed_epoch, self._known, self._retry_s = epoch, True, _FIRST_RETRY_S
            self._outputs.clear(SETTINGS_WRONG, WATCHDOG_UNARMED)
            return
        _log.warning("unit_unarmed", unit=self._plan.unit, endpoint=self._link.bus.endpoint, why=why)
        self._outputs.stand(alarm, why)
        self._refuse(why, alarm)
        self._retry_ns = self._link.clock.monotonic_ns() + int(self._retry_s * 1e9)
        self._retry_s = min(self._retry_s * 2, _LAST_RETRY_S)

    async def tend(self) -> None:
        """The device is armed: feed it, look at it, and see that it is still what it was."""
        dog = self.watchdog
        if dog is not None and dog.starved():
            self._start_over(dog.why_not() or "the watchdog was not fed", WATCHDOG_UNARMED)
            return
        if dog is not None:
            await dog.feed()
        answered = await self.look()
        if await self._ask_rebooted():
            self._start_over("the device has rebooted", DEVICE_REBOOTED)
            return
        await self._inputs.prepare()
        why = await dog.verify() if dog is not None and answered else None
        if why is not None:
            self._start_over(why, WATCHDOG_UNARMED)

    async def look(self) -> bool:
        """Look at the outputs; False when a reply is missing. It may feed a watchdog: then it goes first."""
        answered = await self._outputs.look(Priority.POLL if self.watchdog is None else Priority.LOCK)
        if not answered:
            self.missed()
        return answered

    async def _arm(self, watchdog: Watchdog) -> str | None:
        took = f"; with this device that takes {watchdog.proof_s:.1f} s" if watchdog.proof_s else ""
        self._why = f"the watchdog is being armed and proven{took}"
        self._outputs.refresh()
        return await watchdog.arm()

    def _refuse(self, why: str, alarm: str) -> None:
        """The device cannot be relied on: its doors stay shut, and say why."""
        self._armed_epoch, self._why = None, why
        self._outputs.flash(alarm, why)
        self._outputs.refresh()

    def _start_over(self, why: str, alarm: str) -> None:
        """Something about the device has changed: everything is proven anew, from the outputs on."""
        self._refuse(why, alarm)
        self._retry_ns = 0
        self._inputs.lost(why)
        self._outputs.doubt(Link.UNARMED, why)

    async def _ask_rebooted(self) -> bool:
        """Whether the device has lost its power since it was armed; reading it clears it."""
        field = self._plan.rebooted
        if field is None:
            return False
        result = await self._link.ask(field.read, Priority.LOCK)
        if not isinstance(result, Echoed) or not field.bit(result) or not self._known:
            return False
        self._outputs.flash(DEVICE_REBOOTED, "the device says that its power was away")
        return True

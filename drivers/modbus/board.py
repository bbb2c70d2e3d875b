"""What a door says of itself, and who is told when that changes."""

from collections.abc import Callable, Mapping

import structlog

from drivers.modbus.alarms import Alarms
from drivers.modbus.unit_link import UnitLink
from gateway.domain.doors import DoorHealth, Link
from gateway.domain.ids import DoorId

_log = structlog.get_logger(__name__)


class HealthBoard:
    """Link, alarms and facts of one door. ``on_health`` is called on each change and must not raise."""

    def __init__(
        self,
        door_id: DoorId,
        unit: UnitLink,
        facts: Mapping[str, str],
        on_health: Callable[[DoorHealth], None],
    ) -> None:
        self.door_id = door_id
        self.link = Link.DOWN
        self.detail = unit.bus.detail
        self._alarms = Alarms()
        self._unit, self._facts, self._on_health = unit, dict(facts), on_health
        self._told: tuple[Link, str, frozenset[str]] | None = None

    def set_link(self, link: Link, detail: str) -> None:
        """The path to the lock is in this state."""
        if link is not self.link:
            _log.info("door_link", door=self.door_id, link=link.value, detail=detail)
        self.link, self.detail = link, detail
        self.tell()

    def stand(self, alarm: str, why: str) -> None:
        """Raise an alarm until it is cleared."""
        self._log_new(alarm, why)
        self._alarms.stand(alarm)
        self.tell()

    def flash(self, alarm: str, why: str) -> None:
        """Raise an alarm for a minute."""
        self._log_new(alarm, why)
        self._alarms.flash(alarm, self._unit.clock.monotonic_ns())
        self.tell()

    def clear(self, alarm: str) -> None:
        """The cause of a standing alarm is gone."""
        self._alarms.clear(alarm)
        self.tell()

    def tell(self) -> None:
        """Tell the listener if anything but a measured number has changed."""
        health = self.health()
        now = (health.link, health.detail, health.alarms)
        if now != self._told:
            self._told = now
            self._on_health(health)

    def health(self) -> DoorHealth:
        """Last known state; never blocks."""
        meter = self._unit.meter
        return DoorHealth(
            door_id=self.door_id,
            link=self.link,
            detail=self.detail,
            last_ok_ns=meter.last_ok_ns,
            rtt_p99_ms=meter.rtt_p99_ms,
            failures=meter.failures,
            alarms=self._alarms.at(self._unit.clock.monotonic_ns()),
            facts=self._facts,
        )

    def _log_new(self, alarm: str, why: str) -> None:
        if alarm not in self._alarms.at(self._unit.clock.monotonic_ns()):
            _log.warning("door_alarm", door=self.door_id, alarm=alarm, why=why)

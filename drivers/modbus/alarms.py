"""Alarms of one door: some last until what caused them is mended, some are shown for a while."""

from typing import Final

FOREIGN_WRITE: Final = "foreign_write"
"""The output was ON without a grant; somebody else writes to this device."""
DEVICE_LIES: Final = "device_lies"
"""A reply did not fit its request."""
REFUSED: Final = "refused"
"""The device refuses this door's frames: wrong channel, profile or firmware."""
NO_READBACK: Final = "no_readback"
"""Pulses are echoed, but the output is never read back as ON."""
STUCK_ON: Final = "stuck_on"
"""OFF was written and the output still reads ON."""
OVERSTAY: Final = "overstay"
"""A pulse that the gateway ends itself is over, and its OFF is not confirmed yet: it is tried for ever."""
WATCHDOG_UNARMED: Final = "watchdog_unarmed"
"""The watchdog that would end a pulse when the gateway dies is not proven: no unlock."""
SETTINGS_WRONG: Final = "settings_wrong"
"""The device is not set as its profile demands: no unlock."""
DEVICE_REBOOTED: Final = "device_rebooted"
"""The device says that its power was away."""
UNSAFE_PROFILE: Final = "unsafe_profile"
"""Nothing would end a pulse if the gateway died: class C, allowed by the site in words."""
INPUTS_UNREADABLE: Final = "inputs_unreadable"
"""A fitted sensor cannot be read: what it would say is not known."""
COUNTER_RESET: Final = "counter_reset"
"""An input's counter jumped; what it counted meanwhile is lost."""

_SHOWN_NS: Final = 60_000_000_000


class Alarms:
    """What is wrong now, or was within the last minute."""

    def __init__(self) -> None:
        self._standing: set[str] = set()
        self._until_ns: dict[str, int] = {}

    def stand(self, name: str) -> None:
        """Raise until cleared."""
        self._standing.add(name)

    def clear(self, name: str) -> None:
        """Its cause is gone."""
        self._standing.discard(name)

    def flash(self, name: str, now_ns: int) -> None:
        """Raise for a minute: the event is over, but someone should see it."""
        self._until_ns[name] = now_ns + _SHOWN_NS

    def at(self, now_ns: int) -> frozenset[str]:
        """Alarms at a monotonic time."""
        return frozenset(self._standing) | {n for n, until in self._until_ns.items() if now_ns < until}

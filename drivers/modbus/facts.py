"""What moves a door, in words for health, metrics and the guard."""

from collections.abc import Mapping
from typing import Final

from drivers.modbus.plan import PulseClass, UnitPlan
from drivers.modbus.relay_line import RelayLine

_CLASSES: Final = {
    PulseClass.A: "A: one frame, the device ends the pulse",
    PulseClass.B: "B: the gateway ends the pulse, the device's watchdog if the gateway dies",
    PulseClass.C: "C: the gateway ends the pulse, nothing does if it dies",
}


def describe(unit: UnitPlan, line: RelayLine) -> Mapping[str, str]:
    """Facts of one door. Times are in milliseconds; the worst exposure is how long it stays open at most."""
    worst = [unit.worst_open_ms(plan) for plan in (line.plan, line.extended)]
    facts = {
        "class": _CLASSES[unit.pulse_class],
        "endpoint": line.link.bus.endpoint,
        "unit": str(unit.unit),
        "relay": str(line.plan.channel),
        "pulse_ms": str(line.plan.pulse_ms),
        "extended_pulse_ms": str(line.extended.pulse_ms),
    }
    dog = unit.watchdog
    if dog is not None:
        facts["watchdog"] = (
            "its own status says that it runs"
            if dog.running is not None
            else f"proven with relay {dog.spare.channel if dog.spare else '?'} at each connection"
        )
        facts["watchdog_ms"] = str(dog.timeout_ms)
    ended = [ms for ms in worst if ms is not None]
    facts["worst_exposure_ms"] = str(max(ended)) if len(ended) == len(worst) else "without end"
    return facts

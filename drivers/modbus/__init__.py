"""Door hardware over Modbus."""

from collections.abc import Callable, Sequence
from pathlib import Path

from drivers.modbus.bus import ModbusBus
from drivers.modbus.profile import load_profile
from drivers.modbus.relay_door import RelayDoor
from gateway.domain.doors import DoorHealth
from gateway.domain.ids import AccessPointId
from gateway.ports import Clock
from gateway.settings import AccessPoint, Device

__all__ = ["ModbusBus", "RelayDoor", "load_profile", "open_doors"]


def open_doors(
    devices: Sequence[Device],
    access_points: Sequence[AccessPoint],
    *,
    profiles: Path,
    clock: Clock,
    on_health: Callable[[DoorHealth], None],
    source: str,
) -> tuple[RelayDoor, ...]:
    """The door of each access point, in their order; nothing is connected before ``start``.

    Access points of one device share one bus, and so one socket. ``profiles`` is the folder of device
    profiles, ``source`` names the site file in errors. Call it in the running loop. Raises ConfigError.
    """
    found = {}
    for i, device in enumerate(devices):
        profile = load_profile(profiles, device.profile, where=f"{source}: devices[{i}]")
        bus = ModbusBus(
            host=device.host,
            port=device.port,
            timeout_s=device.timeout_s,
            guard=profile.guard(),
            clock=clock,
        )
        found[device.id] = (device, profile, bus)
    doors = []
    for i, point in enumerate(access_points):
        device, profile, bus = found[point.device]
        door = RelayDoor(
            access_point_id=AccessPointId(point.id),
            bus=bus,
            profile=profile,
            unit=device.unit,
            channel=point.channel,
            pulse_ms=point.pulse_ms,
            on_health=on_health,
            where=f"{source}: access_points[{i}]",
        )
        doors.append(door)
    return tuple(doors)

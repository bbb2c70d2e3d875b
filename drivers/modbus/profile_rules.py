"""What contradicts itself in a profile, with file, key and fix."""

from drivers.modbus.plan import PulseClass
from drivers.modbus.profile import HeldPulse, Profile, TicksPulse
from gateway.domain.errors import ConfigError


def check(profile: Profile, source: str) -> None:
    """Rules between keys. Raises ConfigError."""
    out = profile.outputs
    last = out.first + out.count - 1
    own = set(range(out.first, last + 1))
    if isinstance(out.pulse, TicksPulse):
        base = out.pulse.base + out.first
        if base + out.count - 1 > 0xFFFF:
            raise ConfigError(f"{source}: outputs.pulse.base: puts an address outside 0xFFFF; lower it")
        if out.pulse.base <= out.count - 1:
            raise ConfigError(f"{source}: outputs.pulse.base: pulse addresses overlap the coils; raise it")
        if out.pulse.min_ticks > out.pulse.max_ticks:
            raise ConfigError(f"{source}: outputs.pulse.min_ticks: cannot be more than max_ticks")
        own |= set(range(base, base + out.count))
    if out.readback.first + out.count - 1 > 0xFFFF:
        raise ConfigError(f"{source}: outputs.readback.first: puts an address outside 0xFFFF; lower it")
    for i, ban in enumerate(profile.banned):
        if ban.address in own:
            raise ConfigError(
                f"{source}: banned[{i}].address: 0x{ban.address:04X} is an output's own; "
                "remove the ban or lower outputs.count"
            )
    _check_class(profile, source)


def _check_class(profile: Profile, source: str) -> None:
    held = isinstance(profile.outputs.pulse, HeldPulse)
    if profile.pulse_class is PulseClass.A and held:
        raise ConfigError(f'{source}: class: in class "A" the device ends the pulse; a held one it does not')
    if profile.pulse_class is not PulseClass.A and not held:
        raise ConfigError(f'{source}: class: a device that ends its pulse by itself is class "A"')
    if profile.pulse_class is PulseClass.B and profile.watchdog is None:
        raise ConfigError(f'{source}: class: "B" needs [watchdog]; without one the device is class "C"')
    if profile.pulse_class is PulseClass.C and profile.watchdog is not None:
        raise ConfigError(f'{source}: class: a device with [watchdog] is class "B"')

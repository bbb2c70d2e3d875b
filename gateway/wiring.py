"""From a site file to plans: which device is where, what is wired to it, and what may be written to it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from drivers.modbus.plan import OutputPlan, PulseClass, UnitPlan
from drivers.modbus.planning import DOOR_PULSE_MS, TURNSTILE_PULSE_MS, output_plan, unit_plan
from drivers.modbus.profile import Profile
from drivers.modbus.profiles import load_profile
from drivers.modbus.transport import RtuOverTcp, Serial, Tcp, Tls, Transport
from gateway.domain.errors import ConfigError
from gateway.resources import data
from gateway.settings import UNSAFE_PULSE, Device, Site, inputs_of

_PARITY: Final[dict[str, Literal["N", "E", "O"]]] = {"none": "N", "even": "E", "odd": "O"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Relay:
    """One output in use: which lock it is, and its two lengths of pulse."""

    lock_id: str
    device: str
    normal: OutputPlan
    extended: OutputPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class Wired:
    """One device with everything that the site uses of it."""

    device: Device
    profile: Profile
    transport: Transport
    plan: UnitPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """A whole site's hardware, worked out and checked; nothing is connected."""

    devices: Mapping[str, Wired]
    relays: Mapping[str, Relay]
    """By lock id: a door's id, or ``turnstile.in`` and ``turnstile.out``."""


def profile_folders(site: Site) -> tuple[Path, ...]:
    """The site's own profiles first, then the shipped ones."""
    own = (Path(site.profiles_folder),) if site.profiles_folder else ()
    return (*own, data("config/devices"))


def wire(site: Site) -> Wiring:
    """Work everything out. Raises ConfigError naming key and fix."""
    folders = profile_folders(site)
    profiles = {
        d.id: load_profile(folders, d.profile, where=f"devices[{i}]") for i, d in enumerate(site.devices)
    }
    units = {d.id: d.unit or profiles[d.id].unit for d in site.devices}
    relays = {r.lock_id: r for r in _relays(site, profiles, units)}
    used: dict[str, set[int]] = {d.id: set() for d in site.devices}
    for wired, _ in inputs_of(site):
        used[wired.device].add(wired.input)
    devices = {}
    for i, device in enumerate(site.devices):
        own = [r for r in relays.values() if r.device == device.id]
        profile, where = profiles[device.id], f"devices[{i}]"
        transport = _transport(device, profile, where)
        _check_class(device, profile, own, where)
        plan = unit_plan(
            profile,
            unit=units[device.id],
            outputs=[plan for relay in own for plan in (relay.normal, relay.extended)],
            inputs=used[device.id],
            spare=device.spare_channel,
            exclusive=_exclusive(site, device.id),
            where=where,
        )
        devices[device.id] = Wired(device=device, profile=profile, transport=transport, plan=plan)
    _check_shared(site, devices)
    return Wiring(devices=devices, relays=relays)


def _relays(site: Site, profiles: Mapping[str, Profile], units: Mapping[str, int]) -> Iterator[Relay]:
    def relay(
        lock: str, device: str, channel: int, pulses: tuple[int, int], bounds: tuple[int, int], key: str
    ) -> Relay:
        normal, extended = (
            output_plan(
                profiles[device],
                unit=units[device],
                channel=channel,
                pulse_ms=pulse_ms,
                bounds=bounds,
                where=key,
            )
            for pulse_ms in pulses
        )
        return Relay(lock_id=lock, device=device, normal=normal, extended=extended)

    for i, door in enumerate(site.doors):
        pulses = (door.pulse_ms, door.extended_pulse_ms or door.pulse_ms)
        yield relay(door.id, door.device, door.channel, pulses, DOOR_PULSE_MS, f"doors[{i}]")
    for i, gate in enumerate(site.turnstiles):
        pulses = (gate.pulse_ms, gate.pulse_ms)
        for way, lane in gate.lanes():
            key = f"turnstiles[{i}].{way}"
            yield relay(f"{gate.id}.{way}", gate.device, lane.channel, pulses, TURNSTILE_PULSE_MS, key)


def _exclusive(site: Site, device: str) -> list[set[int]]:
    """Both directions of a turnstile: some makers read the two together as "free for all"."""
    return [
        {lane.channel for _, lane in turnstile.lanes()}
        for turnstile in site.turnstiles
        if turnstile.device == device
    ]


def _check_class(device: Device, profile: Profile, own: list[Relay], where: str) -> None:
    if not own or profile.pulse_class is not PulseClass.C or device.unsafe_pulse == UNSAFE_PULSE:
        return
    raise ConfigError(
        f"{where}.profile: {profile.name} keeps a door open for good when the gateway dies during a pulse: "
        "it has neither a pulse timer nor a watchdog. Use another device, or write "
        f'unsafe_pulse = "{UNSAFE_PULSE}"'
    )


def _transport(device: Device, profile: Profile, where: str) -> Transport:
    if device.transport not in profile.transports and not (
        device.transport == "tls" and "tcp" in profile.transports
    ):
        known = ", ".join(profile.transports)
        raise ConfigError(f"{where}.transport: {profile.name} speaks {known}, not {device.transport}")
    host = device.host or ""
    match device.transport:
        case "tcp":
            return Tcp(host, device.port or profile.port_of("tcp"))
        case "rtu_tcp":
            return RtuOverTcp(host, device.port or profile.port_of("rtu_tcp"))
        case "rtu":
            baud = device.baud or profile.baud
            return Serial(device.serial or "", baud=baud, parity=_PARITY[device.parity])
        case "tls":
            return Tls(
                host,
                device.port or profile.port_of("tls"),
                ca_file=Path(device.ca_file or ""),
                certificate_file=Path(device.certificate_file or ""),
                key_file=Path(device.key_file or ""),
                server_name=device.server_name,
            )


def _check_shared(site: Site, devices: Mapping[str, Wired]) -> None:
    """Several units may share an address; then they share its connection and its time-out."""
    seen: dict[tuple[str, int], str] = {}
    first: dict[str, Wired] = {}
    spoken: dict[tuple[str, int], Wired] = {}
    for i, device in enumerate(site.devices):
        wired = devices[device.id]
        endpoint, unit = wired.transport.endpoint, wired.plan.unit
        if (endpoint, unit) in seen:
            raise ConfigError(
                f"devices[{i}].unit: {device.id} and {seen[endpoint, unit]} share unit {unit} of {endpoint}"
            )
        seen[endpoint, unit] = device.id
        _check_one_language(wired, spoken, f"devices[{i}]")
        before = first.setdefault(endpoint, wired)
        if before.device.timeout_s != device.timeout_s or before.transport != wired.transport:
            raise ConfigError(
                f"devices[{i}]: {before.device.id} and {device.id} share {endpoint} but not transport and "
                "timeout_s; give them the same"
            )


def _check_one_language(wired: Wired, spoken: dict[tuple[str, int], Wired], where: str) -> None:
    """One port of a device server speaks one way: the other would never be answered."""
    way = wired.transport
    if isinstance(way, Serial):
        return
    before = spoken.setdefault((way.host, way.port), wired)
    if type(before.transport) is not type(way):
        raise ConfigError(
            f"{where}.transport: {wired.device.id} speaks {wired.device.transport} to {way.host}:{way.port}, "
            f"but {before.device.id} speaks {before.device.transport}; one port speaks one way"
        )

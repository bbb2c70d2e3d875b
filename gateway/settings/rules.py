"""Rules between the keys of a site file, with file, key and fix."""

from collections.abc import Iterator
from typing import NoReturn
from urllib.parse import urlsplit

from gateway.domain.errors import ConfigError
from gateway.settings.openings import Door, Input, Turnstile
from gateway.settings.sections import AccessPoint, Camera, Device
from gateway.settings.site import Site


def check(site: Site, source: str) -> None:
    """Refuse what contradicts itself. Raises ConfigError."""
    _Rules(site, source).check()


def inputs_of(site: Site) -> Iterator[tuple[Input, str]]:
    """Every wire to an input, with its key in the site file."""
    for i, door in enumerate(site.doors):
        for name in ("contact", "bolt", "rex", "tamper", "fire"):
            if (wire := getattr(door.sensors, name)) is not None:
                yield wire, f"doors[{i}].sensors.{name}"
    for i, turnstile in enumerate(site.turnstiles):
        for name in ("free", "tamper", "fire"):
            if (wire := getattr(turnstile.sensors, name)) is not None:
                yield wire, f"turnstiles[{i}].sensors.{name}"
        for way, lane in turnstile.lanes():
            if lane.passed is not None:
                yield lane.passed, f"turnstiles[{i}].{way}.passed"


class _Rules:
    """One pass over one site."""

    def __init__(self, site: Site, source: str) -> None:
        self.site, self.source = site, source
        self.devices = {d.id for d in site.devices}
        openings: tuple[Door | Turnstile, ...] = (*site.doors, *site.turnstiles)
        self.openings = {o.id: o for o in openings}

    def check(self) -> None:
        site = self.site
        for key, ids in (
            ("cameras", [c.id for c in site.cameras]),
            ("devices", [d.id for d in site.devices]),
            ("doors", [d.id for d in site.doors] + [t.id for t in site.turnstiles]),
            ("interlocks", [i.id for i in site.interlocks]),
            ("access_points", [a.id for a in site.access_points]),
        ):
            for twice in _doubles(ids):
                self._fail(key, f'id "{twice}" is used twice; give each its own')
        for i, device in enumerate(site.devices):
            self._check_device(device, f"devices[{i}]")
        self._check_openings()
        self._check_relays()
        self._check_inputs()
        self._check_access_points()
        self._check_interlocks()
        for i, camera in enumerate(site.cameras):
            self._check_camera(camera, f"cameras[{i}]")
        if site.database.mode == "server" and not site.database.url_file:
            self._fail("database.url_file", 'mode "server" needs a file that holds the postgresql:// URL')
        if site.recognition.agree > site.recognition.of:
            self._fail("recognition.agree", "cannot be more than recognition.of")

    def _check_device(self, device: Device, key: str) -> None:
        serial = device.transport == "rtu"
        if serial and (device.serial is None or device.host is not None or device.port is not None):
            self._fail(f"{key}.serial", 'transport "rtu" needs a serial line such as "/dev/ttyUSB0", no host')
        if not serial and device.host is None:
            self._fail(f"{key}.host", f'transport "{device.transport}" needs the address of the device')
        if not serial and (device.serial is not None or device.baud is not None):
            self._fail(f"{key}.serial", 'serial and baud belong to transport "rtu"')
        files = (device.ca_file, device.certificate_file, device.key_file)
        if device.transport == "tls" and None in files:
            self._fail(f"{key}.ca_file", 'transport "tls" needs ca_file, certificate_file and key_file')
        if device.transport != "tls" and (any(files) or device.server_name):
            self._fail(f"{key}.transport", 'only transport "tls" uses certificates; write it here')

    def _check_openings(self) -> None:
        for i, door in enumerate(self.site.doors):
            key = f"doors[{i}]"
            if door.held_warning_s >= door.held_alarm_s:
                self._fail(f"{key}.held_warning_s", "must be less than held_alarm_s")
            if door.extended_pulse_ms is not None and door.extended_pulse_ms < door.pulse_ms:
                self._fail(f"{key}.extended_pulse_ms", "must not be less than pulse_ms")
            if door.relock != "time" and door.sensors.contact is None:
                self._fail(f"{key}.relock", f'"{door.relock}" needs sensors.contact; or write "time"')
            if door.rex == "unlock" and door.sensors.rex is None:
                self._fail(f"{key}.rex", '"unlock" needs sensors.rex')
        for i, turnstile in enumerate(self.site.turnstiles):
            if not list(turnstile.lanes()):
                self._fail(f"turnstiles[{i}]", "has no direction; add [turnstiles.in] or [turnstiles.out]")

    def _check_relays(self) -> None:
        taken: dict[tuple[str, int], str] = {}
        for device, channel, key in (*self._relays(), *self._spares()):
            if device not in self.devices:
                self._fail(f"{key}.device", f'no device has the id "{device}"')
            if (device, channel) in taken:
                self._fail(f"{key}.channel", f"relay {channel} of {device} is {taken[device, channel]}'s")
            taken[device, channel] = key

    def _relays(self) -> Iterator[tuple[str, int, str]]:
        for i, door in enumerate(self.site.doors):
            yield door.device, door.channel, f"doors[{i}]"
        for i, turnstile in enumerate(self.site.turnstiles):
            for way, lane in turnstile.lanes():
                yield turnstile.device, lane.channel, f"turnstiles[{i}].{way}"

    def _spares(self) -> Iterator[tuple[str, int, str]]:
        for i, device in enumerate(self.site.devices):
            if device.spare_channel is not None:
                yield device.id, device.spare_channel, f"devices[{i}].spare_channel"

    def _check_inputs(self) -> None:
        """A wire tells one thing; only the fire panel's may tell it to several doors."""
        taken: dict[tuple[str, int], str] = {}
        for wire, key in inputs_of(self.site):
            if wire.device not in self.devices:
                self._fail(f"{key}.device", f'no device has the id "{wire.device}"')
            place = (wire.device, wire.input)
            if place in taken and not (key.endswith(".fire") and taken[place].endswith(".fire")):
                self._fail(f"{key}.input", f"input {wire.input} of {wire.device} is {taken[place]}'s")
            taken[place] = key

    def _check_access_points(self) -> None:
        cameras = {c.id for c in self.site.cameras}
        sides: set[tuple[str, str]] = set()
        for i, point in enumerate(self.site.access_points):
            key = f"access_points[{i}]"
            if point.camera not in cameras:
                self._fail(f"{key}.camera", f'no camera has the id "{point.camera}"')
            self._check_side(point, key)
            if (point.door, point.direction) in sides:
                self._fail(f"{key}.direction", f'"{point.direction}" of {point.door} has an access point')
            sides.add((point.door, point.direction))
        for twice in _doubles([a.camera for a in self.site.access_points]):
            self._fail("access_points", f'camera "{twice}" serves two; one walk-up would open both')

    def _check_side(self, point: AccessPoint, key: str) -> None:
        opening = self.openings.get(point.door)
        if opening is None:
            self._fail(f"{key}.door", f'no door or turnstile has the id "{point.door}"')
        if isinstance(opening, Turnstile) and point.direction not in dict(opening.lanes()):
            self._fail(f"{key}.direction", f'turnstile {opening.id} has no lane "{point.direction}"')

    def _check_interlocks(self) -> None:
        doors = {d.id: d for d in self.site.doors}
        for i, group in enumerate(self.site.interlocks):
            key = f"interlocks[{i}].doors"
            if len(set(group.doors)) < 2 or len(set(group.doors)) != len(group.doors):
                self._fail(key, "name two or more different doors")
            for door in group.doors:
                if door not in doors:
                    self._fail(key, f'no door has the id "{door}"')
                if doors[door].sensors.contact is None:
                    self._fail(key, f'door "{door}" has no sensors.contact: its state is not known')
        for twice in _doubles([d for group in self.site.interlocks for d in group.doors]):
            self._fail("interlocks", f'door "{twice}" is in two of them; make them one')

    def _check_camera(self, camera: Camera, key: str) -> None:
        try:
            parts = urlsplit(camera.url)
            has_secret = parts.username is not None or parts.password is not None
        except ValueError as error:
            self._fail(f"{key}.url", f"not an address: {error}")
        if has_secret:
            self._fail(
                f"{key}.url",
                "holds a user name or password; put user:password into a file and name it in "
                "credentials_file",
            )
        if "://" in camera.url and parts.scheme not in {"rtsp", "rtsps", "http", "https", "file"}:
            self._fail(f"{key}.url", f"cannot play {parts.scheme}://; use rtsp, http, a file or /dev/videoN")

    def _fail(self, key: str, fix: str) -> NoReturn:
        raise ConfigError(f"{self.source}: {key}: {fix}")


def _doubles(values: list[str]) -> list[str]:
    return sorted({v for v in values if values.count(v) > 1})

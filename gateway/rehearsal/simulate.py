"""``facegate simulate``: devices made from their profiles, on this machine, with people at their doors."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from drivers.modbus.profile import Profile
from drivers.simulators.modbus_relays import Edge
from drivers.simulators.modbus_server import ModbusServer
from drivers.simulators.modbus_wire import Framing
from drivers.simulators.physics import SimulatedDoor, SimulatedTurnstile, Wire
from drivers.simulators.profiled import ProfiledDevice
from drivers.simulators.script import Scene, Script, play, rehearse
from gateway.domain.errors import ConfigError
from gateway.settings import Door, Input, Site, Turnstile
from gateway.wiring import wire

Say = Callable[[str], None]


@dataclass(slots=True)
class Rehearsal:
    """Devices by name, and the doors at their wires."""

    say: Say
    record: Callable[[str], None] = lambda _line: None
    servers: dict[str, ModbusServer] = field(default_factory=dict)
    devices: dict[str, ProfiledDevice] = field(default_factory=dict)
    doors: dict[str, SimulatedDoor | SimulatedTurnstile] = field(default_factory=dict)

    def device(self, name: str, profile: Profile, unit: int | None = None) -> ProfiledDevice:
        """A device whose every edge is told, recorded, and felt by its doors."""

        def edge(edge: Edge) -> None:
            self.say(f"{name}: relay {edge.relay} {'ON' if edge.on else 'OFF'} ({edge.why})")
            line = {"device": name, "relay": edge.relay, "on": edge.on, "mono_ns": edge.mono_ns}
            self.record(json.dumps({**line, "why": edge.why}))
            for door in self.doors.values():
                if door.relays is self.devices[name].relays:
                    door.edge(edge)

        made = ProfiledDevice(profile, unit=unit, on_edge=edge)
        self.devices[name] = made
        return made

    def scene(self) -> Scene:
        """What a script may name."""
        return Scene(
            devices={name: (self.servers[name], device) for name, device in self.devices.items()},
            doors=self.doors,
        )

    def plain_door(self, name: str) -> None:
        """A device without a site has a door at its first relay, with its contact at the first input."""
        device = self.devices[name]
        contact = Wire(device, 1) if device.inputs.count else None
        rex = Wire(device, 2) if device.inputs.count > 1 else None
        self.doors["door"] = SimulatedDoor(
            name="door", relays=device.relays, relay=1, contact=contact, rex=rex, say=self.say
        )

    def site_doors(self, site: Site) -> None:
        """Every door and turnstile of a site, wired as the site says."""
        for door in site.doors:
            self.doors[door.id] = self._door(door)
        for turnstile in site.turnstiles:
            self.doors[turnstile.id] = self._turnstile(turnstile)

    def _door(self, door: Door) -> SimulatedDoor:
        return SimulatedDoor(
            name=door.id,
            relays=self.devices[door.device].relays,
            relay=door.channel,
            contact=self._wire(door.sensors.contact),
            bolt=self._wire(door.sensors.bolt),
            rex=self._wire(door.sensors.rex),
            tamper=self._wire(door.sensors.tamper),
            fire=self._wire(door.sensors.fire),
            say=self.say,
        )

    def _turnstile(self, turnstile: Turnstile) -> SimulatedTurnstile:
        return SimulatedTurnstile(
            name=turnstile.id,
            relays=self.devices[turnstile.device].relays,
            ways={way: (lane.channel, self._wire(lane.passed)) for way, lane in turnstile.lanes()},
            free=self._wire(turnstile.sensors.free),
            wait_s=turnstile.wait_s,
            say=self.say,
        )

    def _wire(self, known: Input | None) -> Wire | None:
        if known is None:
            return None
        return Wire(self.devices[known.device], known.input, closed=known.on == "closed")


@contextlib.asynccontextmanager
async def one_device(
    rehearsal: Rehearsal, name: str, profile: Profile, *, port: int, unit: int | None, framing: Framing
) -> AsyncIterator[None]:
    """A single device at a port; 0 takes a free one. Raises ConfigError for a port that is taken."""
    device = rehearsal.device(name, profile, unit)
    async with _serving([device], port=port, framing=framing) as server:
        rehearsal.servers[name] = server
        rehearsal.plain_door(name)
        how = "RTU over TCP" if framing == "rtu" else "Modbus TCP"
        rehearsal.say(f"{profile.name}: unit {device.unit}, {how} at {server.host}:{server.port}")
        yield


@contextlib.asynccontextmanager
async def whole_site(rehearsal: Rehearsal, site: Site) -> AsyncIterator[None]:
    """Every device of a site on this machine. Raises ConfigError."""
    wiring = wire(site)
    shared: dict[str, list[str]] = {}
    for name, wired in wiring.devices.items():
        shared.setdefault(wired.transport.endpoint, []).append(name)
    async with contextlib.AsyncExitStack() as stack:
        for names in shared.values():
            first = wiring.devices[names[0]]
            devices = [
                rehearsal.device(n, wiring.devices[n].profile, wiring.devices[n].plan.unit) for n in names
            ]
            framing: Framing = "rtu" if first.device.transport in {"rtu", "rtu_tcp"} else "tcp"
            local = first.device.host in {"127.0.0.1", "localhost"}
            port = first.device.port or 0 if local else 0
            server = await stack.enter_async_context(_serving(devices, port=port, framing=framing))
            rehearsal.servers.update(dict.fromkeys(names, server))
            transport = "rtu_tcp" if framing == "rtu" else "tcp"
            rehearsal.say(
                f'{", ".join(names)}: transport = "{transport}", host = "{server.host}", port = {server.port}'
            )
        rehearsal.site_doors(site)
        yield


@contextlib.asynccontextmanager
async def _serving(
    devices: list[ProfiledDevice], *, port: int, framing: Framing
) -> AsyncIterator[ModbusServer]:
    server = ModbusServer(devices, port=port, framing=framing)
    try:
        await server.__aenter__()
    except OSError as error:
        raise ConfigError(f"port {port} cannot be listened on ({error.strerror}); choose another") from error
    try:
        yield server
    finally:
        await server.__aexit__()


async def perform(rehearsal: Rehearsal, script: Script | None, source: str, stop: asyncio.Event) -> None:
    """Play the script, if there is one, and serve until told to stop."""
    acts = rehearse(script, rehearsal.scene(), source) if script else []
    playing = asyncio.create_task(play(acts), name="script")
    waiting = asyncio.create_task(stop.wait(), name="stop")
    try:
        await asyncio.wait([playing, waiting], return_when=asyncio.FIRST_COMPLETED)
        if playing.done() and not stop.is_set():
            playing.result()
            if acts:
                rehearsal.say("the script is over; serving until stopped")
            await waiting
    finally:
        for task in (playing, waiting):
            task.cancel()
        await asyncio.gather(playing, waiting, return_exceptions=True)


def stamped(say: Say) -> Say:
    """Each line with the time of day."""
    return lambda text: say(f"{datetime.now().astimezone():%H:%M:%S.%f}"[:-3] + f"  {text}")


def recorder(path: Path | None, stack: contextlib.ExitStack) -> Callable[[str], None]:
    """Append lines to a file, written through at once; to nothing without one. Raises ConfigError."""
    if path is None:
        return lambda _line: None
    try:
        target = stack.enter_context(path.open("a", encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written ({error.strerror})") from error

    def write(line: str) -> None:
        target.write(line + "\n")
        target.flush()

    return write

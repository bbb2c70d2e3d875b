"""A play for simulated devices: what people do and what goes wrong, each at its second.

A script file is TOML: a list of ``[[at]]`` with ``s`` and either ``do`` (with ``door`` or ``device``) or
``fault`` (with ``device``). What it names is checked before anything starts.
"""

import asyncio
import tomllib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from drivers.simulators.modbus_faults import Fault, FaultKind
from drivers.simulators.modbus_server import ModbusServer
from drivers.simulators.physics import SimulatedDoor, SimulatedTurnstile
from drivers.simulators.profiled import ProfiledDevice
from gateway.domain.errors import ConfigError

Act = Callable[[], Awaitable[object]]


class Cue(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One thing that happens."""

    s: Annotated[float, Meta(ge=0)]
    """Seconds after the start."""
    do: str | None = None
    fault: FaultKind | None = None
    door: str | None = None
    device: str | None = None
    way: str = "in"
    relay: Annotated[int, Meta(ge=1)] = 1
    seconds: Annotated[float, Meta(ge=0)] = 1.0
    people: Annotated[int, Meta(ge=1, le=10)] = 1
    code: Annotated[int, Meta(ge=1, le=255)] = 4
    functions: tuple[int, ...] = ()
    always: bool = False
    """A fault: until ``do = "behave"``; else it strikes once."""


class Script(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole play."""

    at: tuple[Cue, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What a play may name."""

    devices: Mapping[str, tuple[ModbusServer, ProfiledDevice]]
    doors: Mapping[str, SimulatedDoor | SimulatedTurnstile]


def load_script(path: Path) -> Script:
    """Read a script. Raises ConfigError naming file, key and fix."""
    try:
        return msgspec.convert(tomllib.loads(path.read_text("utf-8")), Script)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ConfigError(f"{path}: {error}") from error


def rehearse(script: Script, scene: Scene, source: str) -> list[tuple[float, Act]]:
    """Turn the cues into acts, sorted by time. Raises ConfigError for a name or a deed there is not."""
    acts = [(cue.s, _act(cue, scene, f"{source}: at[{i}]")) for i, cue in enumerate(script.at)]
    return sorted(acts, key=lambda act: act[0])


async def play(acts: list[tuple[float, Act]]) -> None:
    """Let everything happen in its time; what lasts does not hold up what follows."""
    began = asyncio.get_running_loop().time()
    async with asyncio.TaskGroup() as tasks:
        for at, act in acts:
            await asyncio.sleep(max(0.0, began + at - asyncio.get_running_loop().time()))
            tasks.create_task(_run(act))


async def _run(act: Act) -> None:
    await act()


def _act(cue: Cue, scene: Scene, key: str) -> Act:
    if (cue.do is None) == (cue.fault is None):
        raise ConfigError(f'{key}: needs either "do" or "fault"')
    if cue.door is not None:
        door = scene.doors.get(cue.door)
        if door is None:
            raise ConfigError(f'{key}.door: there is no "{cue.door}"; there is: {_names(scene.doors)}')
        deeds = _door_deeds(cue, door) if isinstance(door, SimulatedDoor) else _turnstile_deeds(cue, door)
    else:
        found = scene.devices.get(cue.device or next(iter(scene.devices)))
        if found is None:
            raise ConfigError(f'{key}.device: there is no "{cue.device}"; there is: {_names(scene.devices)}')
        if cue.fault is not None:
            return _later(lambda: _strike(cue, found[0]))
        deeds = _device_deeds(cue, *found)
    if cue.do not in deeds:
        raise ConfigError(f'{key}.do: cannot do "{cue.do}" there; can: {_names(deeds)}')
    return deeds[cue.do]


def _names(known: Mapping[str, object]) -> str:
    return ", ".join(sorted(known)) or "nothing"


def _later(deed: Callable[[], object]) -> Act:
    async def act() -> None:
        deed()

    return act


def _strike(cue: Cue, server: ModbusServer) -> None:
    fault = Fault(
        kind=cue.fault or FaultKind.SILENT,
        seconds=cue.seconds,
        code=cue.code,
        functions=frozenset(cue.functions) or None,
    )
    if cue.always:
        server.faults.always(fault)
    else:
        server.faults.once(fault)


def _door_deeds(cue: Cue, door: SimulatedDoor) -> dict[str, Act]:
    return {
        "person_walks": lambda: door.person_walks(open_s=cue.seconds),
        "person_holds": lambda: door.person_holds(hold_s=cue.seconds),
        "force": lambda: door.force(open_s=cue.seconds),
        "bounce": door.bounce,
        "press_rex": door.press_rex,
        "fire_on": _later(lambda: door.set_fire(on=True)),
        "fire_off": _later(lambda: door.set_fire(on=False)),
        "tamper_on": _later(lambda: door.set_tamper(on=True)),
        "tamper_off": _later(lambda: door.set_tamper(on=False)),
    }


def _turnstile_deeds(cue: Cue, gate: SimulatedTurnstile) -> dict[str, Act]:
    return {
        "person_walks": lambda: gate.person_walks(cue.way, people=cue.people),
        "passes": lambda: gate.passes(cue.way),
        "free_on": _later(lambda: gate.set_free(on=True)),
        "free_off": _later(lambda: gate.set_free(on=False)),
    }


def _device_deeds(cue: Cue, server: ModbusServer, device: ProfiledDevice) -> dict[str, Act]:
    relays = device.relays
    return {
        "behave": _later(server.faults.clear),
        "cut": server.cut,
        "refuse": server.refuse,
        "listen": server.listen,
        "reboot": lambda: server.reboot(cue.seconds),
        "factory_reset": _later(device.factory_reset),
        "second_master_on": _later(lambda: relays.write(cue.relay - 1, on=True, why="second master")),
        "second_master_off": _later(lambda: relays.write(cue.relay - 1, on=False, why="second master")),
        "weld": _later(lambda: relays.weld(cue.relay)),
        "kill_relay": _later(lambda: relays.dead.add(cue.relay)),
    }

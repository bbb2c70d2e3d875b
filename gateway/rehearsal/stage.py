"""A site in a folder: one camera, one simulated relay board, one door."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from drivers.simulators.door_controller import DoorController
from gateway.domain.errors import Unavailable
from gateway.domain.sightings import CameraState
from gateway.running_gateway import Gateway
from gateway.settings import AccessPoint, Api, Camera, Database, Device, Door, Recognition, Site, Vision
from gateway.walkup.decided import Decided

RELAY = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Staging:
    """What may differ from one rehearsal to the next."""

    door: str = "front-door"
    liveness: bool = True
    pulse_ms: int = 3000
    recognition: Recognition = field(default_factory=Recognition)
    vision: Vision = field(default_factory=Vision)
    database: Database = field(default_factory=Database)
    api: Api | None = None


def site(state: Path, camera: Camera, board: DoorController, staging: Staging) -> Site:
    """The settings a site file would have given."""
    return Site(
        name="rehearsal",
        state_folder=str(state),
        cameras=(camera,),
        devices=(Device(id="relay-board", profile="waveshare-relay", host=board.host, port=board.port),),
        doors=(
            Door(
                id=staging.door,
                name=staging.door.replace("-", " ").capitalize(),
                device="relay-board",
                channel=RELAY,
                pulse_ms=staging.pulse_ms,
            ),
        ),
        access_points=(
            AccessPoint(
                id=staging.door,
                name=staging.door.replace("-", " ").capitalize(),
                camera=camera.id,
                door=staging.door,
                liveness="required" if staging.liveness else "off",
            ),
        ),
        recognition=staging.recognition,
        vision=staging.vision,
        database=staging.database,
        api=staging.api,
    )


async def until_ready(gateway: Gateway, timeout_s: float = 60.0) -> None:
    """Wait for doors, roster and camera. Raises Unavailable saying what is missing."""
    try:
        async with asyncio.timeout(timeout_s):
            while not gateway.ready:
                await asyncio.sleep(0.05)
    except TimeoutError:
        doors = "; ".join(f"{p}: {h.link.value} {h.detail}" for p, h in gateway.health().items())
        cameras = "; ".join(f"{c.camera_id}: {c.state.value} {c.detail}" for c in gateway.cameras.values())
        raise Unavailable(f"not ready after {timeout_s:g} s: doors {doors}; cameras {cameras}") from None


async def until_over(gateway: Gateway, settle_s: float = 0.4) -> None:
    """Wait until every recording has been played and nothing is being decided."""
    quiet = 0.0
    while quiet < settle_s:
        await asyncio.sleep(0.05)
        played = gateway.cameras and all(
            c.state in {CameraState.ENDED, CameraState.DOWN} for c in gateway.cameras.values()
        )
        quiet = quiet + 0.05 if played and gateway.idle else 0.0


def at_the_relay(decided: Decided, board: DoorController) -> float:
    """Milliseconds from the deciding frame to the coil's edge; to the decision where there was none."""
    edge = edge_of(decided, board)
    return decided.latency_ms if edge is None else (edge - decided.frame_ns) / 1e6


def edge_of(decided: Decided, board: DoorController) -> int | None:
    """Monotonic time at which the relay of a grant went on."""
    if decided.sent_ns is None:
        return None
    times: Iterable[int] = (e.mono_ns for e in board.edges if e.on and e.mono_ns >= decided.sent_ns)
    return next(iter(times), None)

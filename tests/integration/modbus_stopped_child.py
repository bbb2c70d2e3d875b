"""A gateway with one class B door, to be stopped and continued by its parent."""

import asyncio
import json
import logging
import sys
from pathlib import Path
from typing import Self

import structlog

sys.path.insert(0, str(Path(__file__).parents[2]))

from drivers.simulators.door_controller import DoorController
from gateway.domain.doors import Link
from tests.fakes.held_board import held_profile
from tests.fakes.modbus_rig import rig, until


class Elsewhere(DoorController):
    """The parent's board."""

    def __init__(self, port: int) -> None:
        self.host, self.port = "127.0.0.1", port

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """The parent's to end."""


async def main(port: int) -> None:
    async with rig(board=Elsewhere(port), known=held_profile(), pulse_ms=1500) as setup:
        await setup.door.unlock(setup.grant())
        before = len(setup.told)
        late = setup.grant(ttl_s=1.0)
        print("pulsed", flush=True)  # noqa: T201
        await asyncio.sleep(0.5)  # stopped in here for two seconds
        said = {"late": (await setup.door.unlock(late)).outcome.value}
        said["after"] = (await setup.door.unlock(setup.grant())).outcome.value
        await until(lambda: any(h.link is Link.UNARMED for h in setup.told[before:]))
        await setup.ready()
        print(json.dumps({**said, "alarms": sorted(setup.door.health().alarms)}), flush=True)  # noqa: T201


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    asyncio.run(main(int(sys.argv[1])))

"""A Modbus TCP relay board to rehearse with: Waveshare's map, hardware pulse timers, faults on command.

A second flash during a flash starts the timer again; what the real board does is not known.

``python -m drivers.simulators.door_controller --port 0 --edges FILE`` runs it alone: it prints
``{"port": N}`` and appends every edge of a contact to FILE as a JSON line, written through at once.
"""

import argparse
import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TextIO

from drivers.simulators.modbus_faults import PULSES, Fault, FaultKind
from drivers.simulators.modbus_map import RegisterMap
from drivers.simulators.modbus_relays import Edge, Relays
from drivers.simulators.modbus_server import ModbusServer

__all__ = ["PULSES", "DoorController", "Edge", "Fault", "FaultKind"]


class DoorController(ModbusServer):
    """A Waveshare board: ``async with DoorController() as board``.

    ``unit`` is the only address it answers to; ``on_edge`` is called for every change of a contact.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        relays: int = 8,
        unit: int = 1,
        max_clients: int | None = None,
        on_edge: Callable[[Edge], None] | None = None,
    ) -> None:
        self.relays = Relays(relays, on_edge)
        self.map = RegisterMap(self.relays, unit)
        super().__init__([self.map], host=host, port=port, max_clients=max_clients)

    @property
    def edges(self) -> list[Edge]:
        """Every change of a contact, in order."""
        return self.relays.edges

    def pulses(self, relay: int = 1) -> int:
        """How often a contact has closed."""
        return self.relays.pulses(relay)

    def is_on(self, relay: int = 1) -> bool:
        """State of a contact."""
        return self.relays.contact(relay)

    def unlock_frames(self) -> int:
        """Flash-ON requests that came, carried out or not."""
        return sum(p[0] == 5 and int.from_bytes(p[1:3], "big") in PULSES for p in self.requests)

    async def wait_edge(
        self, seen: int = 0, *, relay: int | None = None, on: bool | None = None, timeout_s: float = 5.0
    ) -> Edge:
        """The first edge after the first ``seen`` ones that fits. Raises TimeoutError."""
        return await self.relays.wait_edge(seen, relay=relay, on=on, timeout_s=timeout_s)

    def write_from_elsewhere(self, relay: int, *, on: bool) -> None:
        """A second master switches a relay."""
        self.relays.write(relay - 1, on=on, why="second master")


def _recorder(record: TextIO | None) -> Callable[[Edge], None]:
    def write(edge: Edge) -> None:
        if record is not None:
            line = {"relay": edge.relay, "on": edge.on, "mono_ns": edge.mono_ns, "why": edge.why}
            record.write(json.dumps(line) + "\n")
            record.flush()

    return write


async def _alone(arguments: argparse.Namespace, record: TextIO | None) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    board = DoorController(
        host=arguments.host, port=arguments.port, relays=arguments.relays, on_edge=_recorder(record)
    )
    async with board:
        sys.stdout.write(json.dumps({"port": board.port}) + "\n")
        sys.stdout.flush()
        await stop.wait()


def main(argv: Sequence[str] | None = None) -> int:
    """Run a board until it is interrupted."""
    parser = argparse.ArgumentParser(prog="drivers.simulators.door_controller", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=5020, help="0 takes a free one (default 5020)")
    parser.add_argument("--relays", type=int, default=8)
    parser.add_argument("--edges", type=Path, help="append every change of a contact here, as JSON lines")
    arguments = parser.parse_args(argv)
    with contextlib.ExitStack() as stack:
        record = stack.enter_context(arguments.edges.open("a", encoding="utf-8")) if arguments.edges else None
        asyncio.run(_alone(arguments, record))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""A simulated network camera: a film as RTSP and as HTTP MJPEG, in real time, with faults on command.

``python -m drivers.simulators.camera FILM --port 8554`` runs it alone.
"""

import argparse
import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

from aiohttp import web

from drivers.simulators.camera_mjpeg import MjpegPage
from drivers.simulators.camera_projector import Fault, Projector, Shown
from drivers.simulators.camera_reel import Reel, load
from drivers.simulators.camera_rtsp import Connection
from gateway.domain.errors import GatewayError, InvalidInput

__all__ = ["Fault", "Shown", "SimulatedCamera"]


class SimulatedCamera:
    """``async with SimulatedCamera(film) as camera``: serves from entry to exit, on loopback by default.

    The film (H.264 in MP4 or Annex B) is read in a thread on entry and kept in memory. Its clock starts
    at once, or with the first client when ``await_client`` is set; without ``loop`` every client is cut
    off at its end. ``on_frame(index, mono_ns)`` is called for every picture sent. Port 0 takes a free
    one. Entry raises InvalidInput when the film cannot be used or a port is taken.
    """

    def __init__(
        self,
        film: Path,
        *,
        host: str = "127.0.0.1",
        rtsp_port: int = 0,
        mjpeg_port: int = 0,
        loop: bool = True,
        await_client: bool = False,
        credentials: tuple[str, str] | None = None,
        on_frame: Callable[[int, int], None] | None = None,
    ) -> None:
        self.path = "door"
        self.credentials = credentials
        self.talking = asyncio.Event()
        self.projector: Projector
        self._film, self._host, self._loop = film, host, loop
        self._ports = [rtsp_port, mjpeg_port]
        self._await_client, self._on_frame = await_client, on_frame
        self._first_client, self._ended = asyncio.Event(), asyncio.Event()
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._servers: tuple[asyncio.Server, ...] = ()
        self._page = MjpegPage(self)
        self._runner: web.AppRunner | None = None
        self._show: asyncio.Task[None] | None = None

    @property
    def rtsp_url(self) -> str:
        """Address for an RTSP client, without credentials."""
        return f"rtsp://{self._host}:{self._ports[0]}/{self.path}"

    @property
    def mjpeg_url(self) -> str:
        """Address for an HTTP client, without credentials."""
        return f"http://{self._host}:{self._ports[1]}/{self.path}.mjpg"

    @property
    def reel(self) -> Reel:
        """The film."""
        return self.projector.reel

    @property
    def sent(self) -> Sequence[Shown]:
        """Pictures sent so far, oldest first (the newest 100 000)."""
        return tuple(self.projector.shown)

    async def __aenter__(self) -> Self:
        reel = await asyncio.to_thread(load, self._film)
        self.projector = Projector(reel, loop=self._loop, on_frame=self._on_frame)
        application = web.Application()
        application.router.add_get(f"/{self.path}.mjpg", self._page.handle)
        runner = self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await self._listen()
        except BaseException:
            await runner.cleanup()
            raise
        self.talking.set()
        self._show = asyncio.create_task(self._play(), name="simulated-camera")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._show is not None:
            self._show.cancel()
            await asyncio.gather(self._show, return_exceptions=True)
        self.talking.set()
        self._stop_listening()
        await self._cut()
        if self._runner is not None:
            await self._runner.cleanup()

    async def first_client(self) -> None:
        """Wait until someone is shown pictures for the first time."""
        await self._first_client.wait()

    async def ended(self) -> None:
        """Wait until the film has been shown to its end."""
        await self._ended.wait()

    async def fault(self, fault: Fault | str) -> None:
        """Misbehave from now on; Fault.NONE mends it. In force when this returns."""
        before, fault = self.projector.fault, Fault(fault)
        self.projector.fault = Fault.NONE if fault is Fault.DROP else fault
        if fault is Fault.SILENT:
            self.talking.clear()
        else:
            self.talking.set()
        if fault is Fault.REFUSE:
            self._stop_listening()
        elif before is Fault.REFUSE:
            await self._listen()
        if fault in {Fault.REFUSE, Fault.DROP}:
            await self._cut()

    def joined(self) -> None:
        """A client is about to be shown pictures."""
        self._first_client.set()

    async def _play(self) -> None:
        if self._await_client:
            await self._first_client.wait()
        await self.projector.run()
        self._ended.set()
        await self._cut()

    async def _listen(self) -> None:
        """Open both ports; ports taken once are taken again."""
        loop = asyncio.get_running_loop()
        assert self._runner is not None and self._runner.server is not None  # noqa: S101, PT018  # set on entry
        try:
            rtsp = await asyncio.start_server(self._serve, self._host, self._ports[0], limit=65536)
            http = await loop.create_server(self._runner.server, self._host, self._ports[1])
        except OSError as error:
            raise InvalidInput(
                f"simulated camera: cannot listen on {self._host}:{self._ports} ({error})"
            ) from error
        self._servers = (rtsp, http)
        self._ports = [s.sockets[0].getsockname()[1] for s in self._servers]

    def _stop_listening(self) -> None:
        for server in self._servers:
            server.close()
        self._servers = ()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  # the server runs this in a task
        self._connections[task] = writer
        try:
            await Connection(self, reader, writer).run()
        except asyncio.CancelledError:
            """Cut off on purpose: the connection has been closed, nothing is left to do."""
        finally:
            del self._connections[task]

    async def _cut(self) -> None:
        """Hang up on everyone, at once."""
        self._page.cut()
        tasks = tuple(self._connections)
        for writer in self._connections.values():
            writer.transport.abort()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # aborted transports tell their protocols in the next round of the loop


async def _main(arguments: argparse.Namespace) -> None:
    camera = SimulatedCamera(
        arguments.film,
        host=arguments.host,
        rtsp_port=arguments.port,
        mjpeg_port=arguments.mjpeg_port,
        loop=not arguments.once,
    )
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with camera:
        sys.stdout.write(f"{camera.rtsp_url}\n{camera.mjpeg_url}\n")
        sys.stdout.flush()
        waits = [asyncio.create_task(stop.wait()), asyncio.create_task(camera.ended())]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for task in waits:
            task.cancel()
        await asyncio.gather(*waits, return_exceptions=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a camera until it is interrupted or, with ``--once``, until the film's end."""
    parser = argparse.ArgumentParser(prog="drivers.simulators.camera", description=__doc__)
    parser.add_argument("film", type=Path, help="H.264 in MP4 or Annex B")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8554, help="RTSP (default 8554)")
    parser.add_argument("--mjpeg-port", type=int, default=0, help="HTTP (default: any free one)")
    parser.add_argument("--once", action="store_true", help="stop at the end instead of starting over")
    try:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(_main(parser.parse_args(argv)))
    except GatewayError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

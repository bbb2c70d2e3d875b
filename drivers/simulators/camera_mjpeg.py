"""The HTTP side of a simulated camera: its pictures as multipart/x-mixed-replace JPEG."""

import asyncio
import base64
import hmac

from aiohttp import web

from drivers.simulators.camera_reel import jpegs
from drivers.simulators.camera_rtsp import Stage

BOUNDARY = "frame-follows"


class MjpegPage:
    """Answers GET with an endless stream of JPEG parts."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._preparing = asyncio.Lock()
        self._pictures: tuple[bytes, ...] = ()
        self._rank: tuple[int, ...] = ()
        self._transports: set[asyncio.Transport] = set()
        self._viewers: set[_NewestPicture] = set()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one client until it goes."""
        transport = request.transport
        if transport is None:
            return web.Response(status=503)
        self._transports.add(transport)
        try:
            await self._stage.talking.wait()
            if not self._welcome(request):
                return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="camera"'})
            await self._prepare()
            return web.Response(status=503) if transport.is_closing() else await self._stream(request)
        finally:
            self._transports.discard(transport)

    def cut(self) -> None:
        """Hang up on everyone."""
        for transport in self._transports:
            transport.abort()
        for viewer in self._viewers:
            viewer.stop()

    def _welcome(self, request: web.Request) -> bool:
        if self._stage.credentials is None:
            return True
        wanted = base64.b64encode(":".join(self._stage.credentials).encode()).decode()
        return hmac.compare_digest(
            request.headers.get("Authorization", "").encode(), f"Basic {wanted}".encode()
        )

    async def _prepare(self) -> None:
        """Turn the film into JPEG, once, when someone first asks for it."""
        async with self._preparing:
            if not self._pictures:
                reel = self._stage.projector.reel
                self._pictures = await asyncio.to_thread(jpegs, reel)
                self._rank = reel.shown_rank()

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(
            headers={
                "Content-Type": f"multipart/x-mixed-replace; boundary={BOUNDARY}",
                "Cache-Control": "no-store",
            }
        )
        await response.prepare(request)
        viewer = _NewestPicture()
        self._viewers.add(viewer)
        self._stage.projector.viewers.add(viewer)
        self._stage.joined()
        try:
            while (index := await viewer.next()) is not None:
                picture = self._pictures[self._rank[index]]
                head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
                await response.write(head.encode() + picture + b"\r\n")
        except OSError:
            return response
        else:
            return response
        finally:
            self._viewers.discard(viewer)
            self._stage.projector.viewers.discard(viewer)


class _NewestPicture:
    """One slot: a client that is slow misses pictures rather than seeing old ones."""

    def __init__(self) -> None:
        self._index: int | None = 0
        self._there = asyncio.Event()

    def show(self, index: int, media_s: float) -> None:
        del media_s
        if self._index is not None:
            self._index = index
        self._there.set()

    def stop(self) -> None:
        """No more pictures."""
        self._index = None
        self._there.set()

    async def next(self) -> int | None:
        """The newest picture not taken yet; None when there are no more."""
        await self._there.wait()
        self._there.clear()
        return self._index

"""A look at one camera for a few seconds, beside whatever else watches it."""

import asyncio
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from drivers.cameras import open_source
from gateway.domain.errors import InvalidInput
from gateway.domain.faces import Image
from gateway.ports import FrameSource
from gateway.settings import Camera

PICTURES = 12
"""As many as are kept of one look: a full HD picture has 6 MB."""


@dataclass(frozen=True, slots=True)
class Album:
    """``ports.Cameras``: opens a connection of its own. A USB camera that a worker watches has only one."""

    cameras: Mapping[str, Camera]
    _turn: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))
    """One look at a time: they are held in memory."""

    async def pictures(self, camera_id: str, seconds: float) -> Sequence[Image]:
        """A few pictures, evenly over so many seconds; see ``ports.Cameras``."""
        camera = self.cameras.get(camera_id)
        if camera is None:
            raise InvalidInput(f"no camera has the id {camera_id[:63]!r}", code="no_such_camera")
        source, stop = open_source(camera), threading.Event()
        async with self._turn:
            try:
                return await asyncio.to_thread(look, source, seconds, stop)
            finally:
                stop.set()  # a thread whose caller is gone ends with its next picture


def look(source: FrameSource, seconds: float, stop: threading.Event, most: int = PICTURES) -> list[Image]:
    """Pictures of one source, spaced evenly. Blocking. Raises CameraUnavailable."""
    taken: list[Image] = []
    try:
        source.open()
        began = time.monotonic()
        while len(taken) < most and not stop.is_set() and time.monotonic() - began < seconds:
            got = source.read()
            if got is None:
                break
            picture, media_s = got
            at = media_s if media_s is not None and not source.paced else time.monotonic() - began
            if at >= len(taken) * seconds / most:
                taken.append(picture.copy())
    finally:
        source.close()
    return taken

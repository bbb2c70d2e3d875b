"""A simulated camera on a loop of its own thread, for tests of blocking sources; and films to show on it."""

import asyncio
import threading
from collections.abc import Coroutine
from fractions import Fraction
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
import pytest

from drivers.simulators.camera import Fault, SimulatedCamera
from gateway.domain.faces import Image

T = TypeVar("T")
SIZE = (320, 240)
FPS = 30
BITS = 8


class CameraThread:
    """``with CameraThread(film) as thread``: ``thread.camera`` serves until the exit."""

    def __init__(self, film: Path, **options: Any) -> None:
        self._film, self._options = film, options
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="camera-thread", daemon=True)
        self.camera: SimulatedCamera

    def __enter__(self) -> Self:
        self._thread.start()
        self.camera = self.run(self._make())
        return self

    def __exit__(self, *_: object) -> None:
        self.run(self.camera.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something on the camera's loop and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    def fault(self, fault: Fault) -> None:
        """Misbehave; in force on return."""
        self.run(self.camera.fault(fault))

    async def _make(self) -> SimulatedCamera:
        return await SimulatedCamera(self._film, **self._options).__aenter__()


def numbered(count: int) -> list[Image]:
    """Pictures that show their number as a row of bright and dark squares."""
    pictures = []
    for i in range(count):
        picture = np.full((SIZE[1], SIZE[0], 3), 90, np.uint8)
        for bit in range(BITS):
            if i >> bit & 1:
                picture[40:80, 4 + 40 * bit : 36 + 40 * bit] = 230
        picture[150:, :, 2] = 20 + i % 40
        pictures.append(picture)
    return pictures


def number_of(picture: Image) -> int:
    """The number a picture shows."""
    return sum(int(picture[60, 20 + 40 * bit].mean() > 160) << bit for bit in range(BITS))


def film(path: Path, count: int = 200, *, gop: int = 5) -> Path:
    """Encode numbered pictures, with a key frame every ``gop`` of them."""
    av = pytest.importorskip("av", reason="needs PyAV (extra demo)")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height = SIZE
        stream.pix_fmt, stream.time_base = "yuv420p", Fraction(1, FPS)
        stream.options = {"preset": "ultrafast", "tune": "zerolatency", "g": str(gop), "crf": "18"}
        for i, picture in enumerate(numbered(count)):
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
            frame.pts = i
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path

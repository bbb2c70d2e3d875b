"""Work that must never be in a door's way."""

import asyncio
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import ParamSpec, TypeVar

from gateway.domain.enrolment import FacesInPicture, PhotoFace
from gateway.domain.faces import Image
from gateway.domain.ids import ModelId
from gateway.ports import FaceAnalyser

P = ParamSpec("P")
T = TypeVar("T")
_NICE = 19


def _step_back() -> None:
    """The thread gets the processor when nobody else wants it (Linux keeps niceness a thread)."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)


@dataclass(slots=True)
class Background:
    """One thread of the lowest priority; what it is given waits its turn."""

    _threads: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(1, "background", initializer=_step_back)
    )

    async def run(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Do something in the thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: work(*args, **kwargs))

    def do(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """As ``run``, for a caller in another thread, who waits."""
        return self._threads.submit(work, *args, **kwargs).result()

    def close(self) -> None:
        """Let the work under way end; what waits is dropped. Idempotent."""
        self._threads.shutdown(wait=True, cancel_futures=True)


class QuietAnalyser:
    """``ports.FaceAnalyser`` that works in the background, whichever thread asks.

    The analyser behind it should be made with one thread an inference: further ones would not be in the
    background.
    """

    def __init__(self, analyser: FaceAnalyser, background: Background) -> None:
        """Use an analyser that nobody else uses."""
        self._analyser, self._background = analyser, background
        self.model_id: ModelId = analyser.model_id

    def photograph(self, data: bytes) -> Sequence[PhotoFace]:
        """Faces of an encoded picture, largest first. Raises InvalidInput."""
        return self._background.do(self._analyser.photograph, data)

    def look(self, data: bytes) -> FacesInPicture:
        """What an encoded picture shows. Raises InvalidInput."""
        return self._background.do(self._analyser.look, data)

    def frame(self, image: Image) -> FacesInPicture:
        """What a camera's picture shows."""
        return self._background.do(self._analyser.frame, image)

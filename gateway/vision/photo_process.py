"""The control side of the process that looks at photographs: starts it, asks it, replaces it."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
import structlog

from gateway.domain.enrolment import FacesInPicture, PhotoFace
from gateway.domain.errors import InvalidInput, Unavailable
from gateway.domain.faces import Image
from gateway.domain.ids import ModelId
from gateway.vision.codec import MalformedMessage
from gateway.vision.photo_link import (
    Asked,
    Failed,
    Frame,
    Loaded,
    Look,
    Refused,
    Said,
    Seen,
    receive_said,
    send,
)

_log = structlog.get_logger(__name__)

_LOAD_S = 60.0
_ENTRY = ("-m", "gateway.vision.photo_worker")
_AGAIN = "; save it again as JPEG and try once more"


@dataclass(slots=True, kw_only=True)
class PhotoProcess:
    """``ports.FaceAnalyser`` in a process of its own. Blocking; calls from several threads wait their turn.

    A picture that makes the process crash, or keeps it busy for ``patience_s``, is refused, and the next one
    meets a new process.
    """

    model_id: ModelId
    models_folder: Path
    threads: int = 1
    min_eye_distance_px: float
    patience_s: float = 60.0
    entry: Sequence[str] = _ENTRY
    starts: int = 0
    _process: subprocess.Popen[bytes] | None = None
    _link: socket.socket | None = None
    _turn: threading.Lock = field(default_factory=threading.Lock)
    _closed: bool = False

    @property
    def pid(self) -> int | None:
        """Of the process there is now."""
        return self._process.pid if self._process else None

    def photograph(self, data: bytes) -> Sequence[PhotoFace]:
        """Faces of an encoded picture, largest first. Raises InvalidInput, Unavailable."""
        return self.look(data).faces

    def look(self, data: bytes) -> FacesInPicture:
        """What an encoded picture shows. Raises InvalidInput, Unavailable."""
        return self._ask(Look(data))

    def frame(self, picture: Image) -> FacesInPicture:
        """What a camera's picture shows. Raises InvalidInput, Unavailable."""
        height, width = picture.shape[:2]
        return self._ask(Frame(height, width, np.ascontiguousarray(picture).tobytes()))

    def close(self) -> None:
        """End the process, whatever it does. Idempotent."""
        self._closed = True
        process = self._process
        if process is not None:
            process.kill()  # whoever waits for its answer waits no longer
        with self._turn:
            self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, question: Asked) -> FacesInPicture:
        with self._turn:
            if self._closed:
                raise Unavailable("photographs are no longer looked at: the gateway stops")
            said = self._said(self._running(), question)
            if said is None and not self._closed:  # it may have been killed for another reason
                said = self._said(self._running(), question)
        if said is None:
            said = Refused("bad_photo", f"the picture cannot be worked with{_AGAIN}")
        if isinstance(said, Refused):
            raise InvalidInput(said.message, code=said.code)
        if isinstance(said, Seen):
            return said.found
        raise Unavailable("photographs cannot be looked at now")

    def _said(self, link: socket.socket, question: Asked) -> Said | None:
        """The answer; None when the process was lost over it."""
        try:
            send(link, question)
            said = receive_said(link)
        except TimeoutError:
            self._lost("no answer in time")
            return Refused("bad_photo", f"the picture takes longer than {self.patience_s:g} s{_AGAIN}")
        except (OSError, MalformedMessage) as error:
            self._lost(f"{type(error).__name__}: {error}")
            return None
        if said is None or isinstance(said, Loaded | Failed):
            self._lost("it ended")
            return None
        return said

    def _lost(self, why: str) -> None:
        code = self._process.poll() if self._process else None
        self._end()
        _log.warning("photo_process_lost", why=why, exit_code=code)

    def _running(self) -> socket.socket:
        """Raises Unavailable when it does not start."""
        if self._link is not None and self._process is not None and self._process.poll() is None:
            return self._link
        self._end()
        link = self._link = self._start()
        try:
            said = receive_said(link)
        except (OSError, MalformedMessage) as error:
            said = Failed(type(error).__name__)
        if not isinstance(said, Loaded) or said.model_id != self.model_id:
            self._end()
            why = said.message if isinstance(said, Failed) else "it has other models, or none"
            raise Unavailable(f"photographs cannot be looked at now: {why}")
        link.settimeout(self.patience_s)
        return link

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        ours.settimeout(_LOAD_S)
        self.starts += 1
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603  # our own interpreter and module
                [
                    *(sys.executable, *self.entry, str(theirs.fileno()), str(self.models_folder)),
                    *(str(self.threads), str(self.min_eye_distance_px)),
                ],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                env={**os.environ, "OMP_NUM_THREADS": str(self.threads)},
            )
        return ours

    def _end(self) -> None:
        link, process = self._link, self._process
        self._link = self._process = None
        if link is not None:
            link.close()
        if process is not None:
            process.kill()
            process.wait()

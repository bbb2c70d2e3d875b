"""A vision worker process whose cameras and engine are made up: ``python -m tests.fakes.vision_worker FD``.

The address of a camera says what it does: ``fake:walk`` shows person 3 walking on, ``fake:grow`` also eats
memory, ``fake:die`` kills its capture thread after a second, ``fake:hang`` shows somebody at whose sight
analysis hangs. A process that is to say something wrong gets it as hex before the descriptor.
"""

import os
import socket
import sys
import time

from gateway.domain.errors import ConfigError
from gateway.domain.faces import Image
from gateway.settings import Camera
from gateway.telemetry import logging as log_setup
from gateway.vision.codec import Setup, read_blocking
from gateway.vision.pipeline import Engine
from gateway.vision.worker import Worker, die_with_parent
from tests.fakes.vision import Face, FakeEngine, picture

HANGS = 9


class WalkUp:
    """Twenty pictures a second of somebody who walks on for ever."""

    paced = True

    def __init__(self, act: str) -> None:
        self._act, self._seq = act, 0
        self._eaten: list[bytes] = []

    def open(self) -> None:
        pass

    def read(self) -> tuple[Image, float | None] | None:
        time.sleep(0.05)
        self._seq += 1
        if self._act == "grow":
            self._eaten.append(os.urandom(1000) * 30_000)
        if self._act == "die" and self._seq > 20:
            raise RuntimeError("a bug in a camera driver")
        who = HANGS if self._act == "hang" and self._seq > 20 else 3
        return picture(Face(who, x=100 + self._seq % 97), grain=self._seq), None

    def close(self) -> None:
        self._eaten.clear()


def open_source(camera: Camera) -> WalkUp:
    act = camera.url.removeprefix("fake:")
    if act == "misconfigured":
        raise ConfigError("credentials_file: there is no such file")
    return WalkUp(act)


def load_engine(setup: Setup) -> tuple[Engine, bool]:
    return FakeEngine(hang_at={HANGS}), True


def main() -> int:
    log_setup.configure(form="json", level="warning")
    die_with_parent()
    with socket.socket(fileno=int(sys.argv[-1])) as link:
        if len(sys.argv) > 2:
            read_blocking(link.makefile("rb"))
            link.sendall(bytes.fromhex(sys.argv[1]))
            time.sleep(60)
        return Worker(link, open_source, load_engine, on_abandoned=lambda: os._exit(5)).run()


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)

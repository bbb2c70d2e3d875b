"""An embedded PostgreSQL in the state folder, for sites without a server.

Several processes may use one (the gateway and ``facegate enrol``): each holds a shared lock on
``<state>/postgres.users`` while it does, which the kernel takes back even from a killed one. Who lets go
last stops the server. A killed gateway leaves it running; the next start joins it.
"""

import asyncio
import contextlib
import fcntl
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import structlog

from gateway.domain.errors import ConfigError, DatabaseUnavailable
from gateway.storage.pg_server import PgServer

_log = structlog.get_logger(__name__)

_LOCK_S = 90.0
"""Longest wait for another process that is starting or stopping the server."""


@dataclass(slots=True)
class EmbeddedPostgres:
    """One user's hold on the server of a state folder. ``start`` may be called again at any time."""

    folder: Path
    """``<state>/postgres``; its parent must exist."""
    _held: int | None = None
    """File descriptor of the shared lock."""
    _turn: threading.Lock = field(default_factory=threading.Lock, repr=False)
    """A start goes on in its thread when its caller is cancelled: a stop comes after it, and undoes it."""

    @property
    def url(self) -> str:
        """Where it listens: a socket inside the folder, which only its own user and root can enter."""
        host = quote(str(self.folder.resolve()))
        # Every part spelt out, or PGPORT and the like would have a say.
        return f"postgresql://postgres@/postgres?host={host}&port=5432&sslmode=disable"

    async def start(self) -> str:
        """Start the server, or join or recover the one there is; returns its URL.

        Raises ConfigError when the folder cannot be used, DatabaseUnavailable when it does not start.
        """
        await asyncio.to_thread(self._start)
        return self.url

    async def stop(self) -> None:
        """Let go; the server stops when nobody else holds it. Idempotent."""
        await asyncio.to_thread(self._stop)

    async def stop_server(self) -> None:
        """Stop the server whoever holds it (backups, tests); ``start`` brings it back."""
        await asyncio.to_thread(self._stop_server)

    def _server(self) -> PgServer:
        return PgServer.of(self.folder.resolve())

    def _start(self) -> None:
        server = self._server()
        with self._turn, self._alone():
            held_before = self._held is not None
            if not held_before:
                self._held = self._hold(fcntl.LOCK_SH)
            try:
                server.ensure_running()
            except BaseException:
                if not held_before:
                    self._let_go()
                raise

    def _stop(self) -> None:
        with self._turn:
            if self._held is not None:
                self._release()

    def _release(self) -> None:
        with self._alone():
            self._let_go()
            try:
                last = self._hold(fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            try:
                self._server().stop()
            finally:
                os.close(last)

    def _stop_server(self) -> None:
        with self._alone():
            self._server().stop()

    def _let_go(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            os.close(held)

    def _hold(self, how: int) -> int:
        return _locked(self.folder.with_name(f"{self.folder.name}.users"), how)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Nobody else starts or stops the server meanwhile."""
        path = self.folder.with_name(f"{self.folder.name}.lock")
        deadline = time.monotonic() + _LOCK_S
        while True:
            try:
                lock = _locked(path, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise DatabaseUnavailable(
                        f"another process has been starting or stopping the embedded PostgreSQL for "
                        f"{_LOCK_S:.0f} s; find who holds {path}"
                    ) from None
                time.sleep(0.05)
        try:
            yield
        finally:
            os.close(lock)


def check_reachable(folder: Path) -> None:
    """Raise ConfigError when ``folder`` (``<state>/postgres``) cannot hold the server."""
    PgServer.of(folder.resolve())


def _locked(path: Path, how: int) -> int:
    """An open descriptor that holds a lock until it is closed. Raises BlockingIOError, ConfigError."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigError(
            f"state_folder: {path} cannot be opened ({error.strerror}); start Facegate as the user who made "
            "the state folder, or use another state_folder"
        ) from error
    try:
        fcntl.flock(handle, how)
    except BaseException:
        os.close(handle)
        raise
    return handle

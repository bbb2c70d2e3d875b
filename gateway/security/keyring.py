"""The master keys of a gateway: a file that only its owner can read.

One line a key, in base64. A line alone is the current key, as it always was; while keys are being changed the
lines begin with what each is for: ``current``, ``next`` or ``old``.
"""

import base64
import binascii
import os
import secrets
import stat
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from gateway.domain.errors import ConfigError
from gateway.domain.keys import KeyId
from gateway.security.key_files import put
from gateway.security.master_key import LENGTH, MasterKey

_log = structlog.get_logger(__name__)

ENVIRONMENT = "FACEGATE_MASTER_KEY_FILE"
CREDENTIAL = "facegate-master-key"
_LONGEST = 2048
"""Bytes of a key file; more is something else."""
_MOST = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPlace:
    """Where the keys' file is, and who put it there."""

    path: Path
    ours: bool = True
    """Facegate may make it at first start; one from the environment or from systemd is given."""
    group: bool = False
    """Its group may read it: systemd grants access by an ACL, which shows as group permissions."""

    @classmethod
    def of(cls, file: Path, environ: Mapping[str, str]) -> "KeyPlace":
        """The file named in the environment, else systemd's credential, else ``file``."""
        if named := environ.get(ENVIRONMENT):
            return cls(path=Path(named), ours=False)
        if folder := environ.get("CREDENTIALS_DIRECTORY"):
            credential = Path(folder) / CREDENTIAL
            if credential.exists():
                return cls(path=credential, ours=False, group=True)
        return cls(path=file)


@dataclass(frozen=True, slots=True)
class Contents:
    """The keys of a file by what they are for."""

    current: MasterKey
    next: MasterKey | None = None
    old: tuple[MasterKey, ...] = ()

    def every(self) -> tuple[MasterKey, ...]:
        """The likeliest first."""
        return (self.current, *((self.next,) if self.next else ()), *self.old)

    def text(self) -> bytes:
        """As the file has it."""
        if self.next is None and not self.old:
            return _line(self.current)
        lines = [b"current " + _line(self.current)]
        lines += [b"next " + _line(self.next)] if self.next else []
        return b"".join(lines + [b"old " + _line(key) for key in self.old])


@dataclass(slots=True)
class KeyRing:
    """``ports.KeyFile``, and the ``Keys`` that wrapping uses. Safe to use from threads."""

    place: KeyPlace
    _contents: Contents = field(repr=False)
    _stamp: tuple[int, ...]
    _preferred: KeyId | None = None
    _turn: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @classmethod
    def read(cls, place: KeyPlace) -> "KeyRing":
        """Raises ConfigError: missing, open to others, malformed."""
        contents, stamp = _read(place)
        return cls(place, contents, stamp)

    @classmethod
    def read_or_make(cls, place: KeyPlace, *, in_use: bool) -> "KeyRing":
        """Read the keys, or make one on first start. ``in_use``: people are enrolled under one already.

        Then a missing file is an error (ConfigError), never a reason for a new key.
        """
        if place.ours and not in_use and not os.path.lexists(place.path):
            put(place.path, _line(MasterKey(secrets.token_bytes(LENGTH))), replace=False)
        return cls.read(place)

    def wrapping(self) -> MasterKey:
        """The one the database says is current, where it is held; else the file's."""
        contents = self._contents
        return next((k for k in contents.every() if k.key_id == self._preferred), contents.current)

    def find(self, key_id: KeyId) -> MasterKey | None:
        """One by its name; the file is looked at again for one that is not known."""
        found = self._known(key_id)
        if found is None:
            try:
                self.reload()
            except ConfigError as error:
                _log.error("master_keys_not_read_again", why=str(error))
            found = self._known(key_id)
        return found

    def every(self) -> Sequence[MasterKey]:
        """All of them."""
        return self._contents.every()

    def current(self) -> KeyId:
        """The name of the one that wraps."""
        return self.wrapping().key_id

    def held(self) -> frozenset[KeyId]:
        """The names of all."""
        return frozenset(key.key_id for key in self.every())

    def prefer(self, key_id: KeyId) -> None:
        """It wraps from now on, if it is held."""
        self._preferred = key_id

    def reload(self) -> None:
        """Read the file again if it is another one by now. Raises ConfigError; then the keys stay."""
        with self._turn:
            try:
                if _stamp(self.place.path.stat()) == self._stamp:
                    return
            except OSError as error:
                raise _unreadable(self.place.path, error) from None
            self._contents, self._stamp = _read(self.place)
        _log.info("master_keys_read_again", keys=sorted(self.held()))

    def pending(self) -> KeyId | None:
        """The name of the next key."""
        following = self._contents.next
        return following.key_id if following else None

    def add_next(self) -> KeyId:
        """Make the next key, or find the one there is. Raises ConfigError."""
        self.reload()
        following = self._contents.next
        if following is None:
            following = MasterKey(secrets.token_bytes(LENGTH))
            self._write(Contents(self._contents.current, following, self._contents.old))
        return following.key_id

    def promote(self, key_id: KeyId) -> None:
        """The next key is the current one. Raises ConfigError when the file has it not."""
        self.reload()
        before = self._contents
        if before.current.key_id == key_id:
            return
        key = self._known(key_id)
        if key is None:
            raise ConfigError(f"{self.place.path}: does not hold the key {key_id}", code="master_key_missing")
        old = tuple(k for k in before.every() if k.key_id != key_id)
        self._write(Contents(key, None, old))

    def keep_only(self, key_id: KeyId) -> None:
        """Destroy every other key in the file. Raises ConfigError when the file has it not."""
        self.promote(key_id)
        if self._contents.old or self._contents.next:
            self._write(Contents(self._contents.current))

    def _known(self, key_id: KeyId) -> MasterKey | None:
        return next((key for key in self.every() if key.key_id == key_id), None)

    def _write(self, contents: Contents) -> None:
        with self._turn:
            put(self.place.path, contents.text(), replace=True)
            self._contents, self._stamp = _read(self.place)


def _line(key: MasterKey) -> bytes:
    return base64.b64encode(key.reveal()) + b"\n"


def _stamp(found: os.stat_result) -> tuple[int, ...]:
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size


def _read(place: KeyPlace) -> tuple[Contents, tuple[int, ...]]:
    path = place.path
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            text = file.read(_LONGEST + 1)
    except FileNotFoundError:
        make = "" if place.ours else f"; for a new site: head -c {LENGTH} /dev/urandom | base64 > {path}"
        raise ConfigError(
            f"{path}: the master key is missing; without it no template opens. Put it back from your backup, "
            f"or enrol everyone anew in a new state folder{make}",
            code="master_key_missing",
        ) from None
    except OSError as error:
        raise _unreadable(path, error) from error
    mode = stat.S_IMODE(found.st_mode)
    if mode & (0o037 if place.group else 0o077):
        raise ConfigError(
            f"{path}: others may read or change the master key (mode {mode:04o}); "
            f"`chmod 600 {path}`, and think about who could have copied it",
            code="master_key_exposed",
        )
    contents = _parse(text) if len(text) <= _LONGEST else None
    if contents is None:
        raise ConfigError(
            f"{path}: not a master key; put it back from your backup", code="master_key_malformed"
        )
    return contents, _stamp(found)


def _unreadable(path: Path, error: OSError) -> ConfigError:
    return ConfigError(f"{path}: the master key cannot be read ({error.strerror})")


def _parse(text: bytes) -> Contents | None:
    """None for what is no key file."""
    by_role: dict[bytes, list[MasterKey]] = {b"current": [], b"next": [], b"old": []}
    for line in text.strip().splitlines():
        role, _, key = line.strip().rpartition(b" ")
        try:
            by_role[role.strip() or b"current"].append(MasterKey(base64.b64decode(key, validate=True)))
        except (KeyError, binascii.Error, ValueError):
            return None
    names = [key.key_id for keys in by_role.values() for key in keys]
    if (
        len(by_role[b"current"]) != 1
        or len(by_role[b"next"]) > 1
        or not len(set(names)) == len(names) <= _MOST
    ):
        return None
    (current,) = by_role[b"current"]
    return Contents(current, next(iter(by_role[b"next"]), None), tuple(by_role[b"old"]))

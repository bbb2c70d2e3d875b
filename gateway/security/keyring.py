"""The master keys of a gateway: a file that only its owner can read."""

import os
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from gateway.domain.errors import ConfigError
from gateway.domain.keys import KeyId
from gateway.security import key_files
from gateway.security.key_text import LONGEST, Contents, parse
from gateway.security.master_key import LENGTH, MasterKey

_log = structlog.get_logger(__name__)

ENVIRONMENT = "FACEGATE_MASTER_KEY_FILE"
CREDENTIAL = "facegate-master-key"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPlace:
    """Where the keys' file is, and who put it there."""

    path: Path
    ours: bool = True
    """Facegate may make it at first start; one from the environment or from systemd is given."""
    lent: bool = False
    """A copy that systemd made for this service's run alone: changing it would change nothing that lasts.

    Its group may read it: systemd grants access by an ACL, which shows as group permissions.
    """

    @classmethod
    def of(cls, file: Path, environ: Mapping[str, str]) -> "KeyPlace":
        """The file named in the environment, else systemd's credential, else ``file``."""
        if named := environ.get(ENVIRONMENT):
            return cls(path=Path(named), ours=False)
        if folder := environ.get("CREDENTIALS_DIRECTORY"):
            credential = Path(folder) / CREDENTIAL
            if _there(credential):
                return cls(path=credential, ours=False, lent=True)
        return cls(path=file)


@dataclass(slots=True)
class KeyRing:
    """``ports.KeyFile``, and the ``Keys`` that wrapping uses. Safe to use from threads."""

    place: KeyPlace
    _contents: Contents = field(repr=False)
    _stamp: key_files.Stamp
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
            first = Contents(MasterKey(secrets.token_bytes(LENGTH)))
            with key_files.alone(place.path) as path:
                key_files.put(path, first.text(), replace=False)
        return cls.read(place)

    def where(self) -> str:
        """The file."""
        return str(self.place.path)

    def wrapping(self) -> MasterKey:
        """The one the database says is current, where it is held; else the file's."""
        contents = self._contents
        return contents.find(self._preferred) or contents.current

    def find(self, key_id: KeyId) -> MasterKey | None:
        """One by its name; the file is looked at again for one that is not known."""
        found = self._contents.find(key_id)
        if found is None:
            try:
                self.reload()
            except ConfigError as error:
                _log.error("master_keys_not_read_again", why=str(error))
            found = self._contents.find(key_id)
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
            if key_files.stamp(self.place.path) == self._stamp:
                return
            self._contents, self._stamp = _read(self.place)
        _log.info("master_keys_read_again", keys=sorted(self.held()))

    def pending(self) -> KeyId | None:
        """The name of the next key."""
        following = self._contents.next
        return following.key_id if following else None

    def add_next(self, spent: frozenset[KeyId]) -> KeyId:
        """Make the next key, or find the one there is unless it is ``spent``. Raises ConfigError."""
        fresh = MasterKey(secrets.token_bytes(LENGTH))

        def change(before: Contents) -> Contents:
            useful = before.next is not None and before.next.key_id not in spent
            return before if useful else before.with_next(fresh)

        return (self._change(change).next or fresh).key_id

    def promote(self, key_id: KeyId) -> None:
        """The next key is the current one. Raises ConfigError when the file has it not."""
        self._change(lambda before: before.promoted(self._own(before, key_id)))

    def keep_only(self, key_id: KeyId) -> None:
        """Destroy every other key in the file but a next one. Raises ConfigError when the file has it not."""
        self._change(lambda before: before.lone(self._own(before, key_id)))

    def _own(self, contents: Contents, key_id: KeyId) -> MasterKey:
        key = contents.find(key_id)
        if key is None:
            raise ConfigError(
                f"{self.place.path}: does not hold the key {key_id}; copy the key file of the machine where "
                "the change was begun",
                code="master_key_missing",
            )
        return key

    def _change(self, change: Callable[[Contents], Contents]) -> Contents:
        """Read, change and write the file while no other process does."""
        with self._turn, key_files.alone(self.place.path) as path:
            before, stamp = _read(self.place)
            after = change(before)
            if after.text() == before.text():
                self._contents, self._stamp = before, stamp
                return before
            if self.place.lent:
                raise _lent(self.place.path)
            key_files.put(path, after.text(), replace=True)
            self._contents, self._stamp = _read(self.place)
            return self._contents


def _there(path: Path) -> bool:
    """A file that cannot be looked at is there, too: reading it says what is wrong."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def _lent(path: Path) -> ConfigError:
    return ConfigError(
        f"{path}: systemd lends this file to the service for one run; change the file it is loaded from: "
        f"`{ENVIRONMENT}=/path/of/that/file facegate keys rotate`, and restart the service when asked to",
        code="master_key_lent",
    )


def _read(place: KeyPlace) -> tuple[Contents, key_files.Stamp]:
    path = place.path
    try:
        text, stamp = key_files.read(path, LONGEST, group=place.lent)
    except FileNotFoundError:
        make = "" if place.ours else f"; for a new site: head -c {LENGTH} /dev/urandom | base64 > {path}"
        raise ConfigError(
            f"{path}: the master key is missing; without it no template opens. Put it back from your backup, "
            f"name the file where it is ({ENVIRONMENT}, or keys.file), or enrol everyone anew in a new state "
            f"folder{make}",
            code="master_key_missing",
        ) from None
    contents = parse(text)
    if contents is None:
        raise ConfigError(
            f"{path}: not a master key; put it back from your backup", code="master_key_malformed"
        )
    return contents, stamp

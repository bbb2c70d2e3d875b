"""What keeping and changing the master key needs from outside."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from gateway.domain.keys import KeyHolder, KeyId, KeyState, KeyUse, WrappedKey

KeyWitness = Callable[[], Awaitable[None]]
"""Told of a step inside its transaction, just before the commit; what it raises undoes the step."""


class MasterKeys(Protocol):
    """The master keys this process has. Never shows one."""

    def where(self) -> str:
        """The file they are from, for people."""
        ...

    def current(self) -> KeyId:
        """The one that wraps."""
        ...

    def held(self) -> frozenset[KeyId]:
        """All of them."""
        ...

    def prefer(self, key_id: KeyId) -> None:
        """What the database says is current; it wraps from now on where it is held."""
        ...

    def reload(self) -> None:
        """Read them again if their file has changed. Raises ConfigError. Blocking."""
        ...


class KeyFile(MasterKeys, Protocol):
    """The keys' file, where a rotation changes it. All blocking; each raises ConfigError."""

    def pending(self) -> KeyId | None:
        """The next key, if the file has one."""
        ...

    def add_next(self, spent: frozenset[KeyId]) -> KeyId:
        """Make the next key, or find the one there is unless ``spent``; the file is whole and synced."""
        ...

    def promote(self, key_id: KeyId) -> None:
        """The next key is the current one, the current one old. Nothing happens if it is so already."""
        ...

    def keep_only(self, key_id: KeyId) -> None:
        """Destroy every other key in the file but a next one."""
        ...


class Wrapping(Protocol):
    """Opens and closes keys; the opened ones stay inside."""

    def new(self, kind: str, name: str) -> bytes:
        """A fresh key of a kind and name, wrapped by the current master key."""
        ...

    def rewrap(self, key: WrappedKey) -> bytes:
        """The same key wrapped by the current master key. Raises SealBroken."""
        ...

    def check(self, key: WrappedKey) -> None:
        """Raises SealBroken when it does not open."""
        ...


class MasterKeyStore(Protocol):
    """What the database knows of master keys: their names, and what each wraps."""

    async def states(self) -> Mapping[KeyId, KeyState]:
        """Every key that there ever was."""
        ...

    async def usage(self) -> Mapping[KeyId, KeyUse]:
        """What is wrapped by each; only those that wrap something."""
        ...

    async def sample(self, key_id: KeyId) -> WrappedKey | None:
        """Something that this key wraps."""
        ...

    async def page(self, after: WrappedKey | None, limit: int) -> Sequence[WrappedKey]:
        """All wrapped keys, in a lasting order."""
        ...

    async def register_first(self, key_id: KeyId) -> None:
        """Name the current key of a database that knows none; otherwise nothing happens."""
        ...

    async def register_next(self, key_id: KeyId, witness: KeyWitness) -> None:
        """Name the next key. Raises Rejected (code "rotation_under_way") if there is another."""
        ...

    async def promote(self, key_id: KeyId, witness: KeyWitness) -> None:
        """The next key is the current one. Raises Rejected (code "no_such_key")."""
        ...

    async def give_up(self, key_id: KeyId, witness: KeyWitness) -> None:
        """The next key will never be used. Nothing happens if it is given up already.

        Raises Rejected (code "no_such_key", "key_in_use").
        """
        ...

    async def rewrap(self, key_id: KeyId, limit: int, rewrap: Callable[[WrappedKey], bytes]) -> int:
        """Wrap up to ``limit`` keys anew that are not under ``key_id``, in one transaction; how many."""
        ...

    async def retire(self, witness: KeyWitness) -> Sequence[KeyId]:
        """Every old key that wraps nothing. From now on nothing can be wrapped by it."""
        ...

    async def hold(self, gateway_id: str, key_ids: frozenset[KeyId]) -> None:
        """This gateway runs, and has these."""
        ...

    async def holders(self) -> Sequence[KeyHolder]:
        """Who said so, last seen first."""
        ...


class SiteKeyStore(Protocol):
    """The site's own keys, wrapped."""

    async def get(self, name: str) -> bytes | None:
        """One, wrapped; None if it was never made."""
        ...

    async def put(self, name: str, wrapped: bytes) -> bytes:
        """Keep one; returns the one that is kept, which is another's when that came first."""
        ...
